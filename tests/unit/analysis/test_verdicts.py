"""The manipulation check: did the intervention take?"""

import re
from dataclasses import asdict, replace

import pytest

from bias_intervene.analysis.verdicts import (
    EXPECTED_EFFECT_OF_OLDER_RECORDS,
    ManipulationCheck,
    expected_effect,
    manipulation_check,
)
from bias_intervene.interventions import INTERVENTIONS
from bias_intervene.results import ExpectedEffect
from bias_intervene.settings import option_values

RISE = ExpectedEffect("pronouns", "prompts", "neutral", "log_odds_she_he", sign=+1)


def row(
    difference: float | None, p: float | None, *, baseline_arm: str = "none", arm: str = "x", step: int = 20
) -> dict:
    half = 0.2
    return {
        "arm": arm, "baseline_arm": baseline_arm, "step": step, "subset": "neutral", "metric": "log_odds_she_he",
        "difference": difference, "difference_stderr": 0.1, "df": None, "p": p,
        "ci_low": None if difference is None else difference - half,
        "ci_high": None if difference is None else difference + half,
    }  # fmt: skip


def checked(sign: int, *rows: dict) -> ManipulationCheck:
    check = manipulation_check(replace(RISE, sign=sign), rows)
    assert check is not None
    return check


@pytest.mark.parametrize(
    ("sign", "difference", "p", "took", "sentence"),
    [
        (+1, 1.0, 1e-9, True, "the intervention took (neutral log_odds_she_he against none: +1.000"),
        (+1, 0.1, 0.3, False, "did not take (.*; meant to rise; this design sees 0.280 nats with 80% power)"),
        (+1, -1.0, 1e-9, False, "did not take (.*-1.000 nats .*, p <.001; meant to rise"),
        (-1, -1.0, 1e-9, True, "the intervention took"),
        (-1, -0.5, 0.01, True, "the intervention took"),
        (-1, 0.5, 0.01, False, "did not take (.*; meant to fall"),
        (0, 0.01, 0.7, True, "changed nothing, as it should .*80% power"),
        (0, 0.5, 0.001, False, "moved the pronouns, though it swaps none"),
        (+1, None, None, None, "cannot be said"),
    ],
)
def test_sentences(sign: int, difference: float | None, p: float | None, took: bool | None, sentence: str):
    check = checked(sign, row(difference, p, arm="an_arm"))
    assert check.took is took
    assert check.sentence.startswith("an_arm: ")
    pattern = sentence.replace("(", r"\(").replace(")", r"\)").replace("+", r"\+")
    assert re.search(pattern, check.sentence), check.sentence


def test_the_sentence_says_when_the_control_is_the_base():
    check = checked(+1, row(1.0, 0.001, baseline_arm="base"))
    assert "against the checkpoint it started from" in check.sentence


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
    assert check.sentence.endswith("cannot be said: neutral log_odds_she_he differs by the same everywhere")


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
