"""The manipulation check: did the intervention take effect?

Any further training changes a model, so a run without a control says how far its preference moved and concludes
nothing. One training of each arm says that two models differ; the sentence says so.

Input: an arm, with the control of each of its trainings.
Output: a `ManipulationCheck`: the verdict, its statistics and a sentence.
Guarantees: the arm is judged by the one metric that its intervention should change, in the direction in which it should
change it, and by no bias metric. An intervention that swapped nothing did not take, whatever moved. An intervention
that swaps no pronoun passes if the interval of its change lies within a stated margin, because a change that was not
detected is not a change that was excluded (two one-sided tests: Schuirmann 1987, here at 2.5% each).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from bias_intervene.analysis.checkpoints import CheckpointPair, compared
from bias_intervene.analysis.pairing import Arm
from bias_intervene.analysis.records import CONTROL, Run, specs_of
from bias_intervene.analysis.replicates import over_replicates
from bias_intervene.results import BASE, ExpectedEffect, MetricKey
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
    step: int | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    p: float | None
    took: bool | None
    """Whether the effect is the expected one. None: it cannot be said, for the reason in the sentence."""
    steps: list[dict[str, Any]]
    """The same for every checkpoint that was scored: step, difference, p, p_holm, took."""
    sentence: str
    num_swaps: int | None
    """Pronouns swapped in all trainings of the arm; None: not counted, in a released model."""
    margin: float | None
    """Of an intervention that swaps no pronoun: its interval must lie within plus and minus this."""


@dataclass(frozen=True)
class Circumstances:
    """What a verdict depends on besides the numbers."""

    obstacles: tuple[str, ...] = ()
    """Why nothing can be concluded about the intervention; empty: something can."""
    num_swaps: int | None = None
    """Pronouns swapped in all trainings; None: not counted."""
    without_swaps: int = 0
    """Trainings in which nothing was swapped."""
    has_weights_of_control: bool = False
    """Whether every training ended with the weights of its control."""


def expected_effect(record: dict[str, Any]) -> ExpectedEffect | None:
    """The effect that a run's plan expects; None for an arm without an expected effect, such as the control."""
    plan = record["plan"]
    if "expected_effect" not in plan:
        return EXPECTED_EFFECT_OF_OLDER_RECORDS.get(record["arm"])
    effect = plan["expected_effect"]
    names = [column.name for column in fields(ExpectedEffect)]
    return None if effect is None else ExpectedEffect(**{name: effect[name] for name in names if name in effect})


def verdict_of(arm: Arm) -> ManipulationCheck | None:
    """The manipulation check of an arm at every step scored, against its control, or without one against its base.

    None: no effect is expected of the arm, or the metric was not scored though something was swapped.
    """
    effect = expected_effect(arm.first.record)
    if effect is None:
        return None
    key = MetricKey(effect.benchmark, effect.protocol, effect.subset, effect.metric)
    specs = specs_of(run for run, _ in arm.replicates)
    rows: list[dict[str, Any]] = []
    for step in arm.first.steps:
        by_replicate = [
            list(compared(pair, specs, label=arm.control_label or BASE, is_wanted=lambda other: other == key))
            for pair in _pairs_at(arm, step)
        ]
        rows += [row.to_json() for row in over_replicates(by_replicate)]
    swaps = [_num_swaps(run) for run, _ in arm.replicates]
    counts = [count for count in swaps if count is not None]
    circumstances = Circumstances(
        obstacles=tuple(_obstacles(arm)),
        num_swaps=sum(counts) if len(counts) == len(swaps) else None,
        without_swaps=counts.count(0),
        has_weights_of_control=bool(arm.paired)
        and all(run.weights(run.last) == control.weights(control.last) is not None for run, control in arm.paired),
    )
    if not rows and effect.sign and circumstances.num_swaps == 0:
        rows = [_row_of_nothing(arm, key)]
    return manipulation_check(effect, rows, circumstances)


def _row_of_nothing(arm: Arm, key: MetricKey) -> dict[str, Any]:
    """The row of a metric that was not scored, at the end of the training."""
    plan = arm.first.record["plan"]
    unknown = dict.fromkeys(("difference", "difference_stderr", "df", "ci_low", "ci_high", "p", "paired"))
    return unknown | {
        **key._asdict(), "arm": arm.label, "baseline_arm": arm.control_label or BASE,
        "step": plan["start_step"] + plan["num_steps"], "seeds": len(arm.replicates),
    }  # fmt: skip


def _pairs_at(arm: Arm, step: int | None) -> Iterator[CheckpointPair]:
    """The checkpoints of a step, each with that of its control; without a control, with the one it started from."""
    plan = arm.first.record["plan"]
    if plan["num_steps"] and step is not None and step <= plan["start_step"]:
        return  # A checkpoint from before the training.
    for run, control in arm.replicates:
        if control is not None:
            # Runs that were given one by one may end at different steps.
            last = control.last if step == run.steps[-1] else None
            yield CheckpointPair(run, run.checkpoint(step), control, control.checkpoint(step) or last)
        elif run.checkpoint(step) != run.base:
            yield CheckpointPair(run, run.checkpoint(step), run, run.base)


def _obstacles(arm: Arm) -> Iterator[str]:
    """Why the difference of an arm is not due to its intervention alone."""
    if not arm.paired:
        yield "there is no control, and any training changes a model"
    for confound in arm.confounds:
        yield f"the two differ in {confound} as well"
    for label in dict.fromkeys(control.label for _, control in arm.paired if _swaps(expected_effect(control.record))):
        yield f"{label} is an intervention itself"


def _swaps(effect: ExpectedEffect | None) -> bool:
    """Whether an arm with this expected effect is meant to change pronouns."""
    return effect is not None and effect.sign != 0


