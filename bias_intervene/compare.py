"""`python -m bias_intervene.compare DIR...`: what the runs below the directories say, arm against control.

`--json` prints one JSON object for machines; `--output DIR` writes comparison.json and comparison.md there.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bias_intervene.analysis import pairing, tables
from bias_intervene.errors import BiasInterveneError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m bias_intervene.compare",
        description="Compares the runs found below the directories, each arm with its control. Two directories that "
        "are runs themselves are compared as given, the first as the baseline.",
    )
    made.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="run or sweep directories")
    made.add_argument("--json", action="store_true", help="print JSON instead of tables")
    made.add_argument("--output", type=Path, metavar="DIR", help="also write comparison.json and comparison.md")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0, or 1 with a message."""
    asked = parser().parse_args(argv)
    try:
        comparison = pairing.comparison(asked.folders)
        if asked.output:
            tables.write(comparison, asked.output)
    except BiasInterveneError as error:
        print(error, file=sys.stderr)
        return 1
    if asked.json:
        print(json.dumps(comparison.to_json(), indent=2))
    else:
        Console().print(tables.comparison(comparison))
    return 0


if __name__ == "__main__":
    sys.exit(main())
