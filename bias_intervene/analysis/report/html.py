"""report.html: the comparison as one page that needs nothing else.

Input: a comparison and its figures. Output: one self-contained HTML file: the verdicts, tables that sort and filter,
interactive plots, samples of what the swap did, the settings that differ, provenance. Guarantees: nothing is fetched,
so it works offline and in print; corpus text is hostile input and is escaped, in the page and in the data of the plots;
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
from bias_intervene.analysis.report.figure import Figure, Series
from bias_intervene.record import read_lines, without_home
from bias_intervene.results import ComparisonRow

_MOST_SAMPLES = 12
_COLUMNS: tuple[tuple[str, bool], ...] = (
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
        title=_title(compared),
        verdicts=compared.verdicts,
        identity=compared.identity,
        unfinished=[without_home(str(path)) for path in compared.runs.unfinished],
        runs=_runs(compared),
        results=_results(compared),
        published=published.section(compared) if compared.options.published else None,
        audits=[swaps for arm in compared.arms if (swaps := _audit(arm.first)) is not None],
        provenance=[_provenance(run) for arm in compared.arms for run, _ in arm.replicates],
        caveats=terminal.caveats(compared),
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
        legend=_legend(figures),
        plotly=resources.files("plotly").joinpath("package_data/plotly.min.js").read_text(encoding="utf8")
        if figures else "",
        figures_json=_embedded(_plots(figures)),
        **values,
    )  # fmt: skip


def _title(compared: Comparison) -> str:
    """What is compared, in a line."""
    names = dict.fromkeys(arm.first.arm for arm in compared.arms)
    return f"bias_intervene: {', '.join(names)}"


def _runs(compared: Comparison) -> dict[str, Any]:
    """The table of runs, as the terminal has it."""
    columns, rows = terminal.runs_cells(compared.arms)
    return {"columns": columns, "rows": rows}


def _results(compared: Comparison) -> dict[str, Any]:
    """Every row, those of the metrics that are shown first marked and in their order."""
    order = {key: n for n, key in enumerate(compared.specs.shown_first)}
    rows = sorted(compared.rows, key=lambda row: order.get(row.key, len(order)))
    columns = [{"name": name, "number": number} for name, number in _COLUMNS]
    return {"columns": columns, "rows": [_result(row, is_first=row.key in order) for row in rows]}


def _result(row: ComparisonRow, *, is_first: bool) -> dict[str, Any]:
    """One row's cells. is_first: of a metric that is shown first."""

    def number(value: float | None, factor: float = 1) -> dict[str, Any]:
        if value is None:
            return {"text": "", "sort": None, "kind": "n"}
        text = f"{value:,}" if isinstance(value, int) else f"{value * factor:.2f}"
        return {"text": text, "sort": value, "kind": "n"}

    def p(value: float | None) -> dict[str, Any]:
        return {"text": terminal.p_value(value).replace("-", ""), "sort": value, "kind": "n"}

    def text(value: str, kind: str = "") -> dict[str, Any]:
        return {"text": value, "sort": None, "kind": kind}

    factor = row.spec.scale
    ends = [number(value, factor)["text"] for value in (row.ci_low, row.ci_high)]
    interval = f"[{ends[0]}, {ends[1]}]" if all(ends) else ""
    cells = [
        text(" ".join(dict.fromkeys(part for part in row.key if part != "all"))), text(row.arm),
        text(row.baseline_arm or ""), number(row.step), number(row.baseline, factor), number(row.value, factor),
        number(row.difference, factor), text(interval, "interval"), p(row.p), p(row.p_holm),
        number(row.n), number(row.seeds), text(row.sentence, "sentence"),
    ]  # fmt: skip
    return {"brief": is_first and row.is_against_control, "cells": cells}


def _audit(run: Run) -> dict[str, Any] | None:
    """What the swap did to the rows of a run, with samples."""
    counts = run.record["audit"]
    if not counts or not counts["num_swaps"]:
        return None
    path = run.folder / "audit_samples.jsonl"
    forms = ", ".join(f"{form} {count:,}" for form, count in sorted(counts["swaps"].items(), key=lambda one: -one[1]))
    return {
        "arm": run.label,
        "text": f"{counts['num_swaps']:,} pronouns in {counts['rows_changed']:,} of {counts['rows']:,} rows: {forms}.",
        "samples": read_lines(path)[:_MOST_SAMPLES] if path.is_file() else [],
    }


