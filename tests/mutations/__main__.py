"""`python -m tests.mutations`: breaks a copy of the code, one fault at a time, and runs the known answers on each.

Prints which test caught which fault; exit status 1 if one survived, or if the code as it is does not pass. Minutes a
fault; `--only WORDS` takes those whose names hold the words.
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

from tests.mutations.mutants import MUTANTS, Mutant

REPOSITORY = Path(__file__).resolve().parent.parent.parent
KEPT = ("bias_intervene", "conf", "tests", "pyproject.toml", "README.md")


def copied(to: Path) -> Path:
    """The code as it is."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in KEPT:
        source = REPOSITORY / name
        shutil.copytree(source, to / name, ignore=ignored) if source.is_dir() else shutil.copy(source, to / name)
    return to


def broken(mutant: Mutant, place: Path) -> None:
    """Puts the fault in. Raises `ValueError` where the code has changed since it was written."""
    path = place / mutant.path
    text = path.read_text(encoding="utf8")
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.name}: found {text.count(mutant.old)} times in {mutant.path}, expected once")
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf8")


def caught_by(place: Path, cache: Path) -> tuple[list[str], float]:
    """(tests that fail, seconds)."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rfE", "tests/runs/test_known_answers.py"],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(place), "BIAS_INTERVENE_TEST_CACHE": str(cache)},
        capture_output=True,
        text=True,
    )
    found = re.findall(r"^(?:FAILED|ERROR) \S+::(\w+)", done.stdout, re.MULTILINE)
    if done.returncode and not found:
        raise SystemExit(done.stdout[-3000:] + done.stderr[-3000:])
    return found, time.monotonic() - began


def main() -> int:
    """Exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("--only", default="", metavar="WORDS", help="faults whose names hold these words")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    asked = parser.parse_args()
    told: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        failing, seconds = caught_by(copied(Path(folder) / "whole"), cache)
        print(f"the code as it is: {', '.join(failing) or 'passes'} ({seconds:.0f} s)", file=sys.stderr)
        if failing:
            return 1
        for number, mutant in enumerate(one for one in MUTANTS if asked.only in one.name):
            place = Path(folder) / f"mutant{number}"
            kept = place / "cache"
            copied(place)
            broken(mutant, place)
            if not mutant.anew:
                # The pretrained model, and no evaluation: those are what a fault may change.
                shutil.copytree(cache, kept, ignore=shutil.ignore_patterns("evaluations"))
            told[mutant.name], seconds = caught_by(place, kept)
            line = (
                f"caught by {len(told[mutant.name])}, first {told[mutant.name][0]}" if told[mutant.name] else "SURVIVED"
            )
            print(f"{mutant.name}: {line} ({seconds:.0f} s)", file=sys.stderr if asked.json else sys.stdout, flush=True)
            shutil.rmtree(place)
    if asked.json:
        print(json.dumps(told, indent=2))
    survived = sum(not found for found in told.values())
    print(f"{len(told) - survived} of {len(told)} faults caught", file=sys.stderr)
    return int(survived > 0)


if __name__ == "__main__":
    sys.exit(main())
