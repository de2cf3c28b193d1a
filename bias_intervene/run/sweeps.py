"""A sweep: its jobs and the state of each.

Input: the overrides of every job, as Hydra expands them, and a directory. Output: sweep.json, and a table of the jobs
that are complete, running, failed, interrupted and waiting. Guarantees: the state of a job is read from its run
directory and stored nowhere else, so it is right after any kill and under any launcher; a directory is named by the
overrides of its job, in characters that a shell leaves alone; two jobs never share a directory.

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

_FAILURE = ".failure.json"
LONGEST_NAME = 180
_STATES = {"complete": "green", "running": "cyan", "failed": "bold red", "interrupted": "yellow", "waiting": "dim"}
"""The states of a job, with their colours."""
_NOT_IN_THE_NAME = ("cache_dir", "dry_run", "sweep", "tracking", "objective")
"""Keys whose values do not enter the name of a directory: they make no other run."""


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
    words = sorted(word.lstrip("+") for word in overrides if word.lstrip("+").split("=")[0] not in _NOT_IN_THE_NAME)
    name = "".join(c if c.isalnum() or c in "._-" else "." for c in "_".join(words).replace("=", "-")).strip(".")
    if len(name) > LONGEST_NAME:
        name = f"{name[: LONGEST_NAME - 9]}-{fingerprint(words)[:8]}"
    return name or "run"


def claim(folder: Path, jobs: Sequence[Sequence[str]]) -> set[str]:
    """Opens a sweep, or continues the one in `folder`. Returns the directories of `jobs`.

    jobs: the overrides of each; empty: they are not known beforehand. Raises `RunDirectoryError` where two jobs would
    share a directory, and where the name is in use by other jobs: a sweep can be repeated, extended and repeated in
    part, nothing else.
    """
    requested = {directory_name(overrides): list(overrides) for overrides in jobs}
    if len(requested) < len(jobs):
        names = Counter(directory_name(overrides) for overrides in jobs)
        twice = next(name for name, count in names.items() if count > 1)
        raise RunDirectoryError(f"{folder}: two jobs of the sweep would be written into {twice}; give each value once")
    with _locked(folder):
        known = _known_jobs(folder)
        if known and requested and not (known.keys() <= requested.keys() or requested.keys() <= known.keys()):
            labels = _labels(known | requested)
            raise RunDirectoryError(
                f"{folder}: this sweep holds other jobs, {_some(labels, known)}, and was asked for "
                f"{_some(labels, requested)}. Repeat it, repeat a part of it or add values to it; "
                "another question takes another name: sweep=NAME"
            )
        _write(folder, known | requested)
    return set(requested)


def _labels(jobs: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Directory -> the overrides by which a job differs from the others."""
    common = set.intersection(*(set(overrides) for overrides in jobs.values())) if len(jobs) > 1 else set()
    return {name: " ".join(word for word in words if word not in common) or name for name, words in jobs.items()}


def _some(labels: Mapping[str, str], names: Iterable[str]) -> str:
    """Three of the jobs by their labels, and how many more there are."""
    words = [f'"{labels[name]}"' for name in names]
    return ", ".join(words[:3]) + (f" and {len(words) - 3} more" if len(words) > 3 else "")


def is_sweep(folder: Path) -> bool:
    """Whether the folder holds a sweep."""
    return (folder / "sweep.json").is_file()


def read(folder: Path) -> dict[str, Any]:
    """sweep.json as it was last written."""
    return read_json(folder / "sweep.json")


def _known_jobs(folder: Path) -> dict[str, list[str]]:
    """Directory -> overrides of the jobs that the sweep holds; empty where there is no sweep."""
    return {job["directory"]: job["overrides"] for job in read(folder)["jobs"]} if is_sweep(folder) else {}


def _write(folder: Path, jobs: dict[str, list[str]]) -> list[Job]:
    """Reads the state of every job and writes sweep.json."""
    states = [_state_of(folder, name, overrides) for name, overrides in jobs.items()]
    counts = Counter(job.status for job in states)
    write_json(
        folder / "sweep.json",
        {"schema": 1, "name": folder.name, "counts": dict(counts), "jobs": [asdict(job) for job in states]},
    )
    return states


def _state_of(folder: Path, name: str, overrides: list[str]) -> Job:
    """One job, its state by the files in its directory."""
    run_dir = folder / name
    if is_complete(run_dir):
        return Job(name, overrides, "complete")
    if is_held(run_dir):
        return Job(name, overrides, "running")
    if (run_dir / _FAILURE).is_file():
        return Job(name, overrides, "failed", read_json(run_dir / _FAILURE)["message"])
    return Job(name, overrides, "interrupted" if (run_dir / "settings.json").is_file() else "waiting")


def refresh(folder: Path, *, directory: str | None = None, overrides: Sequence[str] = ()) -> list[Job]:
    """The jobs as they are now, sweep.json written anew. directory: a job not known before, as a search makes them."""
    with _locked(folder):
        jobs = _known_jobs(folder)
        if directory is not None:
            jobs.setdefault(directory, list(overrides))
        return _write(folder, jobs)


def _locked(folder: Path) -> FileLock:
    """The lock for writing sweep.json: jobs in several processes may end at the same time."""
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / ".sweep.lock")


def fail(run_dir: Path, message: str) -> None:
    """Writes down why a job failed; this stays until it is started again."""
    write_json(run_dir / _FAILURE, {"message": message})


def forget_failure(run_dir: Path) -> None:
    """Removes the reason of an earlier failure, as the job is started again."""
    (run_dir / _FAILURE).unlink(missing_ok=True)


# --- for people ------------------------------------------------------------------------------------------------


def _counted(jobs: Sequence[Job]) -> str:
    """How many jobs are in each state, in words."""
    counts = Counter(job.status for job in jobs)
    return ", ".join(f"{counts[state]} {state}" for state in _STATES if counts[state]) or "no jobs"


def table(folder: Path, jobs: Sequence[Job]) -> Group:
    """One line a job, the reasons of the failed ones below."""
    rows = Table(title=f"{folder.name}: {_counted(jobs)}", box=box.SIMPLE_HEAD, title_justify="left")
    rows.add_column("job", overflow="fold")
    rows.add_column("state")
    labels = _labels({job.directory: job.overrides for job in jobs})
    for job in jobs:
        rows.add_row(labels[job.directory], Text(job.status, style=_STATES[job.status]))
    reasons = [Text(f"{labels[job.directory]}: {job.message}", style="red") for job in jobs if job.message]
    return Group(rows, *reasons)
