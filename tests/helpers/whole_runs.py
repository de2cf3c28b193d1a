"""Run directories of the tests of whole runs."""

from pathlib import Path

from tests.conftest import NO_BENCHMARKS, TINY

QUICK = (*TINY, *NO_BENCHMARKS)


def arm(sweep: Path, name: str) -> Path:
    (found,) = [p.parent for p in sweep.glob("*/settings.json") if f"intervention-{name}_" in p.parent.name]
    return found
