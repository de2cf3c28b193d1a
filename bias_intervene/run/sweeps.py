"""A sweep: the list of its jobs and the state of each.

The same command under the same name continues a sweep: complete jobs are left alone, the others resume.

Input: the overrides of every job, as Hydra expands them, and a directory.
Output: sweep.json, and a table of the jobs: complete, running, failed, interrupted or waiting.
Guarantees: the state of a job is derived from its run directory and stored nowhere else, so it is correct after any
kill and under any launcher. A directory is named after the overrides of its job, in characters that need no quoting in
a shell, and two jobs never share one.
"""

import re
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
from bias_intervene.record import FailureForm, SweepForm, check_form, fingerprint, is_complete, read_json, write_json
from bias_intervene.run.lock import is_held
from bias_intervene.settings import rounded

_FAILURE = ".failure.json"
LONGEST_NAME = 180
_STATES = {"complete": "green", "running": "cyan", "failed": "bold red", "interrupted": "yellow", "waiting": "dim"}
"""The states of a job, and the colour of each in tables."""
_LONG_FLOAT = re.compile(r"=(-?\d+\.\d{12,})$")
"""A value with more digits than settings keep."""
_NOT_IN_THE_NAME = ("cache_dir", "claims", "dry_run", "sweep", "tracking", "objective")
"""Keys that do not enter the name of a directory."""


@dataclass(frozen=True)
class Job:
    """One job of a sweep and its state."""

    directory: str
    overrides: list[str]
    status: str
    message: str | None = None


def directory_name(overrides: Sequence[str]) -> str:
    """Name of the directory of a job within its sweep: letters, digits, and . _ - only.

    >>> directory_name(["model=70m", "intervention.fraction=0.07"])
    'intervention.fraction-0.07_model-70m'
    >>> directory_name(["intervention.probability=0.30000000000000004"])
    'intervention.probability-0.3'
    """
    naming = _naming(overrides)
    name = "".join(c if c.isalnum() or c in "._-" else "." for c in "_".join(naming).replace("=", "-")).strip(".")
    if len(name) > LONGEST_NAME:
        name = f"{name[: LONGEST_NAME - 9]}-{fingerprint(naming)[:8]}"
    return name or "run"


def _naming(overrides: Sequence[str]) -> tuple[str, ...]:
    """The overrides that tell a job from others, floats with the digits that settings keep."""
    words = [_LONG_FLOAT.sub(lambda found: f"={rounded(float(found[1]))}", word.lstrip("+")) for word in overrides]
    return tuple(sorted(word for word in words if word.split("=")[0] not in _NOT_IN_THE_NAME))


def directory_in(folder: Path, overrides: Sequence[str]) -> str:
    """Name of the directory of a job within a sweep: the one that the sweep has for it, or else by `directory_name`."""
    known = {_naming(words): name for name, words in _known_jobs(folder).items()}
    return known.get(_naming(overrides)) or directory_name(overrides)


