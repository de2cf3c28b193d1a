"""Run directories of the tests of whole runs."""

from pathlib import Path

from tests.conftest import NO_BENCHMARKS, TINY

QUICK = (*TINY, *NO_BENCHMARKS)
"""A run in which the manipulation check alone is scored."""
NOTHING_SCORED = (*QUICK, "evals.pronouns.enabled=false")
"""A run without the stage `evaluate`, for tests of the training: that stage starts a process that imports torch."""


def arm(sweep: Path, name: str) -> Path:
    (found,) = [p.parent for p in sweep.glob("*/settings.json") if f"intervention-{name}_" in p.parent.name]
    return found
