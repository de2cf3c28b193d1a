"""The plan as `dry_run` prints it."""

from collections.abc import Sequence

from rich import box
from rich.table import Table

from bias_intervene.plan.memory import gib
from bias_intervene.plan.pile_rows import num_shards
from bias_intervene.plan.plan import Plan


def plan_table(plan: Plan) -> Table:
    """The plan as `dry_run` prints it."""
    table = Table(title="Plan", box=box.SIMPLE_HEAD, title_justify="left", show_header=False)
    table.add_column("what", style="bold")
    table.add_column("value", overflow="fold")
    fraction = "-" if plan.asked_fraction is None else f"{plan.asked_fraction:g} asked"
    if plan.realised_fraction is not None:
        fraction += f", {plan.realised_fraction:.4f} in effect"
    schedule = plan.schedule
    rows = {
        "arm": plan.arm,
        "checkpoint": f"{plan.repository}" + (f" at {plan.revision}" if plan.revision else ""),
        "parameters": f"{plan.num_parameters:,}" if plan.num_parameters else "known once the files are read",
        "fraction": fraction,
        "steps": f"{plan.num_steps:,}: {plan.start_step:,} to {plan.end_step:,}",
        "rows": f"{plan.rows[0]:,} to {plan.rows[1]:,} of {plan.sequence_length + 1:,} tokens",
        **shards(plan),
        "tokens": f"{plan.tokens:,}",
        "batch": f"{plan.global_batch_rows:,} rows = {plan.micro_batch_rows} micro batch x {plan.accumulation_steps} "
        f"accumulation x {plan.num_ranks} ranks",
        "learning rate": f"{schedule.kind}, peak {schedule.peak:g}, minimum {schedule.minimum:g}",
        "warm-up": f"{schedule.rewarmup_steps} ramp steps, {plan.optimizer_warmup_steps} steps at rate 0",
        "memory a GPU, GiB": _memory(plan),
        "saved at": _steps_text(plan.checkpoint_steps),
        "evaluated at": _steps_text(plan.evaluated_steps)
        + (f"; published: {_steps_text(plan.published_steps)}" if plan.published_steps else ""),
        "benchmarks": ", ".join(plan.benchmarks) or "none",
        **{f"note {i}": note for i, note in enumerate(plan.notes, start=1)},
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def shards(plan: Plan) -> dict[str, str]:
    """The Pile's shards that the run needs, a line each."""
    if plan.shards is None:
        return {}
    lines = [f"{shard['name']}: {shard['bytes_needed']:,} bytes" for shard in plan.shards]
    total = sum(shard["bytes_needed"] for shard in plan.shards)
    return {"shards": "\n".join([*lines, f"{len(lines)} of {num_shards()}, {total:,} bytes of them read"])}


def _memory(plan: Plan) -> str:
    """The estimate by ZeRO stage, the chosen one marked."""
    if plan.memory_gib_by_zero_stage is None:
        return "known once the files are read"
    return ", ".join(
        f"ZeRO {stage}: {gib(value)}{' (chosen)' if int(stage) == plan.zero_stage else ''}"
        for stage, value in plan.memory_gib_by_zero_stage.items()
    )


def _steps_text(steps: Sequence[int]) -> str:
    """A list of steps, shortened in the middle."""
    if not steps:
        return "none"
    shown = [str(s) for s in (steps if len(steps) <= 6 else (*steps[:3], "...", steps[-1]))]
    return ", ".join(shown) + (f" ({len(steps)})" if len(steps) > 6 else "")
