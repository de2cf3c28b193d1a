"""Writes the comparison as files: JSON, CSV, Markdown, LaTeX, the HTML report and the figures.

Input: a comparison.
Output: comparison.json (everything), .csv and .md (every row), .tex (`latex`), report.html, figures/.
Guarantees: all of them are made from the same rows. No name can break a table, become a formula or markup.
"""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bias_intervene.analysis import published
from bias_intervene.analysis.comparison import Comparison
from bias_intervene.analysis.report import drawing, figures, html
from bias_intervene.analysis.report.latex import latex
from bias_intervene.console import one_line
from bias_intervene.record import write_bytes, write_json
from bias_intervene.results import ComparisonRow

_CSV_COLUMNS = (
    "benchmark", "protocol", "subset", "metric", "step", "arm", "baseline_arm", "baseline", "baseline_stderr", "value",
    "stderr", "paired", "difference", "difference_stderr", "df", "ci_low", "ci_high", "p", "p_holm", "n", "seeds",
    "between_seeds_sd", "single_run_stderr", "minimum_detectable_effect", "difference_nats", "sentence", "p_over",
    "saturated", "baseline_saturated", "origin", "items_left_out", "discordant",
)  # fmt: skip
"""All fields of a row. The order differs from that of the JSON and is kept, because people script against it."""
_MARKDOWN_COLUMNS = (
    "benchmark", "protocol", "subset", "metric", "origin", "arm", "baseline_arm", "baseline", "value", "difference",
    "ci_low", "ci_high", "p", "p_holm", "p_over", "n", "seeds", "minimum_detectable_effect", "saturated",
    "baseline_saturated", "difference_nats", "sentence",
)  # fmt: skip


_MARKDOWN = str.maketrans({"\\": "\\\\", "|": "\\|", "<": "&lt;", "`": "\\`"})


def write(compared: Comparison, folder: Path) -> None:
    """Writes all files into a folder."""
    all_figures = figures.figures(compared)
    write_json(folder / "comparison.json", as_json(compared))
    write_bytes(folder / "comparison.csv", _comma_separated(compared.rows).encode())
    write_bytes(folder / "comparison.md", _markdown(compared.rows).encode())
    write_bytes(folder / "comparison.tex", latex(compared).encode())
    write_bytes(folder / "report.html", html.page(compared, all_figures).encode())
    drawing.write(all_figures, folder / "figures")


def as_json(compared: Comparison) -> dict[str, Any]:
    """What `compare --json` prints and comparison.json holds."""
    return compared.to_json() | ({"published": published.as_json(compared)} if compared.options.published else {})


def _comma_separated(rows: Sequence[ComparisonRow]) -> str:
    """The text of the CSV file: every row, every field."""
    file = io.StringIO()
    writer: csv.DictWriter[str] = csv.DictWriter(file, list(_CSV_COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _csv_cell(value) for name, value in row.to_json().items()} for row in rows)
    return file.getvalue()


def _csv_cell(value: Any) -> Any:
    """A value in the CSV file. A text that a spreadsheet would take for a formula gets an apostrophe before it."""
    if not isinstance(value, str):
        return value
    text = one_line(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _markdown(rows: Sequence[ComparisonRow]) -> str:
    """A Markdown table of every row."""
    lines = ["| " + " | ".join(_MARKDOWN_COLUMNS) + " |", "|" + "---|" * len(_MARKDOWN_COLUMNS)]
    lines += ["| " + " | ".join(_cell(getattr(row, name)) for name in _MARKDOWN_COLUMNS) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    """A value in a Markdown table."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return f"{value:.4g}" if isinstance(value, float) else one_line(str(value)).translate(_MARKDOWN)
