"""Identical is said where all is, and nowhere else."""

import json
import shutil
from pathlib import Path

import pytest

from bias_intervene.analysis.comparison import Comparison, compare
from bias_intervene.errors import RunDirectoryError
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


# --- one observation ---------------------------------------------------------------------------------------------


def sweep(folder: Path) -> Path:
    """A control and an arm of one seed."""
    made(folder / "none", "none", ITEMS)
    made(folder / "both", "both", {"a": 0.0, "b": 0.0})
    return folder


def seeds_and_notes(compared: Comparison) -> tuple[list[int], list[str]]:
    """The trainings behind the rows with a difference, and the notes."""
    return [row.seeds for row in compared.rows if row.difference is not None], list(compared.notes)


def test_a_copy_is_no_second_seed(tmp_path: Path):
    sweep(tmp_path)
    shutil.copytree(tmp_path / "both", tmp_path / "copy")
    seeds, (note,) = seeds_and_notes(compare([tmp_path]))
    assert seeds == [1]
    left_out = f"{tmp_path}/copy: left out, a copy of {tmp_path}/both (the same settings, seed and results)"
    assert note == left_out
    assert compare([tmp_path]).to_json()["notes"] == [left_out]


def test_a_copy_beside_a_true_second_seed(tmp_path: Path):
    sweep(tmp_path)
    for arm, values in (("none", ITEMS), ("both", {"a": 0.0, "b": 1.0})):
        made(tmp_path / f"{arm}2", arm, values, seed=2)
        shutil.copytree(tmp_path / f"{arm}2", tmp_path / f"{arm}2_copy")
    seeds, notes = seeds_and_notes(compare([tmp_path]))
    assert seeds == [2]
    assert len(notes) == 2


def test_a_run_of_the_same_settings_and_seed_with_another_result_is_refused(tmp_path: Path):
    sweep(tmp_path)
    made(tmp_path / "again", "both", {"a": 0.0, "b": 1.0})
    with pytest.raises(RunDirectoryError, match=r"both and .*again have the same settings and seed, and differ in "):
        compare([tmp_path])
    with pytest.raises(RunDirectoryError, match=r"items of evals/step20/crows_pairs.parquet, metrics of record.json"):
        compare([tmp_path])


@pytest.mark.parametrize(
    ("as_found", "said"),
    [
        (lambda folder: [folder, folder], "was given twice and is read once"),
        (lambda folder: [folder, folder / "both"], "was given twice and is read once"),
        (lambda folder: [folder / "none", folder / "both", folder / "both"], "was given twice and is read once"),
        (lambda folder: [folder, linked(folder)], "is the same directory as"),
    ],
    ids=["twice", "a parent and its child", "one by one", "through a link"],
)
def test_a_directory_is_read_once(tmp_path: Path, as_found, said: str):
    seeds, notes = seeds_and_notes(compare(as_found(sweep(tmp_path / "sweep"))))
    assert seeds == [1]
    assert all(said in note for note in notes)
    assert notes


def linked(folder: Path) -> Path:
    """Another name of a directory."""
    link = folder.with_name("link")
    link.symlink_to(folder)
    return link


def test_what_was_read_identifies_a_run_and_not_where_it_lay(tmp_path: Path):
    """One text in two folders is one text; two texts at one path are two."""
    for place, text in (("here", "x"), ("there", "x"), ("here", "y")):
        folder = made(tmp_path / f"{place}_{text}", "none", ITEMS)
        changed(folder, "settings", "data", {"path": f"/{place}/t.txt"})
        changed(folder, "fingerprints", "corpus", text)
        changed(folder, "fingerprints", "corpus_source", f"data.path=/{place}/t.txt")
    compared = compare([tmp_path])
    assert [Path(run.folder).name for run in compared.runs.runs] == ["here_x", "here_y"]
    assert len(compared.notes) == 1


def test_a_control_is_the_same_whatever_the_options_of_the_arms_beside_it(tmp_path: Path):
    for probability in (0.25, 1.0):
        made(tmp_path / f"none{probability}", "none", ITEMS, probability=probability)
        made(tmp_path / f"both{probability}", "both", {"a": 0.0, "b": 0.0}, probability=probability)
    compared = compare([tmp_path])
    assert [arm.label for arm in compared.arms if arm.control_label is None] == ["none"]
    assert [row.baseline_arm for row in compared.rows if row.difference is not None] == ["none", "none"]
    assert len(compared.notes) == 1


def test_two_runs_that_are_given_one_by_one_are_compared_whatever_they_are(tmp_path: Path):
    first, second = made(tmp_path / "one", "none", ITEMS), made(tmp_path / "two", "none", {"a": 0.0, "b": 0.0})
    (row,) = [row for row in compare([first, second]).rows if row.difference is not None]
    assert (row.arm, row.baseline_arm) == (f"none {second}", f"none {first}")
    second = made(tmp_path / "seed2", "none", ITEMS, seed=2)
    (row,) = [row for row in compare([first, second]).rows if row.difference is not None]
    assert (row.arm, row.baseline_arm) == ("none seed=2", "none seed=1")


def test_copies_among_several_that_are_given_one_by_one(tmp_path: Path):
    sweep(tmp_path)
    shutil.copytree(tmp_path / "none", tmp_path / "copy")
    compared = compare([tmp_path / "none", tmp_path / "copy", tmp_path / "both"])
    assert [arm.label for arm in compared.arms] == ["none", "both"]
    assert len(compared.notes) == 1
