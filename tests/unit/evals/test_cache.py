"""Evaluations that are kept are used only as they were computed."""

import time
from pathlib import Path

import pytest

from bias_intervene.evals.benchmarks.benchmark import Scored
from bias_intervene.evals.cache import cached
from bias_intervene.evals.ranks import SINGLE_RANK
from bias_intervene.results import MetricValue


@pytest.mark.parametrize("name", ["metrics.json", "items.parquet"])
def test_an_altered_evaluation_is_computed_anew(tmp_path: Path, name: str):
    computed: list[int] = []

    def compute() -> Scored:
        computed.append(1)
        value = MetricValue(protocol="p", subset="all", metric="m", value=0.5, stderr=0.1, n=4)
        return Scored([{"item": "a", "protocol": "p", "subsets": ["all"], "m": 0.5}], [value])

    def value() -> float:
        (metric,) = cached(
            tmp_path / "cache", {"weights": "5e1f"}, compute, items_path=tmp_path / "items.parquet", ranks=SINGLE_RANK
        )
        return metric.value

    assert (value(), value(), len(computed)) == (0.5, 0.5, 1)
    (kept,) = (tmp_path / "cache").glob(f"*/{name}")
    time.sleep(0.02)
    kept.write_bytes(kept.read_bytes().replace(b"0.5", b"0.9") + b" ")
    assert (value(), len(computed)) == (0.5, 2)