def _own_directories(folder: Path, jobs: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    """Directory -> overrides of each job. Two jobs whose values differ only in characters that a name does not keep
    (x/y, x.y) are told apart by a fingerprint. Raises `RunDirectoryError` for a job that is given twice.
    """
    taken = {name: _naming(words) for name, words in _known_jobs(folder).items()}
    requested: dict[str, list[str]] = {}
    for overrides in jobs:
        name, naming = directory_in(folder, overrides), _naming(overrides)
        if taken.get(name, naming) != naming:
            name = f"{name[: LONGEST_NAME - 9]}-{fingerprint(naming)[:8]}"
        if name in requested:
            raise RunDirectoryError(f"{folder}: two jobs of the sweep are the same, {name}; give each value once")
        taken[name] = naming
        requested[name] = list(overrides)
    return requested


def claim(folder: Path, jobs: Sequence[Sequence[str]]) -> set[str]:
    """Creates a sweep, or continues the existing one. Returns the directories of the given jobs.

    jobs: the overrides of each; empty if they are not known beforehand.
    Raises `RunDirectoryError` if a job is given twice, or if the name is in use for other jobs: a sweep can
    be repeated as a whole or in part, and extended, nothing else.
    """
    requested = _own_directories(folder, jobs)
    with _locked(folder):
        known = _known_jobs(folder)
        if known and requested and not (known.keys() <= requested.keys() or requested.keys() <= known.keys()):
            labels = _labels(known | requested)
            raise RunDirectoryError(
                f"{folder}: this sweep holds other jobs, {_a_few(labels, known)}, and was asked for "
                f"{_a_few(labels, requested)}. Repeat it, repeat a part of it or add values to it; another question "
                "takes another name: sweep=NAME"
            )
        _write_states(folder, known | requested)
    return set(requested)


def _labels(jobs: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Directory -> the overrides that distinguish its job from the others."""
    common = set[str]().union(*jobs.values()).intersection(*jobs.values()) if len(jobs) > 1 else set[str]()
    return {name: " ".join(word for word in words if word not in common) or name for name, words in jobs.items()}


def _a_few(labels: Mapping[str, str], names: Iterable[str]) -> str:
    """The first labels of many, for messages."""
    words = [f'"{labels[name]}"' for name in names]
    return ", ".join(words[:3]) + (f" and {len(words) - 3} more" if len(words) > 3 else "")


def is_sweep(folder: Path) -> bool:
    """Whether the directory holds a sweep."""
    return (folder / "sweep.json").is_file()


def read(folder: Path) -> dict[str, Any]:
    """The content of sweep.json. Raises `RunDirectoryError` if it is not one of ours."""
    check_form(folder / "sweep.json", SweepForm)
    return read_json(folder / "sweep.json")


def overrides_of_jobs(folder: Path) -> list[list[str]]:
    """The overrides of the jobs that a sweep holds so far; none if there is no sweep."""
    return list(_known_jobs(folder).values())


def _known_jobs(folder: Path) -> dict[str, list[str]]:
    """Directory -> overrides of the jobs of a sweep; empty if there is no sweep."""
    return {job["directory"]: job["overrides"] for job in read(folder)["jobs"]} if is_sweep(folder) else {}


def _write_states(folder: Path, jobs: dict[str, list[str]]) -> list[Job]:
    """Determines the state of every job and writes sweep.json."""
    states = [_state_of(folder, name, overrides) for name, overrides in jobs.items()]
    counts = Counter(job.status for job in states)
    write_json(
        folder / "sweep.json",
        {"schema": 1, "name": folder.name, "counts": dict(counts), "jobs": [asdict(job) for job in states]},
    )
    return states


def _state_of(folder: Path, name: str, overrides: list[str]) -> Job:
    """The state of one job, from the files in its directory."""
    run_dir = folder / name
    if is_complete(run_dir):
        return Job(name, overrides, "complete")
    if is_held(run_dir):
        return Job(name, overrides, "running")
    if (run_dir / _FAILURE).is_file():
        check_form(run_dir / _FAILURE, FailureForm)
        return Job(name, overrides, "failed", read_json(run_dir / _FAILURE)["message"])
    return Job(name, overrides, "interrupted" if (run_dir / "settings.json").is_file() else "waiting")


def refresh(folder: Path, *, directory: str | None = None, overrides: Sequence[str] = ()) -> list[Job]:
    """The current states of the jobs; rewrites sweep.json. directory: a job to add, chosen by a search."""
    with _locked(folder):
        jobs = _known_jobs(folder)
        if directory is not None:
            jobs.setdefault(directory, list(overrides))
        return _write_states(folder, jobs)


def _locked(folder: Path) -> FileLock:
    """The lock for writing sweep.json: jobs of several processes may end at the same time."""
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / ".sweep.lock")


def fail(run_dir: Path, message: str) -> None:
    """Stores why a job failed, until it is started again."""
    write_json(run_dir / _FAILURE, {"message": message})


def forget_failure(run_dir: Path) -> None:
    """Removes the stored failure of a job that is started again."""
    (run_dir / _FAILURE).unlink(missing_ok=True)


# --- for the terminal ------------------------------------------------------------------------------------------


def _counts_in_words(jobs: Sequence[Job]) -> str:
    """The number of jobs in each state, in words."""
    counts = Counter(job.status for job in jobs)
    return ", ".join(f"{counts[state]} {state}" for state in _STATES if counts[state]) or "no jobs"


def table(folder: Path, jobs: Sequence[Job]) -> Group:
    """A table with one line per job, and the messages of failed jobs below it."""
    jobs_table = Table(title=f"{folder.name}: {_counts_in_words(jobs)}", box=box.SIMPLE_HEAD, title_justify="left")
    jobs_table.add_column("job", overflow="fold")
    jobs_table.add_column("state")
    labels = _labels({job.directory: job.overrides for job in jobs})
    for job in jobs:
        jobs_table.add_row(labels[job.directory], Text(job.status, style=_STATES[job.status]))
    reasons = [Text(f"{labels[job.directory]}: {job.message}", style="red") for job in jobs if job.message]
    return Group(jobs_table, *reasons)
