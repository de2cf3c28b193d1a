"""Labels of clusters, of files that are written now and of older ones."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from bias_intervene.analysis.clusters import caveat_of_older_records, cluster_labels
from bias_intervene.analysis.records import read_items
from bias_intervene.errors import RunDirectoryError
from bias_intervene.statistics import mean_and_stderr
from tests.helpers.worlds import wrote

FEMALE, MALE = ("clerk", "nurse", "writer"), ("baker", "mover", "tailor", "zealot")


def of_an_older_file(woman: str, man: str) -> str:
    """The label of a pair until version 3: the two people in alphabetical order."""
    return " and ".join(sorted((f"the {woman}", f"the {man}")))


def test_labels_stay_as_they_are_written():
    assert cluster_labels(["nurse", "nurse", "guard"]).tolist() == ["nurse", "nurse", "guard"]
    assert cluster_labels([["the nurse", "the guard"]] * 2).tolist() == [["the nurse", "the guard"]] * 2


def test_the_two_occupations_of_an_older_label_are_told_apart():
    """Whatever the order of their names, and though no pair names all."""
    pairs = [pair for pair in product(FEMALE, MALE) if pair != ("nurse", "mover")]
    found = cluster_labels([of_an_older_file(*pair) for pair in pairs] + ["type1/7"])
    first = 0 if found[0, 0] == "the clerk" else 1
    assert found[:-1, first].tolist() == [f"the {woman}" for woman, _ in pairs]
    assert found[:-1, 1 - first].tolist() == [f"the {man}" for _, man in pairs]
    assert found[-1].tolist() == ["type1/7", "type1/7"]
    values = np.random.default_rng(2).normal(size=len(pairs))
    written_now = [[f"the {woman}", f"the {man}"] for woman, man in pairs]
    assert mean_and_stderr(values, found[:-1])[1] == pytest.approx(mean_and_stderr(values, written_now)[1])


def test_pairs_without_two_sides_are_refused(tmp_path: Path):
    labels = ["the a and the b", "the b and the c", "the a and the c"]
    rows = [{"item": label, "protocol": "sentence", "subsets": ["all"], "cluster": label} for label in labels]
    wrote(tmp_path, 20, "winobias", rows)
    with pytest.raises(RunDirectoryError, match=r"winobias.parquet: the WinoBias items were written by version 3"):
        read_items(tmp_path / "evals" / "step20" / "winobias.parquet")


def test_standard_errors_of_older_records_are_said_to_be_by_pair():
    def caveat(version: int | None) -> str | None:
        evaluations = {} if version is None else {"winobias": {"version": version}}
        return caveat_of_older_records({"fingerprints": {"evaluations": evaluations}})

    assert "by pair" in (caveat(3) or "")
    assert caveat(4) is None
    assert caveat(None) is None
