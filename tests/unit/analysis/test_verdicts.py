"""The manipulation check: did the intervention take?"""

import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bias_intervene.analysis.comparison import compare
from bias_intervene.analysis.verdicts import (
    EXPECTED_EFFECT_OF_OLDER_RECORDS,
    Circumstances,
    ManipulationCheck,
    expected_effect,
    manipulation_check,
)
from bias_intervene.interventions import INTERVENTIONS
from bias_intervene.record import read_json, write_json
from bias_intervene.results import ExpectedEffect
from bias_intervene.settings import option_values
from tests.helpers.runs import made

RISE = ExpectedEffect("pronouns", "prompts", "neutral", "log_odds_she_he", sign=+1)


def row(
    difference: float | None, p: float | None, *, baseline_arm: str = "none", arm: str = "x", step: int = 20,
    half: float = 0.2, seeds: int = 3, paired: bool = True,
) -> dict:  # fmt: skip
    return {
        "arm": arm, "baseline_arm": baseline_arm, "step": step, "subset": "neutral", "metric": "log_odds_she_he",
        "difference": difference, "difference_stderr": half / 2, "df": None, "p": p, "seeds": seeds, "paired": paired,
        "ci_low": None if difference is None else difference - half,
        "ci_high": None if difference is None else difference + half,
    }  # fmt: skip


def checked(sign: int, *rows: dict, **circumstances) -> ManipulationCheck:
    check = manipulation_check(replace(RISE, sign=sign), rows, Circumstances(**circumstances))
    assert check is not None
    return check


def assert_says(check: ManipulationCheck, pattern: str) -> None:
    """With brackets and signs as they stand."""
    escaped = pattern.replace("(", r"\(").replace(")", r"\)").replace("+", r"\+").replace("[", r"\[")
    assert re.search(escaped, check.sentence), check.sentence


@pytest.mark.parametrize(
    ("sign", "difference", "p", "took", "sentence"),
    [
        (+1, 1.0, 1e-9, True, "the intervention took (neutral log_odds_she_he against none: +1.000"),
        (+1, 0.1, 0.3, False, "did not take (.*; meant to rise; this design sees 0.280 nats with 80% power)"),
        (+1, -1.0, 1e-9, False, "did not take (.*-1.000 nats .*, p <.001; meant to rise"),
        (-1, -1.0, 1e-9, True, "the intervention took"),
        (-1, -0.5, 0.01, True, "the intervention took"),
        (-1, 0.5, 0.01, False, "did not take (.*; meant to fall"),
        (+1, None, None, None, "cannot be said"),
    ],
)
def test_sentences(sign: int, difference: float | None, p: float | None, took: bool | None, sentence: str):
    check = checked(sign, row(difference, p, arm="an_arm"))
    assert check.took is took
    assert check.sentence.startswith("an_arm: ")
    assert_says(check, sentence)


@pytest.mark.parametrize(
    ("difference", "half", "p", "took", "sentence"),
    [
        (0.01, 0.1, 0.7, True, "changed nothing beyond 0.2 nats, as it should (.* +0.010 nats [-0.090, 0.110]"),
        (0.1, 0.05, 0.001, True, "changed nothing beyond 0.2 nats"),
        (2.0, 12.7, 0.6, None, "cannot be said: changes of more than 0.2 nats are not excluded (.*[-10.700, 14.700]"),
        (0.15, 0.1, 0.001, False, "moved, though it swaps no pronoun"),
        (0.5, 0.1, 0.001, False, "moved, though it swaps no pronoun"),
    ],
    ids=["within", "detected, and within", "wide", "beyond on one side", "beyond"],
)
def test_a_placebo_passes_if_its_interval_lies_within_the_margin(
    difference: float, half: float, p: float, took: bool | None, sentence: str
):
    check = checked(0, row(difference, p, half=half))
    assert (check.took, check.margin) == (took, 0.2)
    assert_says(check, sentence)


def test_a_placebo_with_the_weights_of_its_control_changed_nothing():
    check = checked(0, row(0.0, None) | {"ci_low": None, "ci_high": None}, has_weights_of_control=True)
    assert check.took is True
    assert "its weights are those of its control" in check.sentence


