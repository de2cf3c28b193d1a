"""Who works in a run directory: one process at a time.

Enters: a run directory. Leaves: the right to write into it for as long as the block lasts, or a refusal that names who
has it. Promised: the claim is the kernel's own file lock, so it ends with its process however that ends; what a killed
process left behind (`.lock`, `.holder.json`) is recognised as stale because nobody holds the lock, and is taken over.
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

LOCK, HOLDER = ".lock", ".holder.json"
PATIENCE_SECONDS = 2.0
"""Whoever only looks whether a directory is held holds it for an instant."""


@contextlib.contextmanager
def held(run_dir: Path) -> Generator[None]:
    """The directory is ours within the block. Raises `RunDirectoryError` naming who else has it."""
    run_dir.mkdir(parents=True, exist_ok=True)
    lock = lock_of(run_dir)
    try:
        lock.acquire(timeout=PATIENCE_SECONDS)
    except Timeout:
        raise RunDirectoryError(
            f"{run_dir}: in use{holder(run_dir)}. Wait for it, stop it, or choose another directory with "
            "hydra.run.dir=..."
        ) from None
    try:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(run_dir / HOLDER, {"process": os.getpid(), "host": socket.gethostname(), "since": now})
        yield
    finally:
        (run_dir / HOLDER).unlink(missing_ok=True)
        if not (run_dir / "settings.json").is_file():
            # Refused before any work: nothing stays, and whoever waits for this lock is refused in the same way.
            (run_dir / LOCK).unlink(missing_ok=True)
        lock.release()


def is_held(run_dir: Path) -> bool:
    """Whether a living process works in the directory."""
    if not (run_dir / LOCK).is_file():
        return False
    lock = lock_of(run_dir)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def lock_of(run_dir: Path) -> FileLock:
    """The directory's lock. Not one for all threads of a process: a second claim in the same process is refused too."""
    return FileLock(run_dir / LOCK, is_singleton=False)


def holder(run_dir: Path) -> str:
    """A clause naming who holds the directory, as far as it says so."""
    if not (run_dir / HOLDER).is_file():
        return ""
    said = read_json(run_dir / HOLDER)
    return f" by process {said['process']} on {said['host']} since {said['since']}"
