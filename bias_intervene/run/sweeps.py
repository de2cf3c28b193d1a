"""A sweep: its jobs, and what became of each.

Enters: the overrides of every job, as Hydra expands them, and a directory. Leaves: sweep.json, and a table of what is
complete, running, failed, interrupted and waiting. Promised: the state
of a job is read off its run directory and kept nowhere else, so it is right after any kill and under any launcher; a
directory is named by the overrides of its job, in letters that can be pasted; two jobs never share one.

The same command under the same name continues: complete jobs are left alone, the others go on from where they are.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from bias_intervene.errors import RunDirectoryError
from bias_intervene.record import fingerprint, is_complete, read_json, write_json
from bias_intervene.run.lock import is_held

FAILURE = ".failure.json"
LONGEST_NAME = 180
STATES = {"complete": "green", "running": "cyan", "failed": "bold red", "interrupted": "yellow", "waiting": "dim"}
"""What a job can be, and its colour."""
NOT_IN_THE_NAME = ("cache_dir", "dry_run", "sweep", "tracking", "objective")
"""Keys that make no other run, as far as a name is concerned."""


@dataclass(frozen=True)
class Job:
    """One job and its state."""

    directory: str
    overrides: list[str]
    status: str
    message: str | None = None


def directory_name(overrides: Sequence[str]) -> str:
    """The directory of a job within its sweep: letters, digits and . _ - only.

    >>> directory_name(["model=70m", "intervention.fraction=0.07"])
    'intervention.fraction-0.07_model-70m'
    """
    told = sorted(word.lstrip("+") for word in overrides if word.lstrip("+").split("=")[0] not in NOT_IN_THE_NAME)
    name = "".join(c if c.isalnum() or c in "._-" else "." for c in "_".join(told).replace("=", "-")).strip(".")
    if len(name) > LONGEST_NAME:
        name = f"{name[: LONGEST_NAME - 9]}-{fingerprint(told)[:8]}"
    return name or "run"


def claim(folder: Path, jobs: Sequence[Sequence[str]]) -> set[str]:
    """Opens a sweep, or takes up the one that stands there. Returns the directories of the jobs asked for.

    jobs: the overrides of each; empty: they are not known beforehand.
    Raises `RunDirectoryError` where two jobs would share a directory, and where the name is in use by other jobs: a
    sweep can be repeated, extended and repeated in part, nothing else.
    """
    asked = {directory_name(overrides): list(overrides) for overrides in jobs}
    if len(asked) < len(jobs):
        names = Counter(directory_name(overrides) for overrides in jobs)
        twice = next(name for name, count in names.items() if count > 1)
        raise RunDirectoryError(f"{folder}: two jobs of the sweep would be written into {twice}; give each value once")
    with locked(folder):
        known = known_jobs(folder)
        if known and asked and not (known.keys() <= asked.keys() or asked.keys() <= known.keys()):
            told = telling(known | asked)
            raise RunDirectoryError(
                f"{folder}: this sweep holds other jobs, {some(told, known)}, and was asked for {some(told, asked)}. "
                "Repeat it, repeat a part of it or add values to it; another question takes another name: sweep=NAME"
            )
        write(folder, known | asked)
    return set(asked)


def telling(jobs: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Directory -> the overrides that tell a job from the others."""
    common = set.intersection(*(set(overrides) for overrides in jobs.values())) if len(jobs) > 1 else set()
    return {name: " ".join(word for word in words if word not in common) or name for name, words in jobs.items()}


def some(told: Mapping[str, str], names: Iterable[str]) -> str:
    """A few jobs of many."""
    words = [f'"{told[name]}"' for name in names]
    return ", ".join(words[:3]) + (f" and {len(words) - 3} more" if len(words) > 3 else "")


def is_sweep(folder: Path) -> bool:
    """Whether a sweep stands there."""
    return (folder / "sweep.json").is_file()


def read(folder: Path) -> dict[str, Any]:
    """sweep.json as it stands."""
    return read_json(folder / "sweep.json")


def known_jobs(folder: Path) -> dict[str, list[str]]:
    """Directory -> overrides of the jobs that the sweep holds; none where no sweep stands."""
    return {job["directory"]: job["overrides"] for job in read(folder)["jobs"]} if is_sweep(folder) else {}


def write(folder: Path, jobs: dict[str, list[str]]) -> list[Job]:
    """Looks at every job's directory and writes sweep.json."""
    found = [state_of(folder, name, overrides) for name, overrides in jobs.items()]
    counts = Counter(job.status for job in found)
    write_json(
        folder / "sweep.json",
        {"schema": 1, "name": folder.name, "counts": dict(counts), "jobs": [asdict(job) for job in found]},
    )
    return found


def state_of(folder: Path, name: str, overrides: list[str]) -> Job:
    """What became of one job, by what stands in its directory."""
    run_dir = folder / name
    if is_complete(run_dir):
        return Job(name, overrides, "complete")
    if is_held(run_dir):
        return Job(name, overrides, "running")
    if (run_dir / FAILURE).is_file():
        return Job(name, overrides, "failed", read_json(run_dir / FAILURE)["message"])
    return Job(name, overrides, "interrupted" if (run_dir / "settings.json").is_file() else "waiting")


def refresh(folder: Path, *, directory: str | None = None, overrides: Sequence[str] = ()) -> list[Job]:
    """The jobs as they are now, sweep.json written anew. directory: a job that was not known before (a search's)."""
    with locked(folder):
        jobs = known_jobs(folder)
        if directory is not None:
            jobs.setdefault(directory, list(overrides))
        return write(folder, jobs)


def locked(folder: Path) -> FileLock:
    """What holds others off while sweep.json is written: jobs of several processes end at the same time."""
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / ".sweep.lock")


def fail(run_dir: Path, message: str) -> None:
    """Keeps why a job failed, until it is started again."""
    write_json(run_dir / FAILURE, {"message": message})


def forget_failure(run_dir: Path) -> None:
    """The job is started again."""
    (run_dir / FAILURE).unlink(missing_ok=True)


# --- for people ------------------------------------------------------------------------------------------------


def counted(jobs: Sequence[Job]) -> str:
    """How many jobs are in each state, in words."""
    counts = Counter(job.status for job in jobs)
    return ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state]) or "no jobs"


def table(folder: Path, jobs: Sequence[Job]) -> Group:
    """One line a job, the failed ones with their reason below."""
    made = Table(title=f"{folder.name}: {counted(jobs)}", box=box.SIMPLE_HEAD, title_justify="left")
    made.add_column("job", overflow="fold")
    made.add_column("state")
    told = telling({job.directory: job.overrides for job in jobs})
    for job in jobs:
        made.add_row(told[job.directory], Text(job.status, style=STATES[job.status]))
    reasons = [Text(f"{told[job.directory]}: {job.message}", style="red") for job in jobs if job.message]
    return Group(made, *reasons)
