"""`python -m bias_intervene.rerun RUN_DIR`: repeats a run from its record and says whether the result is identical.

Input: the directory of a complete run.
Output: another run directory with the same settings, and a sentence that says whether the two are bit-identical.
Guarantees: nothing but the settings is taken from the first run. Differences in package versions, hardware and the
revision of this code are printed before the start, because they may change the result.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from bias_intervene import record
from bias_intervene.analysis import identity, records
from bias_intervene.console import prepare
from bias_intervene.errors import BiasInterveneError, RunDirectoryError, StageStopped
from bias_intervene.run import pipeline
from bias_intervene.run.directory import open_run_directory
from bias_intervene.run.launch import stoppable
from bias_intervene.run.planning import plan_of
from bias_intervene.run.protocol import STOPPED
from bias_intervene.settings import read_settings

log = logging.getLogger("bias_intervene")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 if the two runs are identical, 3 if they differ, 75 if stopped, 1 with an error message."""
    prepare()
    parser = argparse.ArgumentParser(
        prog="python -m bias_intervene.rerun",
        description="Repeats a complete run from its record, and says whether the two are identical.",
    )
    parser.add_argument("folder", type=Path, metavar="RUN_DIR", help="a complete run")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="directory of the new run (default: outputs/runs/...)"
    )
    parser.add_argument(
        "--cache-dir", metavar="DIR", help="cache to use instead of the record's or $BIAS_INTERVENE_CACHE"
    )
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="[%(asctime)s] %(message)s", stream=sys.stdout)
    output = arguments.output or Path("outputs/runs") / f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    try:
        with stoppable():
            return _rerun(
                arguments.folder, output, cache_dir=arguments.cache_dir or os.environ.get("BIAS_INTERVENE_CACHE")
            )
    except StageStopped as stopped:
        log.warning("%s", stopped)
        return STOPPED
    except BiasInterveneError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename or output}: {error.strerror or error}", file=sys.stderr)
        return 1


def _rerun(folder: Path, output: Path, *, cache_dir: str | None) -> int:
    """Repeats the run of `folder` in `output` and compares the two; returns the exit status."""
    if not record.is_complete(folder):
        raise RunDirectoryError(f"{folder}: no record.json in it; give the directory of a complete run")
    first = records.Run(folder, records.read_record(folder / "record.json"))
    settings = read_settings(first.record["settings"] | ({"cache_dir": cache_dir} if cache_dir else {}))
    for line in record.differences(first.record["environment"] or {}, record.describe_environment()):
        log.warning("differs since then: %s", line)
    if len({record.fingerprint({**attempt, "started": None}) for attempt in first.record.get("attempts") or ()}) > 1:
        log.warning("the run was made in several environments (attempts in record.json); a repetition has one")
    plan = plan_of(settings)
    with open_run_directory(output, settings=settings, plan=plan):
        pipeline.run(output, settings, plan)
    comparison = identity.compare_bitwise(first, records.Run(output, records.read_record(output / "record.json")))
    print(f"{output} and {folder}: {comparison.sentence}")
    return 3 if comparison.differing else 0


if __name__ == "__main__":
    sys.exit(main())
