"""The lock of a run directory: only one process at a time works in it.

Input: a run directory.
Output: exclusive access to it within a block, or an error that names the process that has it.
Guarantees: it is a file lock of the kernel, so it ends with its process, however that ends. Files left by a killed
process (`.lock`, `.holder.json`) count as stale, because nobody holds the lock, and are reused.
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
"""How long to wait for the lock: `is_held` takes it for an instant."""


@contextlib.contextmanager
def held(run_dir: Path) -> Generator[None]:
    """Holds the lock within the block. Raises `RunDirectoryError` naming the process that has it."""
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
            # The run was refused before any work: nothing stays, and a process that waits for this lock is refused.
            (run_dir / _LOCK).unlink(missing_ok=True)
        lock.release()


def is_held(run_dir: Path) -> bool:
    """Whether a running process works in the directory."""
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
    """The lock of the directory; a second attempt to take it in the same process is refused too."""
    return FileLock(run_dir / _LOCK, is_singleton=False)


def _holder(run_dir: Path) -> str:
    """A clause naming the process that holds the directory, if its file is there."""
    if not (run_dir / _HOLDER).is_file():
        return ""
    holder = read_json(run_dir / _HOLDER)
    return f" by process {holder['process']} on {holder['host']} since {holder['since']}"