@pytest.mark.parametrize("difference", [1.0, 0.0, -1.0])
def test_where_nothing_was_swapped_nothing_took_whatever_moved(difference: float):
    check = checked(+1, row(difference, 1e-9), row(difference, 1e-9, step=30), num_swaps=0, without_swaps=3)
    assert (check.took, [step["took"] for step in check.steps]) == (False, [False, False])
    assert "x: nothing was swapped, so whatever moved was not moved by the intervention" in check.sentence
    # It does not depend on a control.
    assert checked(+1, row(1.0, 1e-9, baseline_arm="base"), num_swaps=0, obstacles=("x",)).took is False


def test_trainings_without_swaps_beside_others_are_counted():
    check = checked(+1, row(1.0, 1e-9), num_swaps=40, without_swaps=2)
    assert (check.took, check.num_swaps) == (True, 40)
    assert "in 2 of 3 trainings nothing was swapped" in check.sentence


@pytest.mark.parametrize("sign", [+1, 0])
def test_nothing_is_concluded_where_the_difference_is_not_the_interventions(sign: int):
    check = checked(sign, row(1.0, 1e-9, baseline_arm="base"), row(1.0, 1e-9, baseline_arm="base"), obstacles=("why",))
    assert (check.took, [step["took"] for step in check.steps]) == (None, [None, None])
    assert_says(check, "cannot be said, because why (.* against the checkpoint it started from: +1.000 nats [")


@pytest.mark.parametrize(
    ("difference", "p", "seeds", "is_limited"), [(1.0, 1e-9, 1, True), (0.0, 0.9, 1, True), (1.0, 1e-9, 2, False)]
)
def test_one_training_of_each_arm_is_said(difference: float, p: float, seeds: int, is_limited: bool):
    sentence = checked(+1, row(difference, p, seeds=seeds)).sentence
    assert ("one training of each arm: the test is about these two models" in sentence) is is_limited


def test_an_unpaired_difference_is_said():
    assert "unpaired" in checked(+1, row(1.0, 1e-9, paired=False)).sentence


def test_nothing_scored_is_no_check():
    assert manipulation_check(RISE, []) is None


def test_every_checkpoint_is_judged_and_chance_is_shared_out():
    rows = [row(0.1, 0.04, step=10), row(-0.5, 0.001, step=20), row(0.8, 0.001, step=30), row(1.0, 0.001, step=40)]
    check = checked(+1, *rows)
    assert (check.step, check.took) == (40, True)
    # 0.04 alone would pass; in a family of four it is compared last, as it is.
    assert [step["took"] for step in check.steps] == [True, False, True, True]
    assert "so at 3 of 4 checkpoints, Holm" in check.sentence
    weak = checked(+1, row(0.1, 0.04, step=10), row(0.1, 0.04, step=20))
    assert [step["p_holm"] for step in weak.steps] == pytest.approx([0.08, 0.08])
    assert weak.took is True


def test_the_sentence_says_when_all_items_are_the_same():
    same = {**row(0.0, None), "difference_stderr": 0.0, "ci_low": None, "ci_high": None}
    check = checked(+1, same)
    assert check.took is False
    assert check.sentence.endswith("against none: +0.000 nats; meant to rise; every item is the same in both)")
    assert checked(0, same).took is True


def test_seeds_that_all_move_by_the_same_are_no_verdict():
    check = checked(+1, {**row(0.5, None), "difference_stderr": 0.0, "ci_low": None, "ci_high": None})
    assert check.took is None
    assert "cannot be said: the difference is the same everywhere (" in check.sentence


# --- which effect is expected --------------------------------------------------------------------------------


def test_the_expected_effect_is_read_from_the_plan():
    """Whatever the arm is called."""
    record = {"arm": "feminine_to_masculine", "plan": {"expected_effect": asdict(RISE)}}
    assert expected_effect(record) == RISE
    assert expected_effect({"arm": "both", "plan": {"expected_effect": None}}) is None
    assert expected_effect({"arm": "of_another_repository", "plan": {"expected_effect": asdict(RISE)}}) == RISE


