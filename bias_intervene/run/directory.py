"""A run directory while a run works in it.

Input: a directory, the settings and the plan of a run. Output: settings.json, plan.json and environment.json in it.
Guarantees: one process works in a directory at a time; a complete run is not touched, an unfinished run is continued
only with its own settings; a run that is refused before any work leaves none of these files behind.
"""

import contextlib
from collections.abc import Generator
from pathlib import Path

from bias_intervene import record
from bias_intervene.plan import Plan
from bias_intervene.run import lock
from bias_intervene.settings import Settings


@contextlib.contextmanager
def open_run_directory(run_dir: Path, *, settings: Settings, plan: Plan) -> Generator[None]:
    """Within the block the directory is this process's own and fit for these settings. Raises `RunDirectoryError`."""
    with lock.held(run_dir), record.open_run(run_dir, settings=settings.to_json(), plan=plan.to_json()):
        yield
