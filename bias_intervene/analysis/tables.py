"""The comparison laid out: for the terminal, as Markdown, and the plan of a run.

Enters: rows of `pairing.compare`, or a plan. Leaves: rich tables and text. The manipulation check always stands above
the bias metrics, so that no one reads a null result without knowing whether the intervention took.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from bias_intervene.analysis.pairing import BASE, NAMED_BY_THE_ARM, PUBLISHED, Comparison, Run, differing_settings
from bias_intervene.analysis.verdicts import probability
from bias_intervene.memory import gib
from bias_intervene.plan import Plan
from bias_intervene.pythia import num_shards
from bias_intervene.record import write_bytes, write_json

SHOWN = (
    ("pronouns", "prompts", "neutral", "log_odds_she_he"),
    ("pronouns", "prompts", "female_leaning", "log_odds_she_he"),
    ("pronouns", "prompts", "male_leaning", "log_odds_she_he"),
    ("pronouns", "prompts", "occupations", "occupation_gap"),
    ("pronouns", "prompts", "neutral", "log_odds_they"),
    ("pronouns", "heldout", "all", "log_odds_she_he"),
    ("winobias", "sentence", "all", "stereotype_accuracy"),
    ("winobias", "sentence", "all", "masculine_share"),
    ("winobias", "pronoun_choice", "all", "stereotype_accuracy"),
    ("winobias", "pronoun_choice", "all", "masculine_share"),
    ("winobias", "pronoun_choice_mean", "all", "masculine_share"),
    ("winobias", "exact_match", "all", "net_bias"),
    ("winobias", "exact_match", "all", "accuracy"),
    ("winobias", "referent_choice", "all", "net_bias"),
    ("winobias", "referent_choice", "all", "accuracy"),
    ("crows_pairs", "likelihood", "gender", "pct_stereotype"),
    ("crows_pairs", "likelihood", "gender", "likelihood_diff"),
    ("lambada", "last_word", "all", "accuracy"),
    ("lambada", "last_word", "all", "perplexity"),
    ("perplexity", "heldout", "all", "perplexity"),
    ("perplexity", "heldout", "without_pronouns", "perplexity"),
)
"""What a person sees first; comparison.json holds everything."""


def write(comparison: Comparison, folder: Path) -> None:
    """comparison.json and comparison.md."""
    write_json(folder / "comparison.json", comparison.to_json())
    write_bytes(folder / "comparison.md", markdown(comparison.rows).encode())


def comparison(compared: Comparison) -> Group:
    """Everything a terminal shows of a comparison."""
    found, rows = compared.found, compared.rows
    parts: list[Any] = [runs_table(found.runs)]
    for verdict in compared.verdicts:
        parts.append(Text(f"{verdict.sentence}.", style="green" if verdict.took else "bold red"))
    parts += [
        arm_table(arm, [row for row in rows if row["arm"] == arm]) for arm in dict.fromkeys(r["arm"] for r in rows)
    ]
    if found.unfinished:
        listed = "\n".join(f"  {path}" for path in found.unfinished)
        parts.append(Text(f"Unfinished, not compared:\n{listed}", style="yellow"))
    parts.append(
        Text(
            "Log-odds are log P(she) - log P(he), nats. Differences are paired over items, their 95% intervals in "
            "brackets; p is uncorrected. CrowS-Pairs: many pairs are not valid contrasts (Blodgett et al. 2021).",
            style="dim",
        )
    )
    return Group(*parts)


def runs_table(runs: Sequence[Run]) -> Table:
    """One line a run: what differs, and what the swap did."""
    table = Table(title="Runs", box=box.SIMPLE_HEAD, title_justify="left")
    keys = [key for key in differing_settings(runs) if key not in NAMED_BY_THE_ARM]
    for name in ("arm", *keys, "checkpoint", "steps", "swapped", "rows changed"):
        table.add_column(name, overflow="fold")
    for run in runs:
        plan, audit = run.record["plan"], run.record["audit"] or {}
        table.add_row(
            run.arm,
            *(str(run.settings.get(key)) for key in keys),
            " ".join(filter(None, [plan["repository"].split("/")[-1], plan["revision"]])),
            str(plan["num_steps"]),
            str(audit.get("num_swaps", 0)),
            f"{audit.get('rows_changed', 0)} of {audit.get('rows', 0)}" if audit.get("rows") else "-",
        )
    return table


def arm_table(arm: str, rows: Sequence[dict[str, Any]]) -> Table:
    """The metrics of one arm beside its base and its control; a control's beside base and published last checkpoint."""
    names = dict.fromkeys(row["baseline_arm"] for row in rows if row["baseline_arm"])
    controls = [name for name in names if name not in {BASE, PUBLISHED}]
    beside = [name for name in (BASE, *(controls or [PUBLISHED])) if name in names]
    table = Table(title=arm, box=box.SIMPLE_HEAD, title_justify="left", collapse_padding=True, pad_edge=False)
    table.add_column("metric")
    for name in (*beside, "arm"):
        title = "final" if name == PUBLISHED else "control" if name.startswith("none") else name
        table.add_column(title, justify="right")
    table.add_column("difference" if controls else "difference to base", justify="right", no_wrap=True)
    table.add_column("p", justify="right")
    of_harness = dict.fromkeys(metric_key(row) for row in rows if row["benchmark"] == "harness")
    for key in (*SHOWN, *of_harness):
        mine = {row["baseline_arm"]: row for row in rows if metric_key(row) == key}
        if not mine:
            continue
        row = next(iter(mine.values()))
        against = mine.get(controls[0] if controls else BASE)
        cells = [number(mine[name]["baseline"], key) if name in mine else "-" for name in beside]
        value = f"{number(row['value'], key)} ±{number(row['stderr'], key)}"
        table.add_row(short_name(key), *cells, value, difference(against, key), p_value(against))
    return table


