"""The comparison laid out for the terminal.

Input: a comparison. Output: rich tables within 80 columns. Guarantees: the manipulation check stands above everything
and its metrics above the bias metrics, what the intervention cost below them, so that no one reads a null result
without knowing whether the intervention took, or an effect without its price. Which metrics are shown, in which order
and under which names, is said by their specs.
"""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Group
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from bias_intervene.analysis import published
from bias_intervene.analysis.comparison import Comparison
from bias_intervene.analysis.pairing import Arm
from bias_intervene.analysis.records import (
    CONTROL,
    NAMED_BY_THE_ARM,
    OF_THE_SEED,
    Run,
    brief,
    differing_settings,
    unused_by_controls,
)
from bias_intervene.analysis.verdicts import probability
from bias_intervene.results import BASE, PUBLISHED, ComparisonRow, MetricSpec, MetricSpecs


def comparison(compared: Comparison, *, by: Sequence[str] = ()) -> Group:
    """Everything a terminal shows of a comparison. by: dotted settings that make sections."""
    parts: list[Any] = [_runs_table(compared.arms)]
    for verdict in compared.verdicts:
        parts.append(Text(f"{verdict.sentence}.", style="green" if verdict.took else "bold red"))
    if compared.identity is not None and not compared.identity.differing:
        parts.append(Text(f"The two are {compared.identity.sentence}.", style="green"))
    for heading, members in _sections(compared.arms, by):
        if heading:
            parts.append(Rule(heading, align="left"))
        for arm in members:
            mine = [row for row in compared.rows if row.arm == arm.label]
            parts.append(_arm_table(arm.label, mine, compared.specs, every=bool(compared.options.metrics)))
    if compared.options.published:
        parts.append(_published_table(compared))
    if compared.runs.unfinished:
        listed = "\n".join(f"  {path}" for path in compared.runs.unfinished)
        parts.append(Text(f"Unfinished, not compared:\n{listed}", style="yellow"))
    parts.append(
        Text(
            "Log-odds are log P(she) - log P(he), nats. Differences are paired over items, 95% intervals in brackets; "
            "over seeds where there are several. With one training of each arm they say that these two models differ, "
            "not that two others would. p is uncorrected, Holm's over the bias metrics of all arms.",
            style="dim",
        )
    )
    parts += [Text(caveat, style="dim") for caveat in caveats(compared)]
    return Group(*parts)


def caveats(compared: Comparison) -> list[str]:
    """What the benchmarks' authors and critics say of them, as the records have it."""
    found: list[str] = []
    for arm in compared.arms:
        by_benchmark: dict[str, dict[str, Any]] = arm.first.record.get("benchmarks") or {}
        for notes in by_benchmark.values():
            found += notes.get("caveats", ())
    return list(dict.fromkeys(found))


def _published_table(compared: Comparison) -> Group:
    """What the case study's released interventions changed, with what is to be known about it."""
    section = published.section(compared)
    table = Table(title="Published", box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, collapse_padding=True)
    for name in section["columns"]:
        table.add_column(name, overflow="fold")
    for row in section["rows"]:
        table.add_row(*row)
    return Group(table, *(Text(caveat, style="dim") for caveat in section["caveats"]))


def _sections(arms: Sequence[Arm], by: Sequence[str]) -> list[tuple[str, list[Arm]]]:
    """(heading, arms) by the values of settings, in the order met."""
    by_heading: dict[str, list[Arm]] = {}
    for arm in arms:
        settings = arm.first.settings
        by_heading.setdefault(" ".join(f"{key}={settings.get(key)}" for key in by), []).append(arm)
    return list(by_heading.items())


