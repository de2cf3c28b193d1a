"""report.html: the comparison as one page that needs nothing else.

Enters: a comparison and its figures. Leaves: one self-contained HTML file: the verdicts, tables that sort and filter,
interactive plots, samples of what the swap did, the settings that differ, provenance. Promised: nothing is fetched, so
it works offline and in print; corpus text is hostile input and is escaped, in the page and in the data of the plots;
no environment variables and no user names.
"""

import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

from bias_intervene.analysis import published
from bias_intervene.analysis.comparison import Comparison
from bias_intervene.analysis.records import Run
from bias_intervene.analysis.report import terminal
from bias_intervene.analysis.report.drawing import BEHIND, colours
from bias_intervene.analysis.report.figures import Figure, Series
from bias_intervene.analysis.rows import Row, is_against_control, metric_key, scale
from bias_intervene.record import read_lines, without_home

MOST_SAMPLES = 12
COLUMNS: tuple[tuple[str, bool], ...] = (
    ("metric", False), ("arm", False), ("against", False), ("step", True), ("baseline", True), ("value", True),
    ("difference", True), ("95% interval", False), ("p", True), ("Holm", True), ("n", True), ("seeds", True),
    ("in words", False),
)  # fmt: skip
"""(name, whether it is sorted as a number)."""


def page(compared: Comparison, figures: Sequence[Figure]) -> str:
    """The page."""
    return rendered(
        "report.html.j2",
        figures,
        title=title(compared),
        verdicts=compared.verdicts,
        identity=compared.identity,
        unfinished=[without_home(str(path)) for path in compared.found.unfinished],
        runs=runs(compared),
        results=results(compared),
        published=published.section(compared) if compared.asked.published else None,
        audits=[found for arm in compared.arms if (found := audit(arm.first)) is not None],
        provenance=[provenance(run) for arm in compared.arms for run, _ in arm.replicates],
        caveats=caveats(compared),
    )


