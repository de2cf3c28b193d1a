"""The lock of a run directory: one run works in it at a time.

Input: a run directory. Output: the right to write into it for as long as the block lasts, or a refusal that names the
process that has it. Guarantees: the lock is the kernel's own (flock), so it ends with those who hold it, however they
end. The worker processes inherit it (`inherited`), so a controller that is killed leaves it to them while they save
and end: the next controller waits for them, and ends those that do not end by themselves. It knows them by process id
and start time, which the controller that started them wrote down. Files of a killed process (`.lock`, `.holder.json`,
`.workers.jsonl`) are stale because nobody holds the lock, and are taken over.
"""

import contextlib
import fcntl
import logging
import os
import signal
import socket
import time
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bias_intervene.errors import RunDirectoryError
from bias_intervene.record import append_line, read_json, read_lines, write_json

_LOCK, _HOLDER, _WORKERS = ".lock", ".holder.json", ".workers.jsonl"
PATIENCE_SECONDS = 2.0
"""How long a lock is waited for: `is_held` has to take it for an instant to find out."""
_SAVING_SECONDS = 120.0
"""How long the workers of a killed controller have for their step and its checkpoint. torch's launcher gives 30."""
_POLL_SECONDS = 0.1

log = logging.getLogger("bias_intervene")
_held: dict[int, Path] = {}
"""Descriptor of each lock that this process holds -> its run directory."""


@contextlib.contextmanager
def held(run_dir: Path, *, wait: bool = False) -> Generator[None]:
    """The directory is ours within the block. Raises `RunDirectoryError` naming who else has it; wait: waits for it."""
    run_dir.mkdir(parents=True, exist_ok=True)
    descriptor = _take(run_dir, wait=wait)
    _held[descriptor] = run_dir
    try:
        (run_dir / _WORKERS).unlink(missing_ok=True)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(run_dir / _HOLDER, {**_process(os.getpid()), "host": socket.gethostname(), "since": now})
        yield
    finally:
        for name in (_HOLDER, _WORKERS):
            (run_dir / name).unlink(missing_ok=True)
        if not (run_dir / "settings.json").is_file():
            # Refused before any work: nothing stays, and a process that waits for this lock is refused in the same way.
            (run_dir / _LOCK).unlink(missing_ok=True)
        del _held[descriptor]
        os.close(descriptor)  # And not unlocked: a worker that is still ending keeps it until it has.


def inherited() -> tuple[int, ...]:
    """Descriptors that a worker process must inherit."""
    return tuple(_held)


def note_worker(pid: int) -> None:
    """Writes down a process that has inherited the locks, for a controller that comes after this one."""
    for run_dir in _held.values():
        append_line(run_dir / _WORKERS, _process(pid))


def is_held(run_dir: Path) -> bool:
    """Whether a living process works in the directory."""
    if not (run_dir / _LOCK).is_file():
        return False
    descriptor = _try(run_dir / _LOCK)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None


def _try(path: Path) -> int | None:
    """A descriptor that holds the lock; None if somebody else does. A new one each time, so that a second claim in the
    same process is refused too."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    with contextlib.suppress(FileNotFoundError, BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.stat().st_ino == os.fstat(descriptor).st_ino:  # Otherwise its last holder has removed the file.
            return descriptor
    os.close(descriptor)
    return None


def _take(run_dir: Path, *, wait: bool) -> int:
    """Waits for the lock as long as is sensible. Raises `RunDirectoryError`."""
    began, is_said, is_killed = time.monotonic(), False, False
    while True:
        descriptor = _try(run_dir / _LOCK)
        if descriptor is not None:
            return descriptor
        waited = time.monotonic() - began
        if waited > PATIENCE_SECONDS:
            left_behind = _left_behind(run_dir)
            if not wait and (left_behind is None or waited > 2 * _SAVING_SECONDS):
                raise RunDirectoryError(
                    f"{run_dir}: in use{_holder(run_dir)}. Wait for it, stop it, or choose another directory with "
                    "hydra.run.dir=..."
                )
            if not is_said:
                whom = _holder(run_dir) if left_behind is None else ", left by a killed one, which save and end"
                log.info("%s: in use%s; waiting", run_dir, whom)
                is_said = True
            if left_behind and waited > _SAVING_SECONDS and not is_killed:
                is_killed = True
                for pid in left_behind:
                    log.warning("%s: process %s, left by a killed run, does not end; it is killed", run_dir, pid)
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(pid, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)


def _left_behind(run_dir: Path) -> list[int] | None:
    """Workers that outlived their controller, by the number of their process group; None if that controller lives, or
    may live: on another machine, or on a system that does not say when a process started."""
    holder = read_json(run_dir / _HOLDER) if (run_dir / _HOLDER).is_file() else None
    if holder is None or holder["host"] != socket.gethostname() or holder.get("started") is None or _lives(holder):
        return None
    workers = read_lines(run_dir / _WORKERS) if (run_dir / _WORKERS).is_file() else []
    return [worker["process"] for worker in workers if _lives(worker)]


def _process(pid: int) -> dict[str, Any]:
    """What identifies a process, also after its id is given to another one."""
    return {"process": pid, "started": _started(pid)}


def _lives(process: dict[str, Any]) -> bool:
    """Whether a process that was written down is still running."""
    return process["started"] is not None and _started(process["process"]) == process["started"]


def _started(pid: int) -> str | None:
    """When a process started, in ticks since the machine did; None for one that has ended."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else fields[18]


def _holder(run_dir: Path) -> str:
    """A clause that names the process working in the directory, where `.holder.json` does."""
    if not (run_dir / _HOLDER).is_file():
        return ""
    holder = read_json(run_dir / _HOLDER)
    return f" by process {holder['process']} on {holder['host']} since {holder['since']}"
