"""What surrounds Hydra: the door before it, and a sweep's end after it.

Enters: the command line. Leaves: an exit status, and of a sweep its comparison and what became of every job.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console

from bias_intervene.app.job import hydra_main, show_comparison
from bias_intervene.app.overrides import faults_of_overrides, hide_shared_bodies, jobs_of
from bias_intervene.errors import BiasInterveneError, RunDirectoryError, SettingsError
from bias_intervene.run import sweeps
from bias_intervene.run.protocol import STOPPED


def main() -> None:
    """Entry point of `python -m bias_intervene` and of the console script."""
    words = [word for word in sys.argv[1:] if not word.startswith("-") and "=" in word]
    # Tab completion and the shell's own flags pass through untouched.
    if not any(word in {"--shell-completion", "-sc"} for word in sys.argv):
        faults = faults_of_overrides(words)
        if faults:
            refuse(str(SettingsError(faults)))
    hide_shared_bodies()
    try:
        hydra_main()
        ended = 0
    except SystemExit as end:
        if Doorman.swept is None:
            raise
        ended = end.code
    if Doorman.swept is not None:
        complete = end_of_sweep(Doorman.swept, stopped=ended == STOPPED)
        if ended or not complete:
            raise SystemExit(ended or 1)


def end_of_sweep(folder: Path, *, stopped: bool) -> bool:
    """Says what became of every job, and compares what is complete, unless it is to stop.

    True where all that were asked for are complete.
    """
    jobs = sweeps.refresh(folder)
    if any(job.status == "complete" for job in jobs) and not stopped:
        try:
            show_comparison([folder], output=folder)
        except RunDirectoryError as error:
            print(error, file=sys.stderr)
    complete = all(job.status == "complete" for job in jobs if job.directory in Doorman.asked or not Doorman.asked)
    if not complete:
        Console(stderr=True).print(sweeps.table(folder, jobs))
        print(f"The same command with sweep={folder.name} goes on with what is not complete.", file=sys.stderr)
    return complete


class Doorman(Callback):
    """Before a run or sweep: can its directory be written, and is it this sweep's?

    Hydra turns exceptions of callbacks into warnings, so a refusal ends the process itself.
    """

    swept: Path | None = None
    """The sweep that this process controls."""
    asked: ClassVar[set[str]] = set()
    """Directories of its jobs; empty where a search makes them as it goes."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Checks hydra.run.dir."""
        check_writable(Path(str(config.hydra.run.dir)))

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Checks hydra.sweep.dir and claims it."""
        folder = Path(str(config.hydra.sweep.dir))
        check_writable(folder)
        if config.get("dry_run"):
            return
        try:
            Doorman.asked = sweeps.claim(folder, jobs_of(config))
        except (BiasInterveneError, HydraException) as error:
            refuse(str(error))
        Doorman.swept = folder


def check_writable(folder: Path) -> None:
    """Ends the process with a message where the directory cannot be made or written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        refuse(
            f"{folder}: the output directory cannot be made or written ({error.strerror}); choose another with "
            "hydra.run.dir or hydra.sweep.dir"
        )


def refuse(message: str) -> None:
    """Prints a message and ends with status 1."""
    print(message, file=sys.stderr)
    raise SystemExit(1)
