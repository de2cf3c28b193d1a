"""The manipulation check's verdict: did the intervention take?

Enters: an arm, what it is compared with, and their items. Leaves: one sentence with its statistics. Promised: the
question is asked before any bias metric is read, of the one number that this intervention is meant to move, in the
direction it is meant to move it; the two controls that change rows without changing a pronoun are held to moving
nothing. A verdict against the checkpoint a run started from is weaker than one against its control: any further
training moves a model.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bias_intervene.statistics import holm, minimum_detectable_effect

ALPHA = 0.05
NEUTRAL = ("pronouns", "prompts", "neutral", "log_odds_she_he")
GAP = ("pronouns", "prompts", "occupations", "occupation_gap")
THEY = ("pronouns", "prompts", "neutral", "log_odds_they")
MEANT_TO_MOVE: dict[str, tuple[tuple[str, str, str, str], int]] = {
    "masculine_to_feminine": (NEUTRAL, +1),
    "feminine_to_masculine": (NEUTRAL, -1),
    "both": (GAP, -1),
    "neutral": (THEY, +1),
    "pythia_token_map": (NEUTRAL, +1),
    "pythia_replace": (NEUTRAL, +1),
    "released_intervention": (NEUTRAL, +1),
    "released_intervention_long": (NEUTRAL, +1),
    "retokenize": (NEUTRAL, 0),
    "pythia_pushed": (NEUTRAL, 0),
}
"""Arm -> (benchmark, protocol, subset, metric) and the sign of its change; 0: nothing is meant to move."""


@dataclass(frozen=True)
class Verdict:
    """Whether an arm did what it is meant to do to the model's pronouns, at its last checkpoint."""

    arm: str
    against: str
    metric: str
    step: int
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    p: float | None
    took: bool | None
    """None: it cannot be said."""
    steps: list[dict[str, Any]]
    """The same at every checkpoint scored: step, difference, p, p_holm, took."""
    sentence: str


def key_of(arm: str) -> tuple[str, str, str, str] | None:
    """The metric that an arm is judged by."""
    return MEANT_TO_MOVE[arm][0] if arm in MEANT_TO_MOVE else None


def verdict(arm: str, rows: Sequence[dict[str, Any]]) -> Verdict | None:
    """The verdict on one arm. rows: of `pairing.against`, the metric of `key_of(arm)` at each step, ascending.

    None: the arm is not judged, or nothing was scored that it is judged by.
    """
    if not rows or arm not in MEANT_TO_MOVE:
        return None
    _, sign = MEANT_TO_MOVE[arm]
    last = rows[-1]
    adjusted = holm([float("nan") if row["p"] is None else row["p"] for row in rows])
    steps = [
        {
            "step": row["step"], "difference": row["difference"], "p": row["p"],
            "p_holm": None if row["p"] is None else p_holm, "took": has_taken(row["difference"], p_holm, sign),
        }
        for row, p_holm in zip(rows, adjusted, strict=True)
    ]  # fmt: skip
    took = has_taken(last["difference"], last["p"], sign)
    return Verdict(
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
        sentence=sentence(last, sign=sign, took=took, steps=steps),
    )


def has_taken(difference: float | None, p: float | None, sign: int) -> bool | None:
    """Whether a difference is what is meant: of that sign and beyond chance; for sign 0, not beyond chance."""
    if difference is None or p is None or math.isnan(p):
        return None
    return p < ALPHA and difference * sign > 0 if sign else p >= ALPHA


def sentence(row: dict[str, Any], *, sign: int, took: bool | None, steps: Sequence[dict[str, Any]]) -> str:
    """What a reader needs to know before any bias metric."""
    name = f"{row['subset']} {row['metric']}"
    if took is None:
        return f"{row['arm']}: whether the intervention took cannot be said: {name} has too few items"
    against = "the checkpoint it started from" if row["baseline_arm"] == "base" else row["baseline_arm"]
    moved = f"{row['difference']:+.3f} nats [{row['ci_low']:.3f}, {row['ci_high']:.3f}], p {probability(row['p'])}"
    told = f"{name} against {against}: {moved}"
    if len(steps) > 1:
        same = sum(step["took"] is took for step in steps)
        told += f"; so at {same} of {len(steps)} checkpoints, Holm"
    if sign == 0:
        done = "changed nothing, as it should" if took else "moved the pronouns, though it swaps none"
        return f"{row['arm']}: {done} ({told}{'; ' + power(row) if took else ''})"
    if took:
        return f"{row['arm']}: the intervention took ({told})"
    wanted = "rise" if sign > 0 else "fall"
    return f"{row['arm']}: the intervention did not take ({told}; meant to {wanted}; {power(row)})"


def power(row: dict[str, Any]) -> str:
    """What the comparison could have seen."""
    if not row["difference_stderr"]:
        return "every item is the same in both"
    effect = minimum_detectable_effect(row["difference_stderr"], df=row["df"])
    return f"this design sees {effect:.3f} nats with 80% power"


def probability(p: float) -> str:
    """A p-value for people."""
    return "<.001" if p < 0.001 else f"{p:.3f}"
