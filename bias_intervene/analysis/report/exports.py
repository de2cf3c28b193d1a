"""Writes the comparison as files: JSON, CSV, Markdown, LaTeX, the HTML report and the figures.

Input: a comparison.
Output: comparison.json (everything), .csv and .md (every row), .tex (booktabs tables of the metrics that are shown
first), report.html, figures/.
Guarantees: all of them are made from the same rows. Names are escaped for LaTeX.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bias_intervene.analysis import published
from bias_intervene.analysis.comparison import Comparison
from bias_intervene.analysis.report import drawing, figures, html
from bias_intervene.analysis.report.terminal import difference, number, p_value
from bias_intervene.record import write_bytes, write_json
from bias_intervene.results import ComparisonRow

_CSV_COLUMNS = (
    "benchmark", "protocol", "subset", "metric", "step", "arm", "baseline_arm", "baseline", "baseline_stderr", "value",
    "stderr", "paired", "difference", "difference_stderr", "df", "ci_low", "ci_high", "p", "p_holm", "n", "seeds",
    "between_seeds_sd", "single_run_stderr", "minimum_detectable_effect", "difference_nats", "sentence",
    "discordant",
)  # fmt: skip
"""All fields of a row. The order differs from that of the JSON and is kept, because people script against it."""
_MARKDOWN_COLUMNS = (
    "benchmark", "protocol", "subset", "metric", "arm", "baseline_arm", "baseline", "value", "difference", "ci_low",
    "ci_high", "p", "p_holm", "n", "seeds", "sentence",
)  # fmt: skip
_ESCAPED = str.maketrans(
    {
        **{mark: f"\\{mark}" for mark in "&%$#_{}"},
        **{mark: f"${mark}$" for mark in "<>|"},
        "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$",
    }
)  # fmt: skip


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
    writer.writerows(row.to_json() for row in rows)
    return file.getvalue()


def _markdown(rows: Sequence[ComparisonRow]) -> str:
    """A Markdown table of every row."""
    lines = ["| " + " | ".join(_MARKDOWN_COLUMNS) + " |", "|" + "---|" * len(_MARKDOWN_COLUMNS)]
    lines += ["| " + " | ".join(_cell(getattr(row, name)) for name in _MARKDOWN_COLUMNS) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    """A value in a Markdown table."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|")


def latex(compared: Comparison) -> str:
    """A booktabs table per arm that has a control: control, arm, difference with interval, p, p after Holm."""
    parts = [r"% \usepackage{booktabs}"]
    for arm in compared.arms:
        control = arm.control_label
        if control is None:
            continue
        row_of = {row.key: row for row in compared.rows if (row.arm, row.baseline_arm) == (arm.label, control)}
        lines = [
            _latex_line(compared.specs.short_name(key), row)
            for key in (row_of if compared.options.metrics else compared.specs.shown_first)
            if (row := row_of.get(key)) is not None
        ]
        parts += [
            r"\begin{tabular}{lrrrrr}", r"\toprule",
            r" & control & arm & difference [95\,\%] & $p$ & Holm \\", r"\midrule", *lines, r"\bottomrule",
            r"\end{tabular}", f"% {arm.label} against {control}",
        ]  # fmt: skip
    return "\n".join(parts) + "\n"


def _latex_line(name: str, row: ComparisonRow) -> str:
    """The line of one metric. name: the metric, as it is printed."""
    cells = (
        name, number(row.baseline, row.spec), number(row.value, row.spec), difference(row), p_value(row.p),
        p_value(row.p_holm),
    )  # fmt: skip
    return " & ".join(cell.translate(_ESCAPED) for cell in cells) + r" \\"
