"""The learning rate of a step.

Input: a step and a schedule. Output: a rate. Guarantees: pure.

`original` is the schedule of the original run at the step's own number, so a run that starts at step 133,000 goes on at
the rate the original had there: `max(minimum, peak / 2 * (1 + cos(pi * (step - warmup) / total)))` after a linear
warm-up (GPT-NeoX's cosine, whose period is the total and not total - warmup).
"""

import math

from bias_intervene.plan import Schedule


def learning_rate(step: int, schedule: Schedule) -> float:
    """Rate for the update of `step`; 0 before `schedule.start_step`, where only Adam's moments are rebuilt."""
    if step < schedule.start_step:
        return 0.0
    rate = _original_rate(step, schedule) if schedule.kind == "original" else schedule.peak
    ramp = step - schedule.start_step + 1
    return rate * min(1.0, ramp / schedule.rewarmup_steps) if schedule.rewarmup_steps else rate


def _original_rate(step: int, schedule: Schedule) -> float:
    """The original run's rate at `step`."""
    if step < schedule.warmup_steps:
        return schedule.peak * step / schedule.warmup_steps
    angle = math.pi * (step - schedule.warmup_steps) / schedule.total_steps
    return max(schedule.minimum, schedule.peak / 2 * (1 + math.cos(angle)))
