"""report.html: the comparison as one self-contained page.

Input: a comparison and its figures.
Output: one HTML file with the verdicts, tables that sort and filter, interactive plots, samples of swapped text, the
settings that differ, and provenance.
Guarantees: the page loads nothing from elsewhere, so it works offline and in print. Text of the corpus is untrusted and
is escaped, in the page and in the data of the plots. The page holds no environment variables and no user names.
"""

import math
from collections.abc import Sequence
from html import escape
from importlib import resources
from typing import Any

from bias_intervene.analysis import published
from bias_intervene.analysis.comparison import Comparison
from bias_intervene.analysis.records import Run
from bias_intervene.analysis.report import terminal
from bias_intervene.analysis.report.drawing import BACKGROUND_COLOUR, colours
from bias_intervene.analysis.report.figure import Figure, Series
from bias_intervene.record import json_text, read_lines, without_home
from bias_intervene.results import ComparisonRow

_MOST_SAMPLES = 12
_COLUMNS: tuple[tuple[str, bool], ...] = (
    ("metric", False), ("arm", False), ("against", False), ("step", True), ("baseline", True), ("value", True),
    ("difference", True), ("95% interval", False), ("p", True), ("Holm", True), ("n", True), ("seeds", True),
    ("p over", False), ("least", True), ("in nats", True), ("origin", False), ("in words", False),
)  # fmt: skip
"""(name of a column of the results, whether it is sorted as a number)."""


def page(compared: Comparison, figures: Sequence[Figure]) -> str:
    """The text of report.html."""
    return rendered(
        "report.html.j2",
        figures,
        title=_title(compared),
        verdicts=compared.verdicts,
        claims=compared.claims,
        holm_family=terminal.holm_family(compared),
        identity=compared.identity,
        notes=compared.notes,
        unfinished=[without_home(str(path)) for path in compared.runs.unfinished],
        runs=_runs(compared),
        results=_results(compared),
        published=published.section(compared) if compared.options.published else None,
        audits=[audit for arm in compared.arms if (audit := _audit(arm.first)) is not None],
        provenance=[_provenance(run) for arm in compared.arms for run, _ in arm.replicates],
        caveats=terminal.caveats(compared),
    )


def rendered(template: str, figures: Sequence[Figure], **values: Any) -> str:
    """A template of analysis/templates filled with `values` and interactive plots of the figures."""
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
    """The title of the page: the arms."""
    names = dict.fromkeys(arm.first.arm for arm in compared.arms)
    return f"bias_intervene: {', '.join(names)}"


def _runs(compared: Comparison) -> dict[str, Any]:
    """The table of runs, with the same cells as in the terminal."""
    columns, rows = terminal.runs_cells(compared.arms)
    return {"columns": columns, "rows": rows}


def _results(compared: Comparison) -> dict[str, Any]:
    """The table of all rows, those of the metrics that are shown first at the top and in their order."""
    order = {key: n for n, key in enumerate(compared.specs.shown_first)}
    rows = sorted(compared.rows, key=lambda row: order.get(row.key, len(order)))
    columns = [{"name": name, "number": is_number} for name, is_number in _COLUMNS]
    return {"columns": columns, "rows": [_result(row, is_shown_first=row.key in order) for row in rows]}


def _result(row: ComparisonRow, *, is_shown_first: bool) -> dict[str, Any]:
    """The cells of one row. is_shown_first: whether its metric is among those that are shown first."""

    def number(value: float | None, factor: float = 1, mark: str = "") -> dict[str, Any]:
        if value is None or not math.isfinite(value):
            return {"text": "", "sort": None, "kind": "n"}
        text = f"{value:,}" if isinstance(value, int) else f"{value * factor:.2f}"
        return {"text": text + mark, "sort": value, "kind": "n"}

    def p(value: float | None) -> dict[str, Any]:
        return {"text": terminal.p_value(value).replace("-", ""), "sort": value, "kind": "n"}

    def text(value: str, kind: str = "") -> dict[str, Any]:
        return {"text": value, "sort": None, "kind": kind}

    factor = row.spec.scale
    ends = [number(value, factor)["text"] for value in (row.ci_low, row.ci_high)]
    interval = f"[{ends[0]}, {ends[1]}]" if all(ends) else ""
    cells = [
        text(" ".join(dict.fromkeys(part for part in row.key if part != "all"))), text(row.arm),
        text(row.baseline_arm or ""), number(row.step),
        number(row.baseline, factor, terminal.mark(row.baseline_saturated)),
        number(row.value, factor, terminal.mark(row.saturated)),
        number(row.difference, factor), text(interval, "interval"), p(row.p), p(row.p_holm),
        number(row.n), number(row.seeds), text(row.p_over or ""), number(row.minimum_detectable_effect, factor),
        number(row.difference_nats), text(row.origin or ""), text(row.sentence, "sentence"),
    ]  # fmt: skip
    return {"brief": (is_shown_first or row.origin == "claimed") and row.is_against_control, "cells": cells}


def _audit(run: Run) -> dict[str, Any] | None:
    """The counts of a run's swaps, with samples of swapped text; None for a run that swapped nothing."""
    counts: dict[str, Any] = dict.fromkeys(("num_swaps", "rows_changed", "rows"), 0)
    counts |= {"swaps": {}, **(run.record["audit"] or {})}
    if not counts["num_swaps"]:
        return None
    path = run.folder / "audit_samples.jsonl"
    by_count = sorted(counts["swaps"].items(), key=lambda form_and_count: -form_and_count[1])
    forms = ", ".join(f"{form} {count:,}" for form, count in by_count)
    return {
        "arm": run.label,
        "text": f"{counts['num_swaps']:,} pronouns in {counts['rows_changed']:,} of {counts['rows']:,} rows: {forms}.",
        "samples": read_lines(path)[:_MOST_SAMPLES] if path.is_file() else [],
    }


