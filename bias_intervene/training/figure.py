"""learning_rate.png: this run's learning rates against those of the original training.

Input: a plan. Output: a picture. Guarantees: it needs the plan alone, so that it can be drawn before the first step and
a wrong schedule is seen before it costs anything.
"""

import io
from pathlib import Path

from bias_intervene.plan import Plan
from bias_intervene.record import write_bytes
from bias_intervene.training.schedule import learning_rate

_MAX_POINTS = 2000
Curve = tuple[list[int], list[float]]
"""(steps, rates)."""


def curves(plan: Plan) -> tuple[Curve, Curve | None]:
    """(planned, original); original is None where the model's training is not known."""
    first = plan.start_step - plan.optimizer_warmup_steps
    steps = _spread(first, plan.end_step)
    planned = steps, [learning_rate(step, plan.schedule) for step in steps]
    if plan.original_schedule is None:
        return planned, None
    steps = _spread(0, plan.original_schedule.total_steps)
    return planned, (steps, [learning_rate(step, plan.original_schedule) for step in steps])


def _spread(first: int, end: int) -> list[int]:
    """Steps of [first, end), the first and the last among them, _MAX_POINTS or a few more."""
    return sorted({*range(first, end, max(1, (end - first) // _MAX_POINTS)), end - 1})


def draw(plan: Plan, path: Path) -> None:
    """Writes the picture."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    planned, original = curves(plan)
    figure = Figure(figsize=(7, 3.5), dpi=120, layout="constrained")
    whole, near = figure.subplots(1, 2)
    for axes in (whole, near):
        if original is not None:
            axes.plot(*original, color="0.6", linewidth=3, label=f"original training of {plan.repository}")
        # Both ends get a marker: a line of a few steps is too short to be seen.
        axes.plot(
            *planned, color="tab:red", linewidth=1, marker="o", markersize=3, markevery=[0, -1],
            label=f"this run ({plan.arm})",
        )  # fmt: skip
        axes.set_xlabel("step")
        axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
        axes.ticklabel_format(axis="x", style="plain", useOffset=False)
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    margin = max(1, plan.num_steps // 20)
    near.set_xlim(planned[0][0] - margin, planned[0][-1] + margin)
    near.set_ylim(0, 1.2 * max([*planned[1], 1e-12]))
    whole.set_ylabel("learning rate")
    figure.legend(*whole.get_legend_handles_labels(), loc="outside upper center", frameon=False, fontsize=8)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    write_bytes(path, content.getvalue())
