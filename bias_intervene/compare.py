"""`python -m bias_intervene.compare DIR...`: compares the runs below the directories, each arm with its control.

Input: run or sweep directories, or result files of lm-evaluation-harness.
Output: tables on the terminal; with `--json` one JSON object, with `--latex` tables for papers. `--output DIR` also
writes comparison.json, .csv, .md, .tex, report.html and figures/.
Guarantees: no run directory is written to. The exit status is 1 if the runs cannot be read or compared.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bias_intervene.analysis.comparison import Comparison, ComparisonOptions, compare
from bias_intervene.analysis.report import exports, terminal
from bias_intervene.console import console, prepare
from bias_intervene.errors import BiasInterveneError, RunDirectoryError, did_you_mean
from bias_intervene.record import json_text

_SHORT_KEYS = {"model": "model.name", "fraction": "intervention.fraction", "intervention": "intervention.name"}
"""Short name of a setting in --by -> its dotted key."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bias_intervene.compare",
        description="Compares the runs found below the directories, each arm with its control, over seeds where there "
        "are several. Two directories that are runs themselves are compared as given, the first as the baseline.",
    )
    parser.add_argument(
        "folders",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="run or sweep directories, or result files of lm-evaluation-harness",
    )
    parser.add_argument("--baseline", metavar="ARM", help="the arm that serves as the control (default: none)")
    parser.add_argument("--metric", nargs="+", default=[], metavar="M", help="only these, as one family of tests")
    parser.add_argument("--by", default="", metavar="KEYS", help="sections by settings, as in model,fraction")
    parser.add_argument("--force", action="store_true", help="compare what was scored in different ways")
    parser.add_argument("--published", action="store_true", help="lay the case study's published numbers beside ours")
    parser.add_argument("--latex", action="store_true", help="print LaTeX (booktabs) instead of tables")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="also write comparison.json, .csv, .md, .tex, report.html and figures/",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0, or 1 with a message."""
    prepare()
    arguments = parser().parse_args(argv)
    try:
        options = ComparisonOptions(
            baseline=arguments.baseline,
            metrics=tuple(arguments.metric),
            force=arguments.force,
            published=arguments.published,
        )
        compared = compare(arguments.folders, options)
        by = _keys_of(arguments.by, compared)
        if arguments.output:
            exports.write(compared, arguments.output)
    except BiasInterveneError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename or arguments.output}: {error.strerror or error}", file=sys.stderr)
        return 1
    if arguments.json:
        print(json_text(exports.as_json(compared)))
    elif arguments.latex:
        print(exports.latex(compared), end="")
    else:
        console().print(terminal.comparison(compared, by=by))
    return 0


def _keys_of(text: str, compared: Comparison) -> list[str]:
    """The dotted keys of the settings in --by. Raises `RunDirectoryError` for one that no run has."""
    keys = [_SHORT_KEYS.get(name.strip(), name.strip()) for name in text.split(",") if name.strip()]
    known = {key for arm in compared.arms for key in arm.first.settings}
    for key in keys:
        if key not in known:
            raise RunDirectoryError(f"--by {key}: no run has such a setting; {did_you_mean(key, known)}")
    return keys


if __name__ == "__main__":
    sys.exit(main())
