"""Starts Hydra: checks the command line and the output directory before it, and reports a sweep after it.

Input: the command line.
Output: an exit status; for a sweep also the comparison of its runs and the state of every job.
Guarantees: Hydra is not called with a wrong override, and no job starts in a directory that cannot be written or that
belongs to another sweep. A dry run leaves nothing but its plan, and that only where a directory was given for it.
"""

import contextlib
import sys
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from bias_intervene.app.job import hydra_main, show_comparison
from bias_intervene.app.overrides import faults_of_overrides, hide_shared_bodies, jobs_of
from bias_intervene.app.replicates import check_seeds
from bias_intervene.console import console, prepare
from bias_intervene.errors import BiasInterveneError, RunDirectoryError, SettingsError
from bias_intervene.run import sweeps
from bias_intervene.run.protocol import STOPPED


def main() -> None:
    """Entry point of `python -m bias_intervene` and of the console script `bias-intervene`."""
    prepare()
    # The default, which Hydra takes in a file and not on the command line.
    sys.argv = [word for word in sys.argv if word != "experiment=null"]
    words = [word for word in sys.argv[1:] if word.startswith("~") or (not word.startswith("-") and "=" in word)]
    # Requests of the shell for tab completion are passed to Hydra unchecked.
    if not any(word in {"--shell-completion", "-sc"} for word in sys.argv):
        faults = faults_of_overrides(words)
        if faults:
            _refuse(str(SettingsError(faults)))
    hide_shared_bodies()
    try:
        with _dry_run_leaves_nothing(words):
            hydra_main()
        exit_status = 0
    except SystemExit as end:
        if Doorman.swept is None:
            raise
        exit_status = end.code
    if Doorman.swept is not None:
        complete = _end_of_sweep(Doorman.swept, stopped=exit_status == STOPPED)
        if exit_status or not complete:
            raise SystemExit(exit_status or 1)


@contextlib.contextmanager
def _dry_run_leaves_nothing(words: Sequence[str]) -> Generator[None]:
    """A dry run writes plan.json into the directory that was given for it, and nothing anywhere else.

    Hydra makes a directory and a log for every job: they are in a folder that is taken away. words: the overrides.
    """
    given = {word.lstrip("+").split("=")[0] for word in words}
    if not any(word.lstrip("+").lower() == "dry_run=true" for word in words):
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        places = {"hydra.run.dir": folder, "hydra.sweep.dir": folder, "hydra/job_logging": "stdout"}
        is_asked = "hydra.run.dir" in given or "hydra.sweep.dir" in given
        sys.argv += [
            f"{key}={value}"
            for key, value in places.items()
            if key not in given and not (is_asked and key.endswith(".dir"))
        ]
        yield


def _end_of_sweep(folder: Path, *, stopped: bool) -> bool:
    """Compares the complete runs, unless the sweep was stopped, and prints the state of every job if any is incomplete.

    Returns whether every job of this command is complete.
    """
    jobs = sweeps.refresh(folder)
    if any(job.status == "complete" for job in jobs) and not stopped:
        try:
            show_comparison([folder], output=folder)
        except RunDirectoryError as error:
            print(error, file=sys.stderr)
    complete = all(
        job.status == "complete" for job in jobs if job.directory in Doorman.directories or not Doorman.directories
    )
    if not complete:
        console(stderr=True).print(sweeps.table(folder, jobs))
        print(f"The same command with sweep={folder.name} goes on with what is not complete.", file=sys.stderr)
    return complete


class Doorman(Callback):
    """Hydra callback, called before a run or sweep: checks that its directory can be written and belongs to it.

    Hydra turns exceptions of callbacks into warnings, so a refusal exits the process.
    """

    swept: Path | None = None
    """Directory of the sweep that this process controls."""
    directories: ClassVar[set[str]] = set()
    """Directories of its jobs; empty if a search chooses them as it runs."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Checks hydra.run.dir."""
        _check_writable(Path(str(config.hydra.run.dir)))

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Checks the seeds of the jobs and hydra.sweep.dir, and claims it."""
        folder = Path(str(config.hydra.sweep.dir))
        try:
            jobs = jobs_of(config)
            check_seeds(config, jobs, earlier=sweeps.overrides_of_jobs(folder))
            if config.get("dry_run"):
                return
            _check_writable(folder)
            Doorman.directories = sweeps.claim(folder, jobs)
        except (BiasInterveneError, HydraException) as error:
            _refuse(str(error))
        Doorman.swept = folder


def _check_writable(folder: Path) -> None:
    """Exits with a message if the directory cannot be created or written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        _refuse(
            f"{folder}: the output directory cannot be made or written ({error.strerror}); choose another with "
            "hydra.run.dir or hydra.sweep.dir"
        )


def _refuse(message: str) -> None:
    """Prints a message and exits with status 1."""
    print(message, file=sys.stderr)
    raise SystemExit(1)
