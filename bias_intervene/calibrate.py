"""`python -m bias_intervene.calibrate DIR...`: checks the measurements on a sweep of worlds whose bias is known.

Input: a sweep's directory, as `experiment=calibration` makes it.
Output: tables on the terminal, and calibration.json, calibration.html and figures/calibration_* in the sweep's
directory, or in --output.
Guarantees: the exit status is 0 only if every number with bounds lies within them.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bias_intervene.analysis.records import find
from bias_intervene.calibration import calibrate, page
from bias_intervene.console import console, prepare
from bias_intervene.errors import BiasInterveneError
from bias_intervene.record import json_text


def parser() -> argparse.ArgumentParser:
    """The command line."""
    arguments = argparse.ArgumentParser(
        prog="python -m bias_intervene.calibrate",
        description="What the runs of experiment=calibration say of the instrument: is what was planted found, and "
        "nothing else?",
    )
    arguments.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="a sweep's directory")
    arguments.add_argument("--output", type=Path, metavar="DIR", help="where to write (default: the first DIR)")
    arguments.add_argument("--json", action="store_true", help="print JSON instead of tables")
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 if the calibration passed, otherwise 1."""
    prepare()
    arguments = parser().parse_args(argv)
    try:
        run_set = find(arguments.folders)
        calibration = calibrate(run_set)
        page.write(calibration, arguments.output or arguments.folders[0])
    except BiasInterveneError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename or arguments.output}: {error.strerror or error}", file=sys.stderr)
        return 1
    for path in run_set.unfinished:
        print(f"unfinished, left out: {path}", file=sys.stderr)
    for note in calibration.notes:
        print(note, file=sys.stderr)
    if arguments.json:
        print(json_text(calibration.to_json()))
    else:
        console().print(page.terminal(calibration))
    return 0 if calibration.passed else 1


if __name__ == "__main__":
    sys.exit(main())
