"""The comparison laid out for the terminal, and the plan of a run.

Enters: a comparison, or a plan. Leaves: rich tables within 80 columns. The manipulation check's verdict stands above
everything and its metrics above the bias metrics, what the intervention cost below them, so that no one reads a null
result without knowing whether the intervention took, or an effect without its price.
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
from bias_intervene.analysis.rows import BASE, PUBLISHED, SHARES, Key, metric_key
from bias_intervene.analysis.verdicts import probability

SHOWN: dict[Key, str] = {
    ("pronouns", "prompts", "neutral", "log_odds_she_he"): "she:he, neutral",
    ("pronouns", "prompts", "female_leaning", "log_odds_she_he"): "she:he, female leaning",
    ("pronouns", "prompts", "male_leaning", "log_odds_she_he"): "she:he, male leaning",
    ("pronouns", "prompts", "occupations", "occupation_gap"): "gap, occupations",
    ("pronouns", "prompts", "neutral", "log_odds_they"): "they:he+she, neutral",
    ("pronouns", "heldout", "all", "log_odds_she_he"): "she:he, held-out rows",
    ("winobias", "sentence", "all", "stereotype_accuracy"): "WB sentence stereo %",
    ("winobias", "sentence", "all", "masculine_share"): "WB sentence masc. %",
    ("winobias", "pronoun_choice", "all", "stereotype_accuracy"): "WB choice stereo %",
    ("winobias", "pronoun_choice", "all", "masculine_share"): "WB choice masc. %",
    ("winobias", "pronoun_choice_mean", "all", "stereotype_accuracy"): "WB choice, both orders, stereo %",
    ("winobias", "pronoun_choice_mean", "all", "masculine_share"): "WB choice, both orders, masc. %",
    ("winobias", "exact_match", "all", "net_bias"): "WB exact match net bias %",
    ("winobias", "exact_match", "all", "accuracy"): "WB exact match right %",
    ("winobias", "referent_choice", "all", "net_bias"): "WB referent net bias %",
    ("winobias", "referent_choice", "all", "accuracy"): "WB referent right %",
    ("crows_pairs", "likelihood", "gender", "pct_stereotype"): "CrowS gender stereo %",
    ("crows_pairs", "likelihood", "gender", "likelihood_diff"): "CrowS gender |diff|",
    ("lambada", "last_word", "all", "accuracy"): "LAMBADA right %",
    ("lambada", "last_word", "all", "perplexity"): "LAMBADA perplexity",
    ("perplexity", "heldout", "all", "perplexity"): "perplexity, held out",
    ("perplexity", "heldout", "without_pronouns", "perplexity"): "the same but pronouns",
}
"""What a person sees first, and its name there; comparison.json holds everything."""


def comparison(compared: Comparison, *, by: Sequence[str] = ()) -> Group:
    """Everything a terminal shows of a comparison. by: dotted settings that make sections."""
    parts: list[Any] = [runs_table(compared.arms)]
    for verdict in compared.verdicts:
        parts.append(Text(f"{verdict.sentence}.", style="green" if verdict.took else "bold red"))
    if compared.identity is not None and not compared.identity.differing:
        parts.append(Text(f"The two are {compared.identity.sentence}.", style="green"))
    for heading, members in sections(compared.arms, by):
        if heading:
            parts.append(Rule(heading, align="left"))
        for arm in members:
            mine = [row for row in compared.rows if row["arm"] == arm.label]
            parts.append(arm_table(arm.label, mine, every=bool(compared.asked.metrics)))
    if compared.asked.published:
        parts.append(published_table(compared))
    if compared.found.unfinished:
        listed = "\n".join(f"  {path}" for path in compared.found.unfinished)
        parts.append(Text(f"Unfinished, not compared:\n{listed}", style="yellow"))
    parts.append(
        Text(
            "Log-odds are log P(she) - log P(he), nats. Differences are paired over items, 95% intervals in brackets; "
            "over seeds where there are several. With one training of each arm they say that these two models differ, "
            "not that two others would. p is uncorrected, Holm's over the bias metrics of all arms. "
            "CrowS-Pairs: many pairs are not valid contrasts (Blodgett et al. 2021).",
            style="dim",
        )
    )
    return Group(*parts)


def published_table(compared: Comparison) -> Group:
    """What the case study's released interventions changed, with what is to be known about it."""
    section = published.section(compared)
    table = Table(title="Published", box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, collapse_padding=True)
    for name in section["columns"]:
        table.add_column(name, overflow="fold")
    for row in section["rows"]:
        table.add_row(*row)
    return Group(table, *(Text(caveat, style="dim") for caveat in section["caveats"]))


