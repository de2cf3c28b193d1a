"""The manipulation check's verdict: did the intervention take?

Enters: an arm, what it is compared with, and their items. Leaves: one sentence with its statistics. Promised: the
question is asked before any bias metric is read, of the one number that this intervention is meant to move, in the
direction it is meant to move it; the two controls that change rows without changing a pronoun are held to moving
nothing. A verdict against the checkpoint a run started from is weaker than one against its control: any further
training moves a model.
"""

from dataclasses import dataclass
from typing import Any

from bias_intervene.statistics import minimum_detectable_effect

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
    """Whether an arm did what it is meant to do to the model's pronouns."""

    arm: str
    against: str
    step: int
    metric: str
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    p: float | None
    took: bool | None
    """None: it cannot be said."""
    sentence: str


def verdict(arm: str, row: dict[str, Any] | None) -> Verdict | None:
    """The verdict on one arm. row: of `pairing.compare`, the metric that `key_of(arm)` names. None: no such row."""
    if row is None or arm not in MEANT_TO_MOVE:
        return None
    _, sign = MEANT_TO_MOVE[arm]
    name = f"{row['subset']} {row['metric']}"
    difference, p, stderr = row["difference"], row["p"], row["difference_stderr"]
    took = None
    if difference is not None and p is not None:
        took = p < ALPHA and (difference * sign > 0) if sign else p >= ALPHA
    return Verdict(
        arm=row["arm"],
        against=row["baseline_arm"],
        step=row["step"],
        metric=name,
        difference=difference,
        ci_low=row["ci_low"],
        ci_high=row["ci_high"],
        p=p,
        took=took,
        sentence=sentence(row, name, sign=sign, took=took, sees=minimum_detectable_effect(stderr) if stderr else None),
    )


def key_of(arm: str) -> tuple[str, str, str, str] | None:
    """The metric that an arm is judged by."""
    return MEANT_TO_MOVE[arm][0] if arm in MEANT_TO_MOVE else None


def sentence(row: dict[str, Any], name: str, *, sign: int, took: bool | None, sees: float | None) -> str:
    """What a reader needs to know before any bias metric."""
    against = "the checkpoint it started from" if row["baseline_arm"] == "base" else row["baseline_arm"]
    if took is None:
        return f"{row['arm']}: whether the intervention took cannot be said: {name} has too few items"
    moved = f"{row['difference']:+.3f} nats [{row['ci_low']:.3f}, {row['ci_high']:.3f}], p {probability(row['p'])}"
    told = f"{name} against {against}: {moved}"
    power = f"; this design sees {sees:.3f} nats with 80% power" if sees else ""
    if sign == 0:
        done = "changed nothing, as it should" if took else "moved the pronouns, though it swaps none"
        return f"{row['arm']}: {done} ({told}{power if took else ''})"
    if took:
        return f"{row['arm']}: the intervention took ({told})"
    wanted = "rise" if sign > 0 else "fall"
    return f"{row['arm']}: the intervention did not take: {told}, meant to {wanted}{power}"


def probability(p: float) -> str:
    """A p-value for people."""
    return "<.001" if p < 0.001 else f"{p:.3f}"
