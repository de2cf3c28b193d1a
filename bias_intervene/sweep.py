"""`python -m bias_intervene.sweep DIR [--watch]`: prints the state of every job of a sweep.

Input: a sweep's directory.
Output: one line per job: complete, running, failed (with its message), interrupted or waiting.
Guarantees: nothing is started or stopped; the states are read from the run directories when the command runs.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.live import Live

from bias_intervene.console import console, prepare
from bias_intervene.errors import BiasInterveneError, RunDirectoryError
from bias_intervene.run import sweeps


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 if every job is complete, otherwise 1."""
    prepare()
    parser = argparse.ArgumentParser(
        prog="python -m bias_intervene.sweep", description="Prints the state of every job of a sweep."
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="a sweep's directory")
    parser.add_argument("--watch", action="store_true", help="look again every few seconds until all is done")
    parser.add_argument("--every", type=float, default=5.0, metavar="SECONDS", help="how often to look (default: 5)")
    arguments = parser.parse_args(argv)
    if not 0.1 <= arguments.every <= 86_400:
        parser.error(f"--every {arguments.every:g}: from 0.1 to 86400 seconds")
    try:
        if not sweeps.is_sweep(arguments.folder):
            raise RunDirectoryError(
                f"{arguments.folder}: no sweep.json in it; give a sweep's directory, as outputs/sweeps/NAME"
            )
        jobs = sweeps.refresh(arguments.folder)
        if arguments.watch:
            with Live(sweeps.table(arguments.folder, jobs), console=console()) as live:
                while any(job.status in {"running", "waiting"} for job in jobs):
                    time.sleep(arguments.every)
                    jobs = sweeps.refresh(arguments.folder)
                    live.update(sweeps.table(arguments.folder, jobs))
        else:
            console().print(sweeps.table(arguments.folder, jobs))
    except BiasInterveneError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return int(any(job.status != "complete" for job in jobs))


if __name__ == "__main__":
    sys.exit(main())