def _num_swaps(run: Run) -> int | None:
    """Pronouns swapped in a training; 0 for an intervention that was never applied; None: not counted."""
    audit: dict[str, Any] = run.record["audit"] or {}
    never_applied = not run.trains and run.settings.get("intervention.name") not in {None, CONTROL}
    return audit.get("num_swaps", 0 if never_applied else None)


def manipulation_check(
    effect: ExpectedEffect, rows: Sequence[dict[str, Any]], circumstances: Circumstances = Circumstances()
) -> ManipulationCheck | None:
    """The check of one arm; None if there are no rows.

    rows: the comparison rows (as in comparison.json) of the metric of `effect`, one per step, ascending.
    """
    if not rows:
        return None
    last = rows[-1]
    adjusted = holm([float("nan") if row["p"] is None else row["p"] for row in rows])
    steps = [
        {
            "step": row["step"], "difference": row["difference"], "p": row["p"],
            "p_holm": None if row["p"] is None else p_holm, "took": _took(row, p_holm, effect, circumstances),
        }
        for row, p_holm in zip(rows, adjusted, strict=True)
    ]  # fmt: skip
    took = _took(last, last["p"], effect, circumstances)
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
        sentence=f"{last['arm']}: {_outcome(last, effect, took, circumstances)} "
        f"({'; '.join(_evidence(last, effect, took, steps, circumstances))})",
        num_swaps=circumstances.num_swaps,
        margin=None if effect.sign else effect.margin,
    )


def _took(row: dict[str, Any], p: float | None, effect: ExpectedEffect, circumstances: Circumstances) -> bool | None:
    """Whether a difference is significant and has the sign; for sign 0, whether its interval lies within the margin.

    None: it cannot be said.
    """
    difference, low, high = row["difference"], row["ci_low"], row["ci_high"]
    if effect.sign and circumstances.num_swaps == 0:
        return False
    if circumstances.obstacles:
        return None
    if not effect.sign and circumstances.has_weights_of_control:
        return True
    if difference == 0 == row["difference_stderr"]:  # Every item, or every training, is the same in both.
        return not effect.sign
    if difference is None or p is None:
        return None
    if effect.sign:
        return p < ALPHA and difference * effect.sign > 0
    if low is not None and high is not None and -effect.margin <= low and high <= effect.margin:
        return True
    return False if p < ALPHA else None


def _outcome(row: dict[str, Any], effect: ExpectedEffect, took: bool | None, circumstances: Circumstances) -> str:
    """The verdict in words."""
    if effect.sign and circumstances.num_swaps == 0:
        return "nothing was swapped, so whatever moved was not moved by the intervention"
    if circumstances.obstacles:
        question = "the intervention took" if effect.sign else "it changes nothing"
        return f"whether {question} cannot be said, because {' and '.join(circumstances.obstacles)}"
    if effect.sign and took is None:
        reason = "too few items" if row["difference_stderr"] != 0 else "the difference is the same everywhere"
        return f"whether the intervention took cannot be said: {reason}"
    if effect.sign:
        return "the intervention took" if took else "the intervention did not take"
    if circumstances.has_weights_of_control:
        return "changed nothing, as it should: its weights are those of its control"
    if took is None:
        return (
            f"whether it changes nothing cannot be said: changes of more than {effect.margin:g} nats are not excluded"
        )
    return (
        f"changed nothing beyond {effect.margin:g} nats, as it should" if took else "moved, though it swaps no pronoun"
    )


def _evidence(
    row: dict[str, Any],
    effect: ExpectedEffect,
    took: bool | None,
    steps: Sequence[dict[str, Any]],
    circumstances: Circumstances,
) -> Iterator[str]:
    """Phrases with the numbers behind a verdict and with what limits it."""
    is_against_base = row["baseline_arm"] == BASE
    against = "the checkpoint it started from" if is_against_base else row["baseline_arm"]
    yield f"{row['subset']} {row['metric']} against {against}: {_change(row)}"
    if took is not None and len(steps) > 1:
        num_agreeing = sum(step["took"] is took for step in steps)
        yield f"so at {num_agreeing} of {len(steps)} checkpoints{', Holm' if effect.sign else ''}"
    if took is False and effect.sign and circumstances.num_swaps != 0:
        yield f"meant to {'rise' if effect.sign > 0 else 'fall'}"
        yield from _power(row)
    if circumstances.without_swaps and circumstances.num_swaps:
        yield f"in {circumstances.without_swaps} of {row['seeds']} trainings nothing was swapped"
    if row["seeds"] == 1 and not is_against_base and not circumstances.has_weights_of_control:
        yield "one training of each arm: the test is about these two models, and others of the same arms may differ"
    if row["paired"] is False:
        yield "unpaired, since one side has no items"


def _change(row: dict[str, Any]) -> str:
    """A difference with its interval and p, where they are known."""
    if row["difference"] is None:
        return "not scored"
    interval = "" if row["ci_low"] is None else f" [{row['ci_low']:.3f}, {row['ci_high']:.3f}]"
    return f"{row['difference']:+.3f} nats{interval}" + ("" if row["p"] is None else f", p {probability(row['p'])}")


def _power(row: dict[str, Any]) -> Iterator[str]:
    """A phrase with the least effect that the comparison could have detected."""
    if row["difference_stderr"]:
        effect = minimum_detectable_effect(row["difference_stderr"], df=row["df"])
        yield f"this design sees {effect:.3f} nats with 80% power"
    elif row["difference"] == 0:
        yield "every item is the same in both"


def probability(p: float) -> str:
    """A p-value as it is printed."""
    return "<.001" if p < 0.001 else f"{p:.3f}"
