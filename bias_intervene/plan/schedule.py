"""The learning rate of a run, and that of the original training, as the plan states them.

Input: the settings of the training, and what is known of the original. Output: `Schedule`s, of which
`training.schedule` computes the rate of a step. Guarantees: a schedule that cannot be had is refused with what can.
"""

from dataclasses import dataclass

from bias_intervene.errors import PlanError
from bias_intervene.plan.history import History, OriginalRate
from bias_intervene.settings import TrainSettings


@dataclass(frozen=True)
class Schedule:
    """Everything the learning rate of a step depends on; `training.schedule` computes it."""

    kind: str
    peak: float
    minimum: float
    warmup_steps: int
    total_steps: int
    start_step: int
    rewarmup_steps: int


def schedule_of_run(
    train: TrainSettings, known: History | None, *, start_step: int, num_steps: int, model_name: str
) -> Schedule:
    """The learning rate's parameters in effect."""
    if train.schedule == "constant":
        if train.learning_rate is None:
            raise PlanError("train.learning_rate: needed with train.schedule=constant")
        rate = OriginalRate(peak=train.learning_rate, minimum=train.learning_rate, warmup_steps=0)
        total_steps = 0
    else:
        if known is None or known.learning_rate is None:
            raise PlanError(
                f"train.schedule=original: how {model_name} was trained is not known; "
                "use train.schedule=constant with a train.learning_rate"
            )
        rate, total_steps = known.learning_rate, known.total_steps
        if train.learning_rate is not None:
            minimum = rate.minimum / rate.peak * train.learning_rate
            rate = OriginalRate(peak=train.learning_rate, minimum=minimum, warmup_steps=rate.warmup_steps)
    if num_steps and train.rewarmup_steps > num_steps:
        raise PlanError(
            f"train.rewarmup_steps={train.rewarmup_steps}: the run has {num_steps} steps, so its rate would not reach "
            f"the schedule's; at most {num_steps}"
        )
    return Schedule(
        kind=train.schedule,
        peak=rate.peak,
        minimum=rate.minimum,
        warmup_steps=rate.warmup_steps,
        total_steps=total_steps,
        start_step=start_step,
        rewarmup_steps=train.rewarmup_steps,
    )


def original_schedule(known: History | None) -> Schedule | None:
    """The learning rate of the original training. None: not known."""
    if known is None or known.learning_rate is None:
        return None
    return Schedule(
        kind="original",
        peak=known.learning_rate.peak,
        minimum=known.learning_rate.minimum,
        warmup_steps=known.learning_rate.warmup_steps,
        total_steps=known.total_steps,
        start_step=0,
        rewarmup_steps=0,
    )
