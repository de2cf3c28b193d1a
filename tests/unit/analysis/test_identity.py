"""Identical is said where all is, and nowhere else."""

import json
from pathlib import Path

import pytest

from bias_intervene.analysis.comparison import compare
from bias_intervene.record import write_json
from tests.helpers.runs import made

ITEMS = {"a": 1.0, "b": 0.0}


def changed(folder: Path, part: str, key: str, value: object) -> None:
    record = json.loads((folder / "record.json").read_text())
    record[part][key] = value
    write_json(folder / "record.json", record)


@pytest.mark.parametrize(
    ("part", "key", "value", "said"),
    [
        (None, None, None, "identical: the weights of 1 checkpoints and the numbers of 2 items"),
        ("settings", "cache_dir", "elsewhere", "identical: the weights"),
        ("settings", "seed", 2, "not identical: setting seed: 1 -> 2"),
        ("fingerprints", "corpus", "other", "not identical: input corpus"),
        ("fingerprints", "evaluated_weights", {"step20": "y"}, "not identical: weights of step20"),
    ],
)
def test_what_differs_is_named(tmp_path: Path, part, key, value, said: str):
    folders = [made(tmp_path / name, "none", ITEMS) for name in ("one", "two")]
    for folder in folders:
        changed(folder, "fingerprints", "evaluated_weights", {"step20": "x"})
    if part:
        changed(folders[1], part, key, value)
    identity = compare(folders).identity
    assert identity is not None
    assert identity.sentence.startswith(said)


def test_an_item_that_differs(tmp_path: Path):
    folders = [made(tmp_path / name, "none", {"a": 1.0, "b": value}) for name, value in (("one", 0.0), ("two", 1e-12))]
    assert compare(folders).identity.sentence.startswith("not identical: items of evals/step20/crows_pairs.parquet")