def rendered(template: str, figures: Sequence[Figure], **values: Any) -> str:
    """A page of `values` with interactive plots of the figures."""
    # Jinja escapes everything but the two strings marked safe: Plotly's own code, and JSON without a "<".
    from jinja2 import Environment, PackageLoader

    pages = Environment(
        loader=PackageLoader("bias_intervene", "analysis"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return pages.get_template(template).render(
        figures=figures,
        legend=legend(figures),
        plotly=resources.files("plotly").joinpath("package_data/plotly.min.js").read_text(encoding="utf8")
        if figures else "",
        figures_json=embedded(plots(figures)),
        **values,
    )  # fmt: skip


def title(compared: Comparison) -> str:
    """What is compared, in a line."""
    names = dict.fromkeys(arm.first.arm for arm in compared.arms)
    return f"bias_intervene: {', '.join(names)}"


def runs(compared: Comparison) -> dict[str, Any]:
    """The table of runs, as the terminal has it."""
    columns, rows = terminal.runs_cells(compared.arms)
    return {"columns": columns, "rows": rows}


def results(compared: Comparison) -> dict[str, Any]:
    """Every row, those to look at first marked and in their order."""
    order = {key: n for n, key in enumerate(terminal.SHOWN)}
    rows = sorted(compared.rows, key=lambda row: order.get(metric_key(row), len(order)))
    columns = [{"name": name, "number": number} for name, number in COLUMNS]
    return {"columns": columns, "rows": [result(row) for row in rows]}


def result(row: Row) -> dict[str, Any]:
    """One row's cells."""
    key = metric_key(row)
    factor = scale(key)

    def number(name: str, factor: float = 1, digits: int = 2) -> dict[str, Any]:
        value = row[name]
        if value is None:
            return {"text": "", "sort": None, "kind": "n"}
        text = f"{value:,}" if isinstance(value, int) else f"{value * factor:.{digits}f}"
        return {"text": text, "sort": value, "kind": "n"}

    def p(name: str) -> dict[str, Any]:
        return {"text": terminal.p_value(row, name).replace("-", ""), "sort": row[name], "kind": "n"}

    def text(value: str, kind: str = "") -> dict[str, Any]:
        return {"text": value, "sort": None, "kind": kind}

    reach = [number(name, factor)["text"] for name in ("ci_low", "ci_high")]
    interval = f"[{reach[0]}, {reach[1]}]" if all(reach) else ""
    cells = [
        text(" ".join(dict.fromkeys(part for part in key if part != "all"))), text(row["arm"]),
        text(row["baseline_arm"] or ""), number("step"), number("baseline", factor), number("value", factor),
        number("difference", factor), text(interval, "interval"), p("p"), p("p_holm"),
        number("n"), number("seeds"), text(row["sentence"], "sentence"),
    ]  # fmt: skip
    return {"brief": key in terminal.SHOWN and is_against_control(row), "cells": cells}


def audit(run: Run) -> dict[str, Any] | None:
    """What the swap did to the rows of a run, with samples."""
    counts = run.record["audit"]
    if not counts or not counts["num_swaps"]:
        return None
    path = run.folder / "audit_samples.jsonl"
    forms = ", ".join(f"{form} {count:,}" for form, count in sorted(counts["swaps"].items(), key=lambda one: -one[1]))
    return {
        "arm": run.label,
        "told": f"{counts['num_swaps']:,} pronouns in {counts['rows_changed']:,} of {counts['rows']:,} rows: {forms}.",
        "samples": read_lines(path)[:MOST_SAMPLES] if path.is_file() else [],
    }


def provenance(run: Run) -> dict[str, str]:
    """What a run was made from and on."""
    names = ("settings", "plan", "environment", "fingerprints", "stages")
    kept = {name: run.record[name] for name in names if run.record.get(name)}
    label = f"{run.label} seed {run.settings['seed']}" if "seed" in run.settings else run.label
    text = json.dumps(without_home(kept), indent=1, ensure_ascii=False)
    return {"label": label, "folder": without_home(str(run.folder)), "text": text}


def caveats(compared: Comparison) -> list[str]:
    """What the benchmarks' authors and critics say of them."""
    found = [
        caveat
        for arm in compared.arms
        for notes in (arm.first.record.get("benchmarks") or {}).values()
        for caveat in notes.get("caveats", ())
    ]
    return list(dict.fromkeys(found))


# --- plots -----------------------------------------------------------------------------------------------------


def embedded(value: object) -> str:
    """JSON that can stand inside a script element whatever its strings hold."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")


def plots(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    """Plotly's data and layout of each figure."""
    chosen = colours(figures)
    return [{"data": traces(figure, chosen), "layout": layout(figure)} for figure in figures]


def traces(figure: Figure, chosen: dict[str, str]) -> list[dict[str, Any]]:
    """The series, bands before lines."""
    made: list[dict[str, Any]] = []
    for series in figure.series:
        colour = BEHIND if series.background else chosen[series.name]
        if figure.kind == "lines" and series.low:
            made.append(band(series, colour))
        made.append(trace(figure, series, colour))
    return made


def trace(figure: Figure, series: Series, colour: str) -> dict[str, Any]:
    """The points of one series."""
    made: dict[str, Any] = {
        "type": "scatter", "name": series.name, "x": known(series.x), "y": known(series.y),
        "mode": {"lines": "lines+markers", "path": "lines+markers", "forest": "markers", "scatter": "markers"}[
            figure.kind
        ],
        "marker": {"color": colour, "size": 4 if figure.kind == "scatter" else 6},
        "line": {"color": colour, "width": 1.5, "dash": "dash" if series.background else "solid"},
        "legendgroup": series.name, "text": list(series.labels),
    }  # fmt: skip
    if figure.kind == "forest":
        above = [high - x for high, x in zip(series.high, series.x, strict=True)]
        below = [x - low for low, x in zip(series.low, series.x, strict=True)]
        made["error_x"] = {"type": "data", "symmetric": False, "array": known(above), "arrayminus": known(below)}
    return made


def band(series: Series, colour: str) -> dict[str, Any]:
    """The interval around a line."""
    there = [n for n in range(len(series.x)) if series.low[n] == series.low[n] and series.high[n] == series.high[n]]
    edge = [series.high[n] for n in there] + [series.low[n] for n in reversed(there)]
    red, green, blue = (int(colour[n : n + 2], 16) for n in (1, 3, 5))
    return {
        "type": "scatter", "x": [series.x[n] for n in there] + [series.x[n] for n in reversed(there)], "y": edge,
        "fill": "toself", "fillcolor": f"rgba({red},{green},{blue},0.15)", "line": {"width": 0}, "mode": "lines",
        "hoverinfo": "skip", "showlegend": False, "legendgroup": series.name,
    }  # fmt: skip


def known(values: Sequence[float]) -> list[float | None]:
    """JSON's null for what is unknown."""
    return [value if value == value else None for value in values]


def legend(figures: Sequence[Figure]) -> dict[str, str]:
    """Name -> colour, one legend for all plots: an arm has one colour in all of them."""
    behind = {one.name: BEHIND for figure in figures for one in figure.series if one.background}
    return colours(figures) | behind


def layout(figure: Figure) -> dict[str, Any]:
    """Axes and title."""
    made: dict[str, Any] = {
        "title": {"text": figure.title, "font": {"size": 14}}, "margin": {"l": 60, "r": 10, "t": 40, "b": 45},
        "xaxis": {"title": {"text": figure.x_label}, "automargin": True},
        "yaxis": {"title": {"text": figure.y_label}, "automargin": True},
        "showlegend": False, "hovermode": "closest",
    }  # fmt: skip
    if figure.kind == "forest":
        labels = {y: label for one in figure.series for y, label in zip(one.y, one.labels, strict=True)}
        made["yaxis"] |= {"tickvals": list(labels), "ticktext": list(labels.values())}
        made["shapes"] = [line(x0=figure.mark, x1=figure.mark, y0=0, y1=1, yref="paper")]
    if figure.diagonal:
        values = [value for one in figure.series for value in (*one.x, *one.y)]
        low, high = min(values), max(values)
        made["shapes"] = [line(x0=low, x1=high, y0=low, y1=high)]
    if figure.from_zero:
        made["xaxis"]["rangemode"] = made["yaxis"]["rangemode"] = "tozero"
    return made


def line(**where: Any) -> dict[str, Any]:
    """A thin grey line."""
    return {"type": "line", "line": {"color": "#999", "width": 1}, "layer": "below", **where}