def metric_key(row: dict[str, Any]) -> tuple[str, str, str, str]:
    """The four names of a metric."""
    return row["benchmark"], row["protocol"], row["subset"], row["metric"]


def short_name(key: tuple[str, str, str, str]) -> str:
    """A metric for people."""
    benchmark, protocol, subset, metric = key
    match benchmark:
        case "pronouns":
            place = "held-out rows" if protocol == "heldout" else subset.replace("_", " ")
            if metric == "occupation_gap":
                return f"gap, {place}"
            return f"they:he+she, {place}" if metric == "log_odds_they" else f"she:he, {place}"
        case "winobias":
            names = {"stereotype_accuracy": "stereo %", "masculine_share": "masc. %", "net_bias": "net bias %"}
            return f"WB {protocol} {names.get(metric, 'right %')}"
        case "perplexity":
            return f"perplexity, {'held-out rows' if subset == 'all' else 'but pronouns'}"
        case "harness":
            return f"{protocol} {metric}"
        case "lambada":
            return "LAMBADA acc. %" if metric == "accuracy" else "LAMBADA perplexity"
        case _:
            return f"CrowS {subset} {'stereo %' if metric == 'pct_stereotype' else '|diff|'}"


def is_share(key: tuple[str, str, str, str]) -> bool:
    """Whether the metric is shown in per cent."""
    return key[3] in {"pct_stereotype", "stereotype_accuracy", "masculine_share", "accuracy", "net_bias"}


def number(value: float | None, key: tuple[str, str, str, str]) -> str:
    """A value for people."""
    if value is None:
        return "?"
    return f"{100 * value:.1f}" if is_share(key) else f"{value:.2f}"


def difference(row: dict[str, Any] | None, key: tuple[str, str, str, str]) -> str:
    """A signed difference with its interval."""
    if row is None or row["difference"] is None:
        return "-"
    scale, digits = (100, 1) if is_share(key) else (1, 2)
    low, high = (row[name] * scale if row[name] is not None else float("nan") for name in ("ci_low", "ci_high"))
    return f"{row['difference'] * scale:+.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def p_value(row: dict[str, Any] | None) -> str:
    """A p-value for people."""
    if row is None or row["p"] is None:
        return "-"
    return probability(row["p"])


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """All rows as a Markdown table."""
    names = (
        "benchmark",
        "protocol",
        "subset",
        "metric",
        "arm",
        "baseline_arm",
        "baseline",
        "value",
        "difference",
        "p",
        "n",
    )
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for row in rows:
        cells = [f"{row[n]:.4g}" if isinstance(row[n], float) else "" if row[n] is None else str(row[n]) for n in names]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


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
        "memory a GPU, GiB": memory(plan),
        "saved at": steps_text(plan.checkpoint_steps),
        "evaluated at": steps_text(plan.evaluated_steps)
        + (f"; published: {steps_text(plan.published_steps)}" if plan.published_steps else ""),
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


def memory(plan: Plan) -> str:
    """The estimate by ZeRO stage, the chosen one marked."""
    if plan.memory_gib_by_zero_stage is None:
        return "known once the files are read"
    return ", ".join(
        f"ZeRO {stage}: {gib(value)}{' (chosen)' if int(stage) == plan.zero_stage else ''}"
        for stage, value in plan.memory_gib_by_zero_stage.items()
    )


def steps_text(steps: Sequence[int]) -> str:
    """A list of steps, shortened in the middle."""
    if not steps:
        return "none"
    shown = [str(s) for s in (steps if len(steps) <= 6 else (*steps[:3], "...", steps[-1]))]
    return ", ".join(shown) + (f" ({len(steps)})" if len(steps) > 6 else "")