def _provenance(run: Run) -> dict[str, str]:
    """What a run was made from and on."""
    names = ("settings", "plan", "environment", "fingerprints", "stages")
    kept = {name: run.record[name] for name in names if run.record.get(name)}
    label = f"{run.label} seed {run.settings['seed']}" if "seed" in run.settings else run.label
    text = json.dumps(without_home(kept), indent=1, ensure_ascii=False)
    return {"label": label, "folder": without_home(str(run.folder)), "text": text}


# --- plots -----------------------------------------------------------------------------------------------------


def _embedded(value: object) -> str:
    """JSON that can stand inside a script element whatever its strings hold."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")


def _plots(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    """Plotly's data and layout of each figure."""
    chosen = colours(figures)
    return [{"data": _traces(figure, chosen), "layout": _layout(figure)} for figure in figures]


def _traces(figure: Figure, chosen: dict[str, str]) -> list[dict[str, Any]]:
    """The series, bands before lines."""
    data: list[dict[str, Any]] = []
    for series in figure.series:
        colour = BEHIND if series.background else chosen[series.name]
        if figure.kind == "lines" and series.low:
            data.append(_band(series, colour))
        data.append(_trace(figure, series, colour))
    return data


def _trace(figure: Figure, series: Series, colour: str) -> dict[str, Any]:
    """The points of one series."""
    points: dict[str, Any] = {
        "type": "scatter", "name": series.name, "x": _known(series.x), "y": _known(series.y),
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
        points["error_x"] = {"type": "data", "symmetric": False, "array": _known(above), "arrayminus": _known(below)}
    return points


def _band(series: Series, colour: str) -> dict[str, Any]:
    """The interval around a line."""
    there = [n for n in range(len(series.x)) if series.low[n] == series.low[n] and series.high[n] == series.high[n]]
    edge = [series.high[n] for n in there] + [series.low[n] for n in reversed(there)]
    red, green, blue = (int(colour[n : n + 2], 16) for n in (1, 3, 5))
    return {
        "type": "scatter", "x": [series.x[n] for n in there] + [series.x[n] for n in reversed(there)], "y": edge,
        "fill": "toself", "fillcolor": f"rgba({red},{green},{blue},0.15)", "line": {"width": 0}, "mode": "lines",
        "hoverinfo": "skip", "showlegend": False, "legendgroup": series.name,
    }  # fmt: skip


def _known(values: Sequence[float]) -> list[float | None]:
    """JSON's null for what is unknown."""
    return [value if value == value else None for value in values]


def _legend(figures: Sequence[Figure]) -> dict[str, str]:
    """Name -> colour, one legend for all plots: an arm has one colour in all of them."""
    behind = {one.name: BEHIND for figure in figures for one in figure.series if one.background}
    return colours(figures) | behind


def _layout(figure: Figure) -> dict[str, Any]:
    """Axes and title."""
    axes: dict[str, Any] = {
        "title": {"text": figure.title, "font": {"size": 14}}, "margin": {"l": 60, "r": 10, "t": 40, "b": 45},
        "xaxis": {"title": {"text": figure.x_label}, "automargin": True},
        "yaxis": {"title": {"text": figure.y_label}, "automargin": True},
        "showlegend": False, "hovermode": "closest",
    }  # fmt: skip
    if figure.kind == "forest":
        labels = {y: label for one in figure.series for y, label in zip(one.y, one.labels, strict=True)}
        axes["yaxis"] |= {"tickvals": list(labels), "ticktext": list(labels.values())}
        axes["shapes"] = [_line(x0=figure.mark, x1=figure.mark, y0=0, y1=1, yref="paper")]
    if figure.diagonal:
        values = [value for one in figure.series for value in (*one.x, *one.y)]
        low, high = min(values), max(values)
        axes["shapes"] = [_line(x0=low, x1=high, y0=low, y1=high)]
    if figure.from_zero:
        axes["xaxis"]["rangemode"] = axes["yaxis"]["rangemode"] = "tozero"
    return axes


def _line(**where: Any) -> dict[str, Any]:
    """A thin grey line."""
    return {"type": "line", "line": {"color": "#999", "width": 1}, "layer": "below", **where}
