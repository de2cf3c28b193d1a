"""The difference of two checkpoints is that of the values beside it, whatever items they have in common."""

import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bias_intervene.analysis.comparison import Comparison, ComparisonOptions, compare
from bias_intervene.errors import RunDirectoryError
from bias_intervene.record import read_json, write_json
from bias_intervene.results import ComparisonRow, MetricSpec
from tests.helpers.runs import made


def scored(folder: Path, spec: MetricSpec, value: float, rows: list[dict[str, Any]], arm: str = "both") -> Path:
    """A run whose one metric is a toy's, with these items."""
    made(folder, arm, {"a": 1.0})
    write_items(folder, "toy", rows)
    record = read_json(folder / "record.json")
    names = {"protocol": "p", "subset": "all", "metric": spec.metric}
    metric = {"step": 20, "benchmark": "toy", **names, "value": value, "stderr": None, "n": len(rows)}
    record["results"] |= {"metrics": [metric], "specs": [spec.to_json()]}
    write_json(folder / "record.json", record)
    return folder


def write_items(folder: Path, benchmark: str, rows: list[dict[str, Any]]) -> None:
    """Its items at the last step."""
    common = {"protocol": "p", "subsets": ["all"]}
    table = pa.Table.from_pylist([{**common, **row} for row in rows])
    pq.write_table(table, folder / "evals" / "step20" / f"{benchmark}.parquet")


def difference(compared: Comparison) -> ComparisonRow:
    """The one row with a difference."""
    (row,) = [row for row in compared.rows if row.difference is not None]
    return row


def test_values_are_over_the_common_items(tmp_path: Path):
    made(tmp_path / "none", "none", {"a": 1.0, "b": 0.0, "c": 1.0, "of the whole file": 1.0})
    made(tmp_path / "both", "both", {"a": 0.0, "b": 0.0, "c": 1.0})
    compared = compare([tmp_path])
    row = difference(compared)
    assert (row.baseline, row.value, row.difference, row.n) == pytest.approx((2 / 3, 1 / 3, -1 / 3, 3))
    # s / sqrt(n) of two ones and a zero.
    assert row.baseline_stderr == pytest.approx(math.sqrt(1 / 3) / math.sqrt(3))
    assert row.items_left_out == 1
    assert list(compared.notes) == [
        "both and none: crows_pairs: items that one side alone has are left out (up to 1 of a metric); values and "
        "differences are over the common ones"
    ]


def test_all_items_in_common_leave_the_values_of_the_record(tmp_path: Path):
    made(tmp_path / "none", "none", {"a": 1.0, "b": 0.0})
    made(tmp_path / "both", "both", {"b": 0.0, "a": 0.0})
    compared = compare([tmp_path])
    row = difference(compared)
    assert (row.baseline, row.value, row.stderr, row.items_left_out) == (0.5, 0.0, 0.1, 0)
    assert compared.notes == []


def test_a_perplexity_over_the_common_items(tmp_path: Path):
    spec = MetricSpec("toy", "ppl", pairing="perplexity", column="ll")
    rows = [{"item": "a", "ll": -1.0}, {"item": "b", "ll": -2.0}]
    scored(tmp_path / "none", spec, math.exp(2.0), [*rows, {"item": "c", "ll": -3.0}], arm="none")
    scored(tmp_path / "both", spec, math.exp(2.5), [{"item": "a", "ll": -2.0}, {"item": "b", "ll": -3.0}])
    row = difference(compare([tmp_path]))
    assert (row.baseline, row.value) == pytest.approx((math.exp(1.5), math.exp(2.5)))
    assert row.difference == pytest.approx(row.value - row.baseline)  # type: ignore[operator]


def test_a_gap_over_the_common_items(tmp_path: Path):
    """Minus the column, the mean over clusters of `high` less that of `low`."""
    spec = MetricSpec("toy", "gap", pairing="gap", column="odds", groups=("high", "low"))

    def items(*odds: float) -> list[dict[str, Any]]:
        places = [("he1", "chef", "high"), ("he2", "boss", "high"), ("she1", "nurse", "low"), ("she2", "maid", "low")]
        return [
            {"item": name, "cluster": cluster, "subsets": [group], "odds": value}
            for (name, cluster, group), value in zip(places, odds, strict=True)
        ]

    more = {"item": "he1 again", "cluster": "chef", "subsets": ["high"], "odds": 9.0}
    scored(tmp_path / "none", spec, 9.0, [*items(-1.0, -1.0, 1.0, 1.0), more], arm="none")
    scored(tmp_path / "both", spec, 1.0, items(-0.5, -0.5, 0.5, 0.5))
    row = difference(compare([tmp_path]))
    assert (row.baseline, row.value, row.difference) == (2.0, 1.0, -1.0)
    assert row.items_left_out == 1


def test_the_same_model_differs_by_nothing_over_the_common_items_with_force(tmp_path: Path):
    """A part of a file, given as another file, against the whole."""
    whole = {"a": 1.0, "b": 0.0, "c": 1.0}
    first = made(tmp_path / "whole", "none", whole)
    second = made(tmp_path / "part", "none", {"a": 1.0, "b": 0.0}, items="other")
    compared = compare([first, second], ComparisonOptions(force=True))
    row = difference(compared)
    assert (row.baseline, row.value, row.difference) == (0.5, 0.5, 0.0)
    assert compared.notes[0] == f"{second} and {first}: crows_pairs was scored differently: items (other and same)"


def test_no_item_in_common_is_refused_by_name(tmp_path: Path):
    made(tmp_path / "none", "none", {"a": 1.0})
    made(tmp_path / "both", "both", {"b": 1.0})
    with pytest.raises(RunDirectoryError, match=r"both and .*none: likelihood gender pct_stereotype: the runs have no"):
        compare([tmp_path])