def _runs_table(arms: Sequence[Arm]) -> Table:
    """One line an arm."""
    table = Table(title="Runs", box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, collapse_padding=True)
    columns, rows = runs_cells(arms)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def runs_cells(arms: Sequence[Arm]) -> tuple[list[str], list[list[str]]]:
    """(columns, one row an arm): the settings that differ, how many seeds, and what the swap did."""
    runs = [arm.first for arm in arms]
    keys = [key for key in differing_settings(runs) if key not in {*NAMED_BY_THE_ARM, *OF_THE_SEED}]
    unused = unused_by_controls(runs)
    rows: list[list[str]] = []
    for arm, run in zip(arms, runs, strict=True):
        plan = run.record["plan"]
        hidden = set(keys) if run.foreign else unused if run.arm == CONTROL else set[str]()
        rows.append(
            [
                run.arm,
                *("-" if key in hidden else str(run.settings.get(key)) for key in keys),
                str(len(arm.replicates)),
                " ".join(filter(None, [plan["repository"].split("/")[-1], plan["revision"]])),
                str(plan["num_steps"]),
                *_audited([one for one, _ in arm.replicates]),
            ]
        )
    names = [brief(key, [run.settings for run in runs]) for key in keys]
    return ["arm", *names, "seeds", "checkpoint", "steps", "swapped", "rows changed"], rows


def _audited(runs: Sequence[Run]) -> tuple[str, str]:
    """(pronouns swapped, rows changed of all) in all of the runs."""
    audits: list[dict[str, Any]] = [run.record["audit"] or {} for run in runs]
    swaps, changed, rows = (
        sum(audit.get(name, 0) for audit in audits) for name in ("num_swaps", "rows_changed", "rows")
    )
    return str(swaps), f"{changed} of {rows}" if rows else "-"


def _arm_table(arm: str, rows: Sequence[ComparisonRow], specs: MetricSpecs, *, every: bool = False) -> Table:
    """The metrics of one arm beside its base and its control; a control's beside base and published last checkpoint.

    every: all metrics, not only those that are shown first.
    """
    names = dict.fromkeys(row.baseline_arm for row in rows if row.baseline_arm)
    controls = [name for name in names if name not in {BASE, PUBLISHED}]
    beside = [name for name in (BASE, *(controls or [PUBLISHED])) if name in names]
    table = Table(title=arm, box=box.SIMPLE_HEAD, title_justify="left", collapse_padding=True, pad_edge=False)
    table.add_column("metric")
    for name in (*beside, "arm"):
        title = "final" if name == PUBLISHED else "control" if name in controls else name
        table.add_column(title, justify="right")
    table.add_column("difference" if controls else "difference to base", justify="right", no_wrap=True)
    table.add_column("p", justify="right")
    corrected = any(row.p_holm is not None for row in rows)
    if corrected:
        table.add_column("Holm", justify="right")
    known = dict.fromkeys(row.key for row in rows)
    for key in known if every else [*specs.shown_first, *(key for key in known if specs.of(key).listed)]:
        mine = {row.baseline_arm: row for row in rows if row.key == key}
        if not mine:
            continue
        row = next(iter(mine.values()))
        against = mine.get(controls[0] if controls else BASE)
        cells = [number(mine[name].baseline, row.spec) if name in mine else "-" for name in beside]
        value = f"{number(row.value, row.spec)} ±{number(row.stderr, row.spec)}"
        p = [p_value(against and against.p), *([p_value(against and against.p_holm)] if corrected else [])]
        table.add_row(specs.short_name(key), *cells, value, difference(against), *p)
    return table


def number(value: float | None, spec: MetricSpec) -> str:
    """A value for people."""
    if value is None:
        return "?"
    return f"{100 * value:.1f}" if spec.unit == "share" else f"{value:.2f}"


def difference(row: ComparisonRow | None) -> str:
    """A signed difference with its interval."""
    if row is None or row.difference is None:
        return "-"
    low, high = (number(value, row.spec) for value in (row.ci_low, row.ci_high))
    sign = "+" if row.difference >= 0 else ""
    return f"{sign}{number(row.difference, row.spec)} [{low}, {high}]"


def p_value(value: float | None) -> str:
    """A p-value for people."""
    return "-" if value is None else probability(value)