def _provenance(run: Run) -> dict[str, str]:
    """The settings, plan, environment, fingerprints and stages of a run, as JSON text."""
    names = ("settings", "plan", "environment", "fingerprints", "stages")
    sections = {name: run.record[name] for name in names if run.record.get(name)}
    label = f"{run.label} seed {run.settings['seed']}" if "seed" in run.settings else run.label
    text = json_text(without_home(sections), indent=1)
    return {"label": label, "folder": without_home(str(run.folder)), "text": text}


# --- plots -----------------------------------------------------------------------------------------------------


def _embedded(value: object) -> str:
    """JSON that is safe inside a script element: no string in it can close the element."""
    return json_text(value, indent=None).replace("<", "\\u003c")


def _plots(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    """Plotly's data and layout of each figure."""
    colour_of = colours(figures)
    return [{"data": _traces(figure, colour_of), "layout": _layout(figure)} for figure in figures]


def _traces(figure: Figure, colour_of: dict[str, str]) -> list[dict[str, Any]]:
    """The traces of the series; the band of a line comes before the line."""
    data: list[dict[str, Any]] = []
    for series in figure.series:
        colour = BACKGROUND_COLOUR if series.background else colour_of[series.name]
        if figure.kind == "lines" and series.low:
            data.append(_band(series, colour))
        data.append(_trace(figure, series, colour))
    return data


def _trace(figure: Figure, series: Series, colour: str) -> dict[str, Any]:
    """The points of one series."""
    points: dict[str, Any] = {
        "type": "scatter", "name": _shown(series.name), "x": series.x, "y": series.y,
        "mode": {"lines": "lines+markers", "path": "lines+markers", "forest": "markers", "scatter": "markers"}[
            figure.kind
        ],
        "marker": {"color": colour, "size": 4 if figure.kind == "scatter" else 6},
        "line": {"color": colour, "width": 1.5, "dash": "dash" if series.background else "solid"},
        "legendgroup": series.name, "text": [_shown(label) for label in series.labels],
    }  # fmt: skip
    if figure.kind == "forest":
        above = [high - x for high, x in zip(series.high, series.x, strict=True)]
        below = [x - low for low, x in zip(series.low, series.x, strict=True)]
        points["error_x"] = {
            "type": "data", "symmetric": False, "array": above, "arrayminus": below,
        }  # fmt: skip
    return points


def _shown(text: str) -> str:
    """A text that Plotly shows as it is: it takes <b>, <a href=...> and the like for markup."""
    return escape(text, quote=False)


def _band(series: Series, colour: str) -> dict[str, Any]:
    """The interval around a line, at the points where it is known."""
    known = [n for n in range(len(series.x)) if math.isfinite(series.low[n]) and math.isfinite(series.high[n])]
    edge = [series.high[n] for n in known] + [series.low[n] for n in reversed(known)]
    red, green, blue = (int(colour[n : n + 2], 16) for n in (1, 3, 5))
    return {
        "type": "scatter", "x": [series.x[n] for n in known] + [series.x[n] for n in reversed(known)], "y": edge,
        "fill": "toself", "fillcolor": f"rgba({red},{green},{blue},0.15)", "line": {"width": 0}, "mode": "lines",
        "hoverinfo": "skip", "showlegend": False, "legendgroup": series.name,
    }  # fmt: skip


def _legend(figures: Sequence[Figure]) -> dict[str, str]:
    """Name of a series -> colour, for the one legend of all plots."""
    background = {s.name: BACKGROUND_COLOUR for figure in figures for s in figure.series if s.background}
    return colours(figures) | background


def _layout(figure: Figure) -> dict[str, Any]:
    """Plotly's layout of a figure: title, axes and reference lines."""
    axes: dict[str, Any] = {
        "title": {"text": _shown(figure.title), "font": {"size": 14}}, "margin": {"l": 60, "r": 10, "t": 40, "b": 45},
        "xaxis": {"title": {"text": _shown(figure.x_label)}, "automargin": True},
        "yaxis": {"title": {"text": _shown(figure.y_label)}, "automargin": True},
        "showlegend": False, "hovermode": "closest",
    }  # fmt: skip
    if figure.kind == "forest":
        labels = {y: label for series in figure.series for y, label in zip(series.y, series.labels, strict=True)}
        axes["yaxis"] |= {"tickvals": list(labels), "ticktext": [_shown(label) for label in labels.values()]}
        axes["shapes"] = [_line(x0=figure.mark, x1=figure.mark, y0=0, y1=1, yref="paper")]
    if figure.diagonal:
        values = [value for series in figure.series for value in (*series.x, *series.y) if math.isfinite(value)]
        low, high = min(values, default=0.0), max(values, default=0.0)
        axes["shapes"] = [_line(x0=low, x1=high, y0=low, y1=high)]
    if figure.from_zero:
        axes["xaxis"]["rangemode"] = axes["yaxis"]["rangemode"] = "tozero"
    return axes


def _line(**where: Any) -> dict[str, Any]:
    """A thin grey line."""
    return {"type": "line", "line": {"color": "#999", "width": 1}, "layer": "below", **where}
