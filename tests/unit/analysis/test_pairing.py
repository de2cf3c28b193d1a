"""Which runs are replicates of an arm, which run is the control of which, and what is said where there is none."""

from pathlib import Path
from typing import Any

import pytest

from bias_intervene.analysis.comparison import Comparison, ComparisonOptions, compare
from bias_intervene.errors import RunDirectoryError
from bias_intervene.record import read_json, write_json
from bias_intervene.results import ComparisonRow
from tests.helpers.runs import made

ITEMS = {"a": 1.0, "b": 0.0, "c": 1.0, "d": 0.0}
LOWER = {**ITEMS, "a": 0.0}
BASE = {**ITEMS, "d": 1.0}


def changed(folder: Path, **values: Any) -> Path:
    """The run with other values in its record, by keys in which __ divides the parts."""
    record = read_json(folder / "record.json")
    for name, value in values.items():
        *parts, last = name.split("__")
        place = record
        for part in parts:
            place = place.setdefault(part, {})
        place[last] = value
    write_json(folder / "record.json", record)
    return folder


def weighing(folder: Path, weights: str) -> Path:
    """The run with this fingerprint of its last weights."""
    return changed(folder, fingerprints__evaluated_weights={"step20": weights})


def against(compared: Comparison, baseline: str | None = "none") -> list[ComparisonRow]:
    """The rows of the comparison with that baseline."""
    return [row for row in compared.rows if row.baseline_arm == baseline]


# --- controls ----------------------------------------------------------------------------------------------------


def test_a_float_in_the_last_digit_is_named_where_it_costs_the_control(tmp_path: Path):
    changed(made(tmp_path / "none", "none", ITEMS, base=BASE), settings__train={"learning_rate": 0.3})
    changed(made(tmp_path / "both", "both", LOWER, base=BASE), settings__train={"learning_rate": 0.1 * 3})
    compared = compare([tmp_path])
    assert against(compared) == []
    reason = f"{tmp_path}/none differs in train.learning_rate (0.30000000000000004 and 0.3)"
    label = "both learning_rate=0.30000000000000004"
    assert compared.notes == [f"{label}: no control, so no difference is due to the intervention alone: {reason}"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"settings__seed": 2}, "differs in seed (1 and 2)"),
        ({"settings__model": {"name": "410m"}}, "differs in model.name (None and '410m')"),
        ({"fingerprints__corpus": "y"}, "differs in input corpus (None and 'y')"),
        ({"fingerprints__base_weights": "y"}, "differs in input base_weights (None and 'y')"),
        ({"arm": "retokenize"}, "no run of the arm none is among those compared"),
    ],
    ids=["another seed", "another size", "another text", "another beginning", "no control at all"],
)
def test_an_arm_without_its_control_says_why(tmp_path: Path, changes: dict[str, Any], said: str):
    changed(made(tmp_path / "none", "none", ITEMS), **changes)
    made(tmp_path / "both", "both", LOWER)
    compared = compare([tmp_path])
    assert against(compared) == []
    (note,) = [note for note in compared.notes if note.startswith("both") and ": no control" in note]
    assert note.endswith(said)


def test_a_control_that_was_scored_at_another_step_is_none(tmp_path: Path):
    made(tmp_path / "none", "none", ITEMS)
    folder = made(tmp_path / "both", "both", LOWER, base=BASE)
    metrics = [row | {"step": row["step"] + 2} for row in read_json(folder / "record.json")["results"]["metrics"]]
    changed(folder, results__metrics=metrics)
    for step in (20, 10):
        (folder / "evals" / f"step{step}").rename(folder / "evals" / f"step{step + 2}")
    changed(folder, plan__start_step=12)
    compared = compare([tmp_path])
    assert against(compared) == []
    assert compared.notes[0].endswith(f"it was scored at step 22, and {tmp_path}/none up to step 20")


