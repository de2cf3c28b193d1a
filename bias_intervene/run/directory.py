"""A run directory while a run works in it.

Input: a directory, the settings and the plan of a run. Output: settings.json, plan.json and environment.json in it.
Guarantees: one process works in a directory at a time; a complete run is not touched, an unfinished run is continued
only with its own settings; a run that is refused before any work leaves none of these files behind. Of a complete run
whose input files were changed since, a notice says so.
"""

import contextlib
import logging
import os
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from bias_intervene import record
from bias_intervene.plan import Plan
from bias_intervene.run import lock
from bias_intervene.settings import Settings

log = logging.getLogger("bias_intervene")


@contextlib.contextmanager
def open_run_directory(run_dir: Path, *, settings: Settings, plan: Plan) -> Generator[None]:
    """Within the block the directory is this process's own and fit for these settings. Raises `RunDirectoryError`."""
    if record.is_complete(run_dir):
        warn_of_changed_inputs(run_dir, settings.to_json())
    with lock.held(run_dir), record.open_run(run_dir, settings=settings.to_json(), plan=plan.to_json()):
        for line in _changed_environment(run_dir):
            log.warning("continues in another environment than it began in: %s", line)
        yield


def _changed_environment(run_dir: Path) -> list[str]:
    """A line for each version, machine or revision of this code that differs between the first start and this one."""
    path = run_dir / "environment.json"
    *_, now = record.read_lines(run_dir / record.ATTEMPTS)
    first: dict[str, Any] = record.read_json(path) if path.is_file() else {}
    return record.differences(first, {key: now[key] for key in now.keys() & first.keys()})


def warn_of_changed_inputs(run_dir: Path, settings: Mapping[str, Any]) -> None:
    """Logs which files named in the settings were written to, or replaced, after a complete run had read them."""
    changed = _changed_inputs(run_dir, settings)
    if changed:
        log.warning(
            "%s: changed since this run read it; the run stays as it is, and is not of what is there now. For that, "
            "start another one: hydra.run.dir=..., in a sweep another sweep=NAME",
            ", ".join(changed),
        )


def _changed_inputs(run_dir: Path, settings: Mapping[str, Any]) -> list[str]:
    """KEY=PATH of every setting that names a file, or a folder with a file, changed later than inputs.json."""
    if not (run_dir / "inputs.json").is_file():
        return []
    read_at = _changed_at(run_dir / "inputs.json")
    changed: list[str] = []
    for key, value in record.flatten(settings).items():
        if isinstance(value, str) and record.has_effect(key) and (key.endswith("path") or os.sep in value):
            path = Path(value).expanduser()
            if any(_changed_at(file) > read_at for file in (path, *path.rglob("*")) if file.exists()):
                changed.append(f"{key}={value}")
    return changed


def _changed_at(path: Path) -> int:
    """Nanoseconds. A file that was moved here keeps the time of its content; that of its entry is new."""
    return max(path.stat().st_mtime_ns, path.stat().st_ctime_ns)
