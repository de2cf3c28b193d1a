"""`python -m tests.mutations`: breaks a copy of the code, one fault at a time, and runs the known answers on each.

Prints which test caught which fault. A fault is caught by a test that fails; one with which the sweep does not run to
its end was not put in well, and is reported as such. Exit status 1 if a fault survived or stopped the sweep, or if the
code as it is does not pass. Minutes a fault; `--only WORDS` takes those whose names hold the words.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.mutations.mutants import MUTANTS, Mutant, check

REPOSITORY = Path(__file__).resolve().parent.parent.parent
COPIED = ("bias_intervene", "conf", "tests", "pyproject.toml", "README.md")


class Outcome(NamedTuple):
    """Of the known answers: the tests that failed, the tests whose sweep did not run, the end of pytest's output."""

    failed: list[str]
    without_sweep: list[str]
    output: str
    seconds: float


def copy_code(to: Path) -> None:
    """The code as it is."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in COPIED:
        source = REPOSITORY / name
        shutil.copytree(source, to / name, ignore=ignored) if source.is_dir() else shutil.copy(source, to / name)


def with_fault(source: str, mutant: Mutant) -> str:
    """The source of the mutant's module, with the fault put in at its end."""
    target = mutant.definition
    return (
        f"{source}\n\nfrom tests.mutations import mutants as _mutants\n\n"
        f"{target} = _mutants.replace({mutant.name!r}, {target})\n"
    )


def put_in(mutant: Mutant, folder: Path) -> None:
    """Puts the fault into the copy. Raises `ValueError` where the code has changed so that it no longer applies."""
    check(mutant)
    path = folder / f"{mutant.module.replace('.', '/')}.py"
    path.write_text(with_fault(path.read_text(encoding="utf8"), mutant), encoding="utf8")


def known_answers(folder: Path, cache: Path) -> Outcome:
    """Runs tests/runs/test_known_answers.py on the copy."""
    started = time.monotonic()
    command = "-m pytest --all -q -n 0 -p no:cacheprovider -rfE tests/runs/test_known_answers.py"
    done = subprocess.run(
        [sys.executable, *command.split()],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "BIAS_INTERVENE_TEST_CACHE": str(cache)},
        capture_output=True,
        text=True,
    )
    failed, without_sweep = (
        re.findall(rf"^{word} \S+::(\w+)", done.stdout, re.MULTILINE) for word in ("FAILED", "ERROR")
    )
    output = done.stdout[-3000:] + done.stderr[-3000:]
    if done.returncode and not failed and not without_sweep:
        raise SystemExit(output)
    return Outcome(failed, without_sweep, output, time.monotonic() - started)


def describe(outcome: Outcome) -> str:
    """A line on one fault."""
    if outcome.failed:
        return f"caught by {len(outcome.failed)}, first {outcome.failed[0]} ({outcome.seconds:.0f} s)"
    if outcome.without_sweep:
        return f"THE SWEEP DID NOT RUN ({outcome.seconds:.0f} s)\n{outcome.output}"
    return f"SURVIVED ({outcome.seconds:.0f} s)"


def main() -> int:
    """Exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("--only", default="", metavar="WORDS", help="faults whose names hold these words")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    arguments = parser.parse_args()
    mutants = [mutant for mutant in MUTANTS.values() if arguments.only in mutant.name]
    for mutant in mutants:
        check(mutant)
    caught: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        cache = place / "cache"
        copy_code(place / "whole")
        outcome = known_answers(place / "whole", cache)
        if outcome.failed or outcome.without_sweep:
            print(f"the code as it is does not pass:\n{outcome.output}", file=sys.stderr)
            return 1
        print(f"the code as it is passes ({outcome.seconds:.0f} s)", file=sys.stderr)
        for number, mutant in enumerate(mutants):
            folder = place / f"mutant{number}"
            copy_code(folder)
            put_in(mutant, folder)
            if not mutant.changes_cache:
                # The pretrained model, and no evaluation: those are what a fault may change.
                shutil.copytree(cache, folder / "cache", ignore=shutil.ignore_patterns("evaluations"))
            outcome = known_answers(folder, folder / "cache")
            caught[mutant.name] = outcome.failed
            shown = sys.stderr if arguments.json else sys.stdout
            print(f"{mutant.name}: {describe(outcome)}", file=shown, flush=True)
            shutil.rmtree(folder)
    if arguments.json:
        print(json.dumps(caught, indent=2))
    missed = sum(not tests for tests in caught.values())
    print(f"{len(caught) - missed} of {len(caught)} faults caught", file=sys.stderr)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
