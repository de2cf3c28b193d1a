"""Lays out the comparison for the terminal.

The manipulation check comes first and the capabilities come last, so that nobody reads a null result without knowing
whether the intervention took effect, or an effect without its cost in capability.

Input: a comparison.
Output: rich tables within 80 columns.
Guarantees: which metrics are shown, in which order and under which names, is determined by their specs.
"""

import math
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Group
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from bias_intervene.analysis import published
from bias_intervene.analysis.clusters import caveat_of_older_records
from bias_intervene.analysis.comparison import Comparison
from bias_intervene.analysis.pairing import Arm
from bias_intervene.analysis.records import (
    ARM_NAME_SETTINGS,
    CONTROL,
    SEED_SETTINGS,
    Run,
    differing_settings,
    short_key,
    unused_by_controls,
)
from bias_intervene.analysis.saturation import is_saturated
from bias_intervene.analysis.verdicts import probability
from bias_intervene.console import one_line
from bias_intervene.results import BASE, PUBLISHED, ComparisonRow, MetricSpec, MetricSpecs

_SATURATED = (
    "(s): saturated. The model says the same form in 95% or more of the choices between a masculine and a feminine "
    "form, so the share tells nothing of the items, and a change of it may be a shift of all pronouns alike; the "
    "difference in nats is given beside it."
)


def comparison(compared: Comparison, *, by: Sequence[str] = ()) -> Group:
    """Everything that is printed of a comparison. by: dotted settings whose values divide the arms into sections."""
    parts: list[Any] = [_runs_table(compared.arms)]
    parts += [Text(one_line(f"{note}."), style="yellow") for note in compared.notes]
    for verdict in compared.verdicts:
        style = {True: "green", False: "bold red", None: "yellow"}[verdict.took]
        parts.append(Text(one_line(f"{verdict.sentence}."), style=style))
    for test in compared.claims:
        parts.append(Text(one_line(f"{test.sentence}."), style="green" if test.shown else "bold red"))
    if compared.identity is not None and not compared.identity.differing:
        parts.append(Text(f"The two are {compared.identity.sentence}.", style="green"))
    for heading, members in _sections(compared.arms, by):
        if heading:
            parts.append(Rule(one_line(heading), align="left"))
        for arm in members:
            rows = [row for row in compared.rows if row.arm == arm.label]
            parts.append(_arm_table(arm.label, rows, compared.specs, all_metrics=bool(compared.options.metrics)))
    if compared.options.published:
        parts.append(_published_table(compared))
    if compared.runs.unfinished:
        listed = "\n".join(f"  {one_line(str(path))}" for path in compared.runs.unfinished)
        parts.append(Text(f"Unfinished, not compared:\n{listed}", style="yellow"))
    parts.append(
        Text(
            f"Log-odds are log P(she) - log P(he), nats. Differences are {_pairing(compared)}, 95% intervals in "
            "brackets; over seeds where there are several. With one training of each arm they say that these two "
            f"models differ, not that two others would. p is uncorrected, Holm's over {holm_family(compared)}.",
            style="dim",
        )
    )
    parts += [Text(caveat, style="dim") for caveat in caveats(compared)]
    return Group(*parts)


def holm_family(compared: Comparison) -> str:
    """The tests that Holm's correction covers, in words."""
    chosen = "the metrics chosen at comparison time" if compared.options.metrics else ""
    if compared.claims:
        return "the claims that were stated before the runs" + (
            f", and apart from them over {chosen}" if chosen else ""
        )
    return chosen or "the bias metrics of all arms"


def _pairing(compared: Comparison) -> str:
    """How the differences were computed."""
    kinds = {row.paired for row in compared.rows if row.difference is not None}
    if False not in kinds:
        return "paired over items"
    unpaired = "unpaired where a side has no items (results of another program)"
    return f"paired over items, and {unpaired}" if True in kinds else unpaired


def caveats(compared: Comparison) -> list[str]:
    """What saturated means if any share is, and the caveats of the benchmarks from the records and of older records."""
    all_caveats = [_SATURATED] if any(is_saturated(row) for row in compared.rows) else []
    for arm in compared.arms:
        by_benchmark: dict[str, dict[str, Any]] = arm.first.record.get("benchmarks") or {}
        for notes in by_benchmark.values():
            all_caveats += notes.get("caveats", ())
        all_caveats += filter(None, [caveat_of_older_records(arm.first.record)])
    return list(dict.fromkeys(all_caveats))


def _published_table(compared: Comparison) -> Group:
    """The changes that the case study's released interventions show, with their caveats."""
    section = published.section(compared)
    table = Table(title="Published", box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, collapse_padding=True)
    for name in section["columns"]:
        table.add_column(name, overflow="fold")
    for row in section["rows"]:
        table.add_row(*map(one_line, row))
    return Group(table, *(Text(caveat, style="dim") for caveat in section["caveats"]))


def _sections(arms: Sequence[Arm], by: Sequence[str]) -> list[tuple[str, list[Arm]]]:
    """(heading, arms) for each combination of values of the settings `by`, in the order of the arms."""
    by_heading: dict[str, list[Arm]] = {}
    for arm in arms:
        settings = arm.first.settings
        by_heading.setdefault(" ".join(f"{key}={settings.get(key)}" for key in by), []).append(arm)
    return list(by_heading.items())


