"""Draws figures as files for papers: PNG, SVG and PDF.

Input: figures.
Output: one file per figure and format.
Guarantees: the colours can be told apart with red-green colour blindness (Okabe and Ito 2008), and an arm has the same
colour in every figure. Text in SVG and PDF stays text. The same figures give the same bytes.
"""

import io
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bias_intervene.analysis.report.figure import Figure
from bias_intervene.record import write_bytes

if TYPE_CHECKING:
    import matplotlib.figure

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
BACKGROUND_COLOUR = "#999999"
"""Colour of series that are drawn behind ours."""
_LEGEND_CHARS = 100
"""Characters that fit on a line of the legend; the sign of a series takes 6."""
_FORMATS = ("png", "svg", "pdf")
_WITHOUT_DATE: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""Format -> metadata that leave out the time of drawing."""


def colours(figures: Iterable[Figure]) -> dict[str, str]:
    """Name of a series -> its colour in all figures."""
    names = dict.fromkeys(series.name for figure in figures for series in figure.series if not series.background)
    return {name: _COLOURS[n % len(_COLOURS)] for n, name in enumerate(names)}


def write(figures: Sequence[Figure], folder: Path) -> list[Path]:
    """Writes every figure in every format below `folder`; returns the paths."""
    from matplotlib import rc_context

    # fontTools logs every table of every font that it writes into a PDF.
    logging.getLogger("fontTools").setLevel(logging.WARNING)
    colour_of = colours(figures)
    paths: list[Path] = []
    # A dollar sign in a name is no formula.
    style: dict[Any, Any] = {
        "svg.fonttype": "none", "pdf.fonttype": 42, "font.size": 9, "svg.hashsalt": "bias_intervene",
        "text.parse_math": False,
    }  # fmt: skip
    with rc_context(style):
        for figure in figures:
            for file_format, content in _drawn(figure, colour_of).items():
                paths.append(folder / f"{figure.name}.{file_format}")
                write_bytes(paths[-1], content)
    return paths


def _drawn(figure: Figure, colour_of: dict[str, str]) -> dict[str, bytes]:
    """Format -> bytes of one figure. colour_of: name of a series -> its colour."""
    from matplotlib.figure import Figure as Canvas

    height = max(2.4, 0.8 + 0.28 * figure.num_lines) if figure.kind == "forest" else 3.6
    picture = Canvas(figsize=(6.4, height), dpi=150, layout="constrained")
    axes = picture.subplots()
    for series in figure.series:
        name, colour = series.name, BACKGROUND_COLOUR if series.background else colour_of[series.name]
        x, y, low, high = (_finite(v) for v in (series.x, series.y, series.low, series.high))
        match figure.kind:
            case "lines":
                style = "--" if series.background else "-"
                axes.plot(x, y, style, color=colour, marker="o", markersize=3, linewidth=1.2, label=name)
                if low.size:
                    axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
            case "path":
                axes.plot(x, y, color=colour, marker="o", markersize=4, linewidth=0.8, label=name)
            case "forest":
                error = np.nan_to_num(np.array([x - low, high - x]))
                axes.errorbar(x, y, xerr=error, fmt="o", color=colour, markersize=4, capsize=2, label=name)
            case "scatter":
                axes.scatter(x, y, s=8, color=colour, alpha=0.6, linewidths=0, label=name)
    if figure.kind == "forest":
        labels = {y: label for series in figure.series for y, label in zip(series.y, series.labels, strict=True)}
        axes.set_yticks(sorted(labels), [labels[y] for y in sorted(labels)])
        axes.axvline(figure.mark, color="0.6", linewidth=0.8)
    if figure.diagonal:
        axes.axline((0, 0), slope=1, color="0.6", linewidth=0.8)
    if figure.from_zero:
        axes.axhline(0, color="0.6", linewidth=0.8)
        axes.set_xlim(left=0)
    axes.set_title(figure.title, loc="left", fontsize=10)
    axes.set_xlabel(figure.x_label)
    axes.set_ylabel(figure.y_label)
    axes.spines[["top", "right"]].set_visible(False)
    if figure.series:
        most_columns = max(1, _LEGEND_CHARS // (6 + max(len(series.name) for series in figure.series)))
        num_columns = min(3, most_columns, len(figure.series))
        picture.legend(loc="outside lower center", frameon=False, fontsize=8, ncols=num_columns)
    return {file_format: _saved(picture, file_format) for file_format in _FORMATS}


def _finite(values: Sequence[float]) -> np.ndarray:
    """float64: the values with NaN, which is not drawn, in place of infinity, which has no place on an axis."""
    array = np.asarray(values, dtype=float)
    return np.where(np.isfinite(array), array, np.nan)


def _saved(picture: "matplotlib.figure.Figure", file_format: str) -> bytes:
    """A picture in a format, without the time of drawing: the same runs give the same files.

    The layout is computed for the first format only, because that takes as long as drawing.
    """
    file = io.BytesIO()
    picture.savefig(file, format=file_format, metadata=_WITHOUT_DATE.get(file_format))
    picture.set_layout_engine("none")
    return file.getvalue()
