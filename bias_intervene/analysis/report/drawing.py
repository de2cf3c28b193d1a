"""The figures as files for papers: PNG, SVG and PDF.

Input: figures. Output: one file a figure and format. Guarantees: colours are distinguished by people who do not see red
and green alike (Okabe and Ito 2008), and an arm keeps its colour in every figure; text in SVG and PDF stays text.
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
BEHIND = "#999999"
_LEGEND_LETTERS = 100
"""Letters that fit below a picture, with 6 for each line's own sign."""
_FORMATS = ("png", "svg", "pdf")
_TIMELESS: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


def colours(figures: Iterable[Figure]) -> dict[str, str]:
    """Arm -> colour, the same in all figures."""
    names = dict.fromkeys(one.name for figure in figures for one in figure.series if not one.background)
    return {name: _COLOURS[n % len(_COLOURS)] for n, name in enumerate(names)}


def write(figures: Sequence[Figure], folder: Path) -> list[Path]:
    """Every figure in every format; the paths."""
    from matplotlib import rc_context

    # It logs every table of every font that it puts into a PDF.
    logging.getLogger("fontTools").setLevel(logging.WARNING)
    chosen = colours(figures)
    paths: list[Path] = []
    with rc_context({"svg.fonttype": "none", "pdf.fonttype": 42, "font.size": 9, "svg.hashsalt": "bias_intervene"}):
        for figure in figures:
            for kind, content in _drawn(figure, chosen).items():
                paths.append(folder / f"{figure.name}.{kind}")
                write_bytes(paths[-1], content)
    return paths


def _drawn(figure: Figure, chosen: dict[str, str]) -> dict[str, bytes]:
    """Format -> bytes of one figure."""
    from matplotlib.figure import Figure as Canvas

    height = max(2.4, 0.8 + 0.28 * figure.num_lines) if figure.kind == "forest" else 3.6
    picture = Canvas(figsize=(6.4, height), dpi=150, layout="constrained")
    axes = picture.subplots()
    for one in figure.series:
        colour = BEHIND if one.background else chosen[one.name]
        x, y, low, high = (np.asarray(values, dtype=float) for values in (one.x, one.y, one.low, one.high))
        match figure.kind:
            case "lines":
                style = "--" if one.background else "-"
                axes.plot(x, y, style, color=colour, marker="o", markersize=3, linewidth=1.2, label=one.name)
                if low.size:
                    axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
            case "path":
                axes.plot(x, y, color=colour, marker="o", markersize=4, linewidth=0.8, label=one.name)
            case "forest":
                reach = np.nan_to_num(np.array([x - low, high - x]))
                axes.errorbar(x, y, xerr=reach, fmt="o", color=colour, markersize=4, capsize=2, label=one.name)
            case "scatter":
                axes.scatter(x, y, s=8, color=colour, alpha=0.6, linewidths=0, label=one.name)
    if figure.kind == "forest":
        labels = {place: label for one in figure.series for place, label in zip(one.y, one.labels, strict=True)}
        axes.set_yticks(sorted(labels), [labels[place] for place in sorted(labels)])
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
        abreast = max(1, _LEGEND_LETTERS // (6 + max(len(one.name) for one in figure.series)))
        picture.legend(loc="outside lower center", frameon=False, fontsize=8, ncols=min(3, abreast, len(figure.series)))
    return {kind: _saved(picture, kind) for kind in _FORMATS}


def _saved(picture: "matplotlib.figure.Figure", kind: str) -> bytes:
    """A picture in a format, without the time of drawing: the same runs give the same files.

    It is laid out for the first of its formats, because finding the layout takes as long as drawing.
    """
    file = io.BytesIO()
    picture.savefig(file, format=kind, metadata=_TIMELESS.get(kind))
    picture.set_layout_engine("none")
    return file.getvalue()