def test_records_of_earlier_versions_are_judged_by_their_arm():
    assert expected_effect({"arm": "masculine_to_feminine", "plan": {}}) == RISE
    assert expected_effect({"arm": "none", "plan": {}}) is None
    assert expected_effect({"arm": "a foreign model", "plan": {}}) is None


def test_earlier_and_new_records_are_judged_alike():
    now = {name: entry.expected_effect for name, entry in INTERVENTIONS.items()}
    released = option_values("model", "_pythia")["model"]["facts"]["models"]
    now |= {entry["arm"]: now[entry["acts_as"]] for entry in released if "arm" in entry}
    assert {name: now[name] for name in EXPECTED_EFFECT_OF_OLDER_RECORDS} == EXPECTED_EFFECT_OF_OLDER_RECORDS


# --- of an arm ---------------------------------------------------------------------------------------------------

CROWS = ExpectedEffect("crows_pairs", "likelihood", "gender", "pct_stereotype", sign=-1)
"""A metric that runs made by hand have."""
ITEMS = {str(n): float(n < 30) for n in range(40)}
NONE_LEFT = dict.fromkeys(ITEMS, 0.0)


def treated(
    folder: Path, *, swaps: int | None = 9, effect: ExpectedEffect = CROWS, arm: str = "both", **options
) -> Path:
    """A run of an arm whose effect is a fall of CrowS-Pairs."""
    made(folder, arm, NONE_LEFT, base=ITEMS, **options)
    record = read_json(folder / "record.json")
    record["plan"]["expected_effect"] = asdict(effect)
    record["audit"] = None if swaps is None else {"num_swaps": swaps, "rows_changed": swaps, "rows": 10, "swaps": {}}
    write_json(folder / "record.json", record)
    return folder


def verdict(*folders: Path) -> ManipulationCheck:
    (check,) = compare(folders).verdicts
    return check


def test_against_a_control_that_differs_in_the_intervention_alone(tmp_path: Path):
    control = made(tmp_path / "none", "none", ITEMS, base=ITEMS)
    check = verdict(control, treated(tmp_path / "both"))
    assert (check.took, check.against, check.num_swaps) == (True, "none", 9)
    assert "one training of each arm" in check.sentence


@pytest.mark.parametrize("as_given", [False, True])
def test_a_run_whose_base_moved_and_that_swapped_nothing(tmp_path: Path, as_given: bool):
    both = treated(tmp_path / "both", swaps=0)
    control = made(tmp_path / "none", "none", ITEMS, base=ITEMS)
    assert verdict(*([control, both] if as_given else [tmp_path])).took is False
    assert "nothing was swapped" in verdict(both).sentence


def test_a_run_alone_concludes_nothing(tmp_path: Path):
    check = verdict(treated(tmp_path / "both"))
    assert (check.took, check.against) == (None, "base")
    assert "cannot be said, because there is no control, and any training changes a model" in check.sentence
    assert "-0.750 nats" in check.sentence


def test_against_a_run_of_another_seed_or_model_nothing_took(tmp_path: Path):
    control = made(tmp_path / "none", "none", ITEMS, base=ITEMS, seed=2)
    check = verdict(control, treated(tmp_path / "both"))
    assert check.took is None
    assert "because the two differ in seed (1 and 2) as well" in check.sentence


def test_against_another_intervention_nothing_took(tmp_path: Path):
    other = treated(tmp_path / "neutral", arm="neutral")
    checks = {check.arm: check for check in compare([other, treated(tmp_path / "both")]).verdicts}
    assert checks["both"].took is None
    assert "because neutral is an intervention itself" in checks["both"].sentence


def test_a_swap_of_nothing_is_said_where_the_metric_was_not_scored(tmp_path: Path):
    not_scored = replace(CROWS, benchmark="pronouns")
    made(tmp_path / "none", "none", ITEMS)
    check = verdict(treated(tmp_path / "both", swaps=0, effect=not_scored), tmp_path / "none")
    assert (check.took, check.difference) == (False, None)
    assert "not scored" in check.sentence
    assert compare([treated(tmp_path / "again", effect=not_scored)]).verdicts == []