def _runs_table(arms: Sequence[Arm]) -> Table:
    """The table of runs: one line per arm."""
    table = Table(title="Runs", box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, collapse_padding=True)
    columns, rows = runs_cells(arms)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*map(one_line, row))
    return table


def runs_cells(arms: Sequence[Arm]) -> tuple[list[str], list[list[str]]]:
    """(names of columns, the cells of each arm): the settings that differ, the number of seeds, the counts of swaps."""
    runs = [arm.first for arm in arms]
    keys = [key for key in differing_settings(runs) if key not in {*ARM_NAME_SETTINGS, *SEED_SETTINGS}]
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
                *_swap_counts([replicate.run for replicate in arm.replicates]),
            ]
        )
    names = [short_key(key, [run.settings for run in runs]) for key in keys]
    return ["arm", *names, "seeds", "checkpoint", "steps", "swapped", "rows changed"], rows


def _swap_counts(runs: Sequence[Run]) -> tuple[str, str]:
    """(pronouns swapped, "rows changed of rows read"), summed over the runs."""
    audits: list[dict[str, Any]] = [run.record["audit"] or {} for run in runs]
    swaps, changed, rows = (
        sum(audit.get(name, 0) for audit in audits) for name in ("num_swaps", "rows_changed", "rows")
    )
    return str(swaps), f"{changed} of {rows}" if rows else "-"


def _arm_table(arm: str, rows: Sequence[ComparisonRow], specs: MetricSpecs, *, all_metrics: bool = False) -> Table:
    """The metrics of one arm beside those of its base and its control.

    An arm without a control, such as the control itself, is shown beside its base and the original run's last
    checkpoint. all_metrics: every metric, not only those that are shown first or listed.
    """
    names = dict.fromkeys(row.baseline_arm for row in rows if row.baseline_arm)
    controls = [name for name in names if name not in {BASE, PUBLISHED}]
    beside = [name for name in (BASE, *(controls or [PUBLISHED])) if name in names]
    table = Table(title=one_line(arm), box=box.SIMPLE_HEAD, title_justify="left", collapse_padding=True, pad_edge=False)
    table.add_column("metric")
    for name in (*beside, "arm"):
        title = "final" if name == PUBLISHED else "control" if name in controls else name
        table.add_column(title, justify="right")
    table.add_column("difference" if controls else "difference to base", justify="right", no_wrap=True)
    table.add_column("p", justify="right")
    corrected = any(row.p_holm is not None for row in rows)
    if corrected:
        table.add_column("Holm", justify="right")
    keys = dict.fromkeys(row.key for row in rows)
    claimed = [row.key for row in rows if row.origin == "claimed"]
    listed = [*specs.shown_first, *(key for key in keys if specs.of(key).listed)]
    shown = dict.fromkeys([*claimed, *(keys if all_metrics else listed)])
    for key in shown:
        by_baseline = {row.baseline_arm: row for row in rows if row.key == key}
        if not by_baseline:
            continue
        row = next(iter(by_baseline.values()))
        against = by_baseline.get(controls[0] if controls else BASE)
        cells = [_baseline_cell(by_baseline.get(name)) for name in beside]
        value = f"{number(row.value, row.spec)}{mark(row.saturated)} ±{number(row.stderr, row.spec)}"
        p = [p_value(against and against.p), *([p_value(against and against.p_holm)] if corrected else [])]
        name = one_line(specs.short_name(key)) + (" (claimed)" if key in claimed else "")
        table.add_row(name, *cells, value, difference(against), *p)
        if any(is_saturated(each) for each in by_baseline.values()):
            in_nats = against.difference_nats if against is not None else None
            nats = "-" if in_nats is None else f"{in_nats:+.2f}"
            table.add_row("  the same in nats", *("" for _ in beside), "", nats, *("" for _ in p))
    return table


def _baseline_cell(row: ComparisonRow | None) -> str:
    """The value of a baseline as it is printed."""
    return "-" if row is None else number(row.baseline, row.spec) + mark(row.baseline_saturated)


def mark(saturated: bool | None) -> str:
    """What is written behind a saturated share (`_SATURATED` explains it)."""
    return "(s)" if saturated else ""


def number(value: float | None, spec: MetricSpec) -> str:
    """A value of a metric as it is printed: shares in per cent."""
    if value is None or not math.isfinite(value):
        return "?"
    return f"{100 * value:.1f}" if spec.unit == "share" else f"{value:.2f}"


def difference(row: ComparisonRow | None) -> str:
    """A signed difference with its interval, as it is printed."""
    if row is None or row.difference is None:
        return "-"
    low, high = (number(value, row.spec) for value in (row.ci_low, row.ci_high))
    sign = "+" if row.difference >= 0 else ""
    return f"{sign}{number(row.difference, row.spec)} [{low}, {high}]"


def p_value(value: float | None) -> str:
    """A p-value as it is printed."""
    return "-" if value is None else probability(value)
