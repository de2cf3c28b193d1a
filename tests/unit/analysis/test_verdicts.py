"""Did the intervention take?"""

import pytest

from bias_intervene.analysis.verdicts import MEANT_TO_MOVE, key_of, verdict
from bias_intervene.settings import InterventionName


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


@pytest.mark.parametrize(
    ("arm", "difference", "p", "took", "said"),
    [
        (
            "masculine_to_feminine",
            1.0,
            1e-9,
            True,
            "the intervention took (neutral log_odds_she_he against none: +1.000",
        ),
        (
            "masculine_to_feminine",
            0.1,
            0.3,
            False,
            "did not take (.*; meant to rise; this design sees 0.280 nats with 80% power)",
        ),
        ("masculine_to_feminine", -1.0, 1e-9, False, "did not take (.*-1.000 nats .*, p <.001; meant to rise"),
        ("feminine_to_masculine", -1.0, 1e-9, True, "the intervention took"),
        ("both", -0.5, 0.01, True, "the intervention took"),
        ("released_intervention", 0.02, 0.5, False, "did not take"),
        ("retokenize", 0.01, 0.7, True, "changed nothing, as it should .*80% power"),
        ("pythia_pushed", 0.5, 0.001, False, "moved the pronouns, though it swaps none"),
        ("neutral", None, None, None, "cannot be said"),
    ],
)
def test_sentences(arm: str, difference: float | None, p: float | None, took: bool | None, said: str):
    found = verdict(arm, [row(difference, p, arm=arm)])
    assert found is not None
    assert found.took is took
    assert found.sentence.startswith(f"{arm}: ")
    assert_matches(said, found.sentence)


def assert_matches(pattern: str, text: str) -> None:
    import re

    assert re.search(pattern.replace("(", r"\(").replace(")", r"\)").replace("+", r"\+"), text), text


def test_against_the_base_it_is_said_so():
    found = verdict("masculine_to_feminine", [row(1.0, 0.001, baseline_arm="base")])
    assert found is not None
    assert "against the checkpoint it started from" in found.sentence


def test_every_intervention_is_judged_but_the_control():
    names = set(InterventionName.__args__)  # type: ignore[attr-defined]
    assert names - set(MEANT_TO_MOVE) == {"none"}
    assert verdict("none", [row(1.0, 0.001)]) is None
    assert verdict("both", []) is None
    assert key_of("none") is None


def test_every_checkpoint_is_judged_and_chance_is_shared_out():
    rows = [row(0.1, 0.04, step=10), row(-0.5, 0.001, step=20), row(0.8, 0.001, step=30), row(1.0, 0.001, step=40)]
    found = verdict("masculine_to_feminine", rows)
    assert found is not None
    assert (found.step, found.took) == (40, True)
    # 0.04 alone would pass; in a family of four it is compared last, as it is.
    assert [step["took"] for step in found.steps] == [True, False, True, True]
    assert "so at 3 of 4 checkpoints, Holm" in found.sentence
    weak = verdict("masculine_to_feminine", [row(0.1, 0.04, step=10), row(0.1, 0.04, step=20)])
    assert weak is not None
    assert [step["p_holm"] for step in weak.steps] == pytest.approx([0.08, 0.08])
    assert weak.took is True


def test_items_that_are_all_the_same_are_said_to_be():
    same = {**row(0.0, 1.0), "difference_stderr": 0.0}
    found = verdict("released_intervention", [same])
    assert found is not None
    assert found.sentence.endswith("meant to rise; every item is the same in both)")