def test_a_control_is_never_one_of_several_by_chance(tmp_path: Path):
    """Of two doses as the baseline, the one with the arm's options; where neither has them, it is refused."""
    for probability, values in ((0.25, LOWER), (1.0, {**LOWER, "c": 0.0})):
        made(tmp_path / f"both{probability}", "both", values, probability=probability)
    made(tmp_path / "none", "none", ITEMS, probability=0.25)
    options = ComparisonOptions(baseline="both")
    (row,) = against(compare([tmp_path], options), "both probability=0.25")
    assert row.difference == 0.25
    changed(tmp_path / "none", settings__intervention={"name": "none", "fraction": 0.1, "probability": 0.5})
    with pytest.raises(
        RunDirectoryError, match=r"2 runs of the arm both could be its control, and differ in intervention.probability"
    ):
        compare([tmp_path], options)


# --- replicates --------------------------------------------------------------------------------------------------


def test_values_are_over_the_replicates_that_the_difference_is_over(tmp_path: Path):
    for seed in (1, 2):
        made(tmp_path / f"n{seed}", "none", ITEMS, seed=seed, base=BASE)
    for seed, values in ((1, LOWER), (2, ITEMS), (3, dict.fromkeys(ITEMS, 1.0))):
        made(tmp_path / f"s{seed}", "both", values, seed=seed, base=BASE)
    compared = compare([tmp_path])
    for row in compared.rows:
        assert (row.seeds, row.value - row.baseline) == (2, pytest.approx(row.difference))  # type: ignore[operator]
    assert [note for note in compared.notes if "left out" in note] == [
        f"both: {tmp_path}/s3 is left out, because it has no control: {tmp_path}/n1 differs in seed (3 and 1)"
    ]


def test_equal_weights_are_one_training_whatever_the_seeds(tmp_path: Path):
    for seed in (1, 2, 3):
        weighing(made(tmp_path / f"n{seed}", "none", ITEMS, seed=seed), "w")
        weighing(made(tmp_path / f"s{seed}", "both", LOWER, seed=seed), "v")
    compared = compare([tmp_path])
    (row,) = against(compared)
    assert (row.seeds, row.difference) == (1, -0.25)
    assert f"both: {tmp_path}/s2, {tmp_path}/s3 left out: the weights are those of {tmp_path}/s1, so it is one" in str(
        compared.notes
    )


def test_controls_that_are_one_training_are_said(tmp_path: Path):
    for seed, values in ((1, LOWER), (2, ITEMS)):
        weighing(made(tmp_path / f"n{seed}", "none", ITEMS, seed=seed), "w")
        weighing(made(tmp_path / f"s{seed}", "both", values, seed=seed), f"v{seed}")
    compared = compare([tmp_path])
    assert [row.seeds for row in against(compared)] == [2]
    assert any("the controls of its 2 trainings are 1 training (equal weights)" in note for note in compared.notes)


# --- as given ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"settings__seed": 2}, "seed (2 and 1)"),
        ({"settings__model": {"name": "410m"}}, "model.name ('410m' and None)"),
        (
            {"settings__intervention": {"name": "both", "fraction": 0.2, "probability": 0.5}},
            "intervention.fraction (0.2",
        ),
        ({"settings__evals": {"winobias": {"protocols": ["sentence"]}}}, None),
        ({}, None),
    ],
    ids=["seed", "size", "length", "what is scored", "intervention alone"],
)
def test_what_two_runs_differ_in_that_are_given_one_by_one(tmp_path: Path, changes: dict[str, Any], said: str | None):
    control = made(tmp_path / "control", "none", ITEMS)
    treated = changed(made(tmp_path / "treated", "both", LOWER), **changes)
    compared = compare([control, treated])
    assert [row.difference for row in compared.rows if row.difference is not None] == [-0.25]
    differing = [note for note in compared.notes if "as given, differ in" in note]
    assert bool(differing) is (said is not None)
    assert all(str(said) in note for note in differing)
    assert bool(compared.arms[1].confounds) is (said is not None)


def test_two_runs_given_one_by_one_that_were_scored_at_other_steps(tmp_path: Path):
    control = made(tmp_path / "control", "none", ITEMS, base=BASE)
    treated = made(tmp_path / "treated", "both", LOWER)
    metrics = read_json(control / "record.json")["results"]["metrics"][:1]
    changed(control, results__metrics=metrics)
    compared = compare([control, treated])
    assert "as given, differ in the step that was scored last (20 and 10)" in compared.notes[0]
