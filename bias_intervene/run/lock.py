"""The lock of a run directory: one process works in it at a time.

Input: a run directory. Output: the right to write into it for as long as the block lasts, or a refusal that names the
process that has it. Guarantees: the lock is the kernel's own file lock, so it ends with its process however that ends;
files of a killed process (`.lock`, `.holder.json`) are stale because nobody holds the lock, and are taken over.
"""

import contextlib
import os
import socket
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from bias_intervene.errors import RunDirectoryError
from bias_intervene.record import read_json, write_json

_LOCK, _HOLDER = ".lock", ".holder.json"
PATIENCE_SECONDS = 2.0
"""How long a lock is waited for: `is_held` has to take it for an instant to find out."""


@contextlib.contextmanager
def held(run_dir: Path) -> Generator[None]:
    """The directory is ours within the block. Raises `RunDirectoryError` naming who else has it."""
    run_dir.mkdir(parents=True, exist_ok=True)
    lock = _lock_of(run_dir)
    try:
        lock.acquire(timeout=PATIENCE_SECONDS)
    except Timeout:
        raise RunDirectoryError(
            f"{run_dir}: in use{_holder(run_dir)}. Wait for it, stop it, or choose another directory with "
            "hydra.run.dir=..."
        ) from None
    try:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(run_dir / _HOLDER, {"process": os.getpid(), "host": socket.gethostname(), "since": now})
        yield
    finally:
        (run_dir / _HOLDER).unlink(missing_ok=True)
        if not (run_dir / "settings.json").is_file():
            # Refused before any work: nothing stays, and a process that waits for this lock is refused in the same way.
            (run_dir / _LOCK).unlink(missing_ok=True)
        lock.release()


def is_held(run_dir: Path) -> bool:
    """Whether a living process works in the directory."""
    if not (run_dir / _LOCK).is_file():
        return False
    lock = _lock_of(run_dir)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def _lock_of(run_dir: Path) -> FileLock:
    """The directory's lock. A new object each time, so that a second claim in the same process is refused too."""
    return FileLock(run_dir / _LOCK, is_singleton=False)


def _holder(run_dir: Path) -> str:
    """A clause that names the process working in the directory, where `.holder.json` does."""
    if not (run_dir / _HOLDER).is_file():
        return ""
    holder = read_json(run_dir / _HOLDER)
    return f" by process {holder['process']} on {holder['host']} since {holder['since']}"