def sections(arms: Sequence[Arm], by: Sequence[str]) -> list[tuple[str, list[Arm]]]:
    """(heading, arms) by the values of settings, in the order met."""
    found: dict[str, list[Arm]] = {}
    for arm in arms:
        settings = arm.first.settings
        found.setdefault(" ".join(f"{key}={settings.get(key)}" for key in by), []).append(arm)
    return list(found.items())


def runs_table(arms: Sequence[Arm]) -> Table:
    """One line an arm."""
    table = Table(title="Runs", box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, collapse_padding=True)
    columns, rows = runs_cells(arms)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def runs_cells(arms: Sequence[Arm]) -> tuple[list[str], list[list[str]]]:
    """(columns, one row an arm): what differs, how many seeds, and what the swap did."""
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
                *audited([one for one, _ in arm.replicates]),
            ]
        )
    names = [brief(key, [run.settings for run in runs]) for key in keys]
    return ["arm", *names, "seeds", "checkpoint", "steps", "swapped", "rows changed"], rows


def audited(runs: Sequence[Run]) -> tuple[str, str]:
    """(pronouns swapped, rows changed of all) in all of the runs."""
    audits = [run.record["audit"] or {} for run in runs]
    swaps, changed, rows = (
        sum(audit.get(name, 0) for audit in audits) for name in ("num_swaps", "rows_changed", "rows")
    )
    return str(swaps), f"{changed} of {rows}" if rows else "-"


def arm_table(arm: str, rows: Sequence[dict[str, Any]], *, every: bool = False) -> Table:
    """The metrics of one arm beside its base and its control; a control's beside base and published last checkpoint.

    every: all metrics, not the ones that people look at first.
    """
    names = dict.fromkeys(row["baseline_arm"] for row in rows if row["baseline_arm"])
    controls = [name for name in names if name not in {BASE, PUBLISHED}]
    beside = [name for name in (BASE, *(controls or [PUBLISHED])) if name in names]
    table = Table(title=arm, box=box.SIMPLE_HEAD, title_justify="left", collapse_padding=True, pad_edge=False)
    table.add_column("metric")
    for name in (*beside, "arm"):
        title = "final" if name == PUBLISHED else "control" if name in controls else name
        table.add_column(title, justify="right")
    table.add_column("difference" if controls else "difference to base", justify="right", no_wrap=True)
    table.add_column("p", justify="right")
    corrected = any(row["p_holm"] is not None for row in rows)
    if corrected:
        table.add_column("Holm", justify="right")
    known = dict.fromkeys(metric_key(row) for row in rows)
    keys = known if every else [*SHOWN, *(key for key in known if key[0] == "harness")]
    for key in keys:
        mine = {row["baseline_arm"]: row for row in rows if metric_key(row) == key}
        if not mine:
            continue
        row = next(iter(mine.values()))
        against = mine.get(controls[0] if controls else BASE)
        cells = [number(mine[name]["baseline"], key) if name in mine else "-" for name in beside]
        value = f"{number(row['value'], key)} ±{number(row['stderr'], key)}"
        p = [p_value(against, "p"), *([p_value(against, "p_holm")] if corrected else [])]
        table.add_row(short_name(key), *cells, value, difference(against, key), *p)
    return table


def short_name(key: Key) -> str:
    """A metric for people."""
    return SHOWN.get(key) or " ".join(part for part in key[1:] if part != "all")


def number(value: float | None, key: Key) -> str:
    """A value for people."""
    if value is None:
        return "?"
    return f"{100 * value:.1f}" if key[3] in SHARES else f"{value:.2f}"


def difference(row: dict[str, Any] | None, key: Key) -> str:
    """A signed difference with its interval."""
    if row is None or row["difference"] is None:
        return "-"
    low, high = (number(row[name], key) for name in ("ci_low", "ci_high"))
    sign = "+" if row["difference"] >= 0 else ""
    return f"{sign}{number(row['difference'], key)} [{low}, {high}]"


def p_value(row: dict[str, Any] | None, name: str) -> str:
    """A p-value for people."""
    if row is None or row[name] is None:
        return "-"
    return probability(row[name])
