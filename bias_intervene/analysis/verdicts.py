"""The manipulation check: did the intervention take effect?

A comparison with the checkpoint that a run started from is weaker evidence than one with its control, because any
further training changes a model.

Input: the effect that the arm's plan expects, and the rows that compare the arm with its control at each checkpoint.
Output: a `ManipulationCheck`: the verdict, its statistics and a sentence.
Guarantees: the arm is judged by the one metric that its intervention should change, in the direction in which it should
change it, and by no bias metric. An intervention that swaps no pronoun passes if that metric does not change.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bias_intervene.results import ExpectedEffect
from bias_intervene.statistics import holm, minimum_detectable_effect

ALPHA = 0.05
"""Level of every test of the comparison."""
_NEUTRAL = ("pronouns", "prompts", "neutral", "log_odds_she_he")
_GAP = ("pronouns", "prompts", "occupations", "occupation_gap")
EXPECTED_EFFECT_OF_OLDER_RECORDS = {
    "masculine_to_feminine": ExpectedEffect(*_NEUTRAL, sign=+1),
    "feminine_to_masculine": ExpectedEffect(*_NEUTRAL, sign=-1),
    "both": ExpectedEffect(*_GAP, sign=-1),
    "neutral": ExpectedEffect("pronouns", "prompts", "neutral", "log_odds_they", sign=+1),
    "pythia_token_map": ExpectedEffect(*_NEUTRAL, sign=+1),
    "pythia_replace": ExpectedEffect(*_NEUTRAL, sign=+1),
    "released_intervention": ExpectedEffect(*_NEUTRAL, sign=+1),
    "released_intervention_long": ExpectedEffect(*_NEUTRAL, sign=+1),
    "retokenize": ExpectedEffect(*_NEUTRAL, sign=0),
    "pythia_pushed": ExpectedEffect(*_NEUTRAL, sign=0),
}
"""Arm -> expected effect, for records of earlier versions, whose plan has no `expected_effect`. A new intervention is
not added here, but described in `interventions.registry`."""


@dataclass(frozen=True)
class ManipulationCheck:
    """Whether an arm changed the model's preference between pronouns as expected, at its last checkpoint."""

    arm: str
    against: str
    """Label of the control, or `base`."""
    metric: str
    step: int
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    p: float | None
    took: bool | None
    """Whether the effect is the expected one. None: there are too few items for a test."""
    steps: list[dict[str, Any]]
    """The same for every checkpoint that was scored: step, difference, p, p_holm, took."""
    sentence: str


def expected_effect(record: dict[str, Any]) -> ExpectedEffect | None:
    """The effect that a run's plan expects; None for an arm without an expected effect, such as the control."""
    plan = record["plan"]
    if "expected_effect" not in plan:
        return EXPECTED_EFFECT_OF_OLDER_RECORDS.get(record["arm"])
    effect = plan["expected_effect"]
    return None if effect is None else ExpectedEffect(**effect)


def manipulation_check(effect: ExpectedEffect, rows: Sequence[dict[str, Any]]) -> ManipulationCheck | None:
    """The check of one arm; None if there are no rows.

    rows: the comparison rows (as in comparison.json) of the metric of `effect`, one per step, ascending.
    """
    if not rows:
        return None
    sign, last = effect.sign, rows[-1]
    adjusted = holm([float("nan") if row["p"] is None else row["p"] for row in rows])
    steps = [
        {
            "step": row["step"], "difference": row["difference"], "p": row["p"],
            "p_holm": None if row["p"] is None else p_holm, "took": _is_expected(row["difference"], p_holm, sign),
        }
        for row, p_holm in zip(rows, adjusted, strict=True)
    ]  # fmt: skip
    took = _is_expected(last["difference"], last["p"], sign)
    return ManipulationCheck(
        arm=last["arm"],
        against=last["baseline_arm"],
        metric=f"{last['subset']} {last['metric']}",
        step=last["step"],
        difference=last["difference"],
        ci_low=last["ci_low"],
        ci_high=last["ci_high"],
        p=last["p"],
        took=took,
        steps=steps,
        sentence=_sentence(last, sign=sign, took=took, steps=steps),
    )


def _is_expected(difference: float | None, p: float | None, sign: int) -> bool | None:
    """Whether a difference is significant and has the sign; for sign 0, whether it is not significant.

    None: the difference or its p is unknown.
    """
    if difference == 0:
        return sign == 0
    if difference is None or p is None or math.isnan(p):
        return None
    return p < ALPHA and difference * sign > 0 if sign else p >= ALPHA


def _sentence(row: dict[str, Any], *, sign: int, took: bool | None, steps: Sequence[dict[str, Any]]) -> str:
    """The verdict and its evidence in one sentence."""
    name = f"{row['subset']} {row['metric']}"
    if took is None:
        reason = "has too few items" if row["difference_stderr"] != 0 else "differs by the same everywhere"
        return f"{row['arm']}: whether the intervention took cannot be said: {name} {reason}"
    against = "the checkpoint it started from" if row["baseline_arm"] == "base" else row["baseline_arm"]
    test = "" if row["p"] is None else f" [{row['ci_low']:.3f}, {row['ci_high']:.3f}], p {probability(row['p'])}"
    change = f"{row['difference']:+.3f} nats{test}"
    evidence = f"{name} against {against}: {change}"
    if len(steps) > 1:
        num_agreeing = sum(step["took"] is took for step in steps)
        evidence += f"; so at {num_agreeing} of {len(steps)} checkpoints, Holm"
    if sign == 0:
        outcome = "changed nothing, as it should" if took else "moved the pronouns, though it swaps none"
        return f"{row['arm']}: {outcome} ({evidence}{'; ' + _power(row) if took else ''})"
    if took:
        return f"{row['arm']}: the intervention took ({evidence})"
    expected = "rise" if sign > 0 else "fall"
    return f"{row['arm']}: the intervention did not take ({evidence}; meant to {expected}; {_power(row)})"


def _power(row: dict[str, Any]) -> str:
    """A phrase with the least effect that the comparison could have detected."""
    if not row["difference_stderr"]:
        return "every item is the same in both"
    effect = minimum_detectable_effect(row["difference_stderr"], df=row["df"])
    return f"this design sees {effect:.3f} nats with 80% power"


def probability(p: float) -> str:
    """A p-value as it is printed."""
    return "<.001" if p < 0.001 else f"{p:.3f}"
