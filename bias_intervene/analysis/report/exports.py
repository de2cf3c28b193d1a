"""The comparison as files for other programs: JSON, CSV, Markdown and LaTeX.

Enters: a comparison. Leaves: comparison.json (everything), .csv and .md (every row), .tex (booktabs, the metrics that
people look at first). Promised: one source for all of them, the rows; names are escaped for LaTeX.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bias_intervene.analysis import published
from bias_intervene.analysis.comparison import Comparison
from bias_intervene.analysis.report import drawing, figures, html
from bias_intervene.analysis.report.terminal import SHOWN, difference, number, p_value, short_name
from bias_intervene.analysis.rows import Row, metric_key
from bias_intervene.record import write_bytes, write_json

COLUMNS = (
    "benchmark", "protocol", "subset", "metric", "step", "arm", "baseline_arm", "baseline", "baseline_stderr", "value",
    "stderr", "paired", "difference", "difference_stderr", "df", "ci_low", "ci_high", "p", "p_holm", "n", "seeds",
    "between_seeds_sd", "single_run_stderr", "minimum_detectable_effect", "difference_nats", "sentence",
)  # fmt: skip
BRIEF = (
    "benchmark", "protocol", "subset", "metric", "arm", "baseline_arm", "baseline", "value", "difference", "ci_low",
    "ci_high", "p", "p_holm", "n", "seeds", "sentence",
)  # fmt: skip
ESCAPED = str.maketrans(
    {
        **{mark: f"\\{mark}" for mark in "&%$#_{}"},
        **{mark: f"${mark}$" for mark in "<>|"},
        "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$",
    }
)  # fmt: skip


def write(compared: Comparison, folder: Path) -> None:
    """All of them into a folder, with html.html and figures/ in three formats."""
    drawn = figures.figures(compared)
    write_json(folder / "comparison.json", as_json(compared))
    write_bytes(folder / "comparison.csv", comma_separated(compared.rows).encode())
    write_bytes(folder / "comparison.md", markdown(compared.rows).encode())
    write_bytes(folder / "comparison.tex", latex(compared).encode())
    write_bytes(folder / "report.html", html.page(compared, drawn).encode())
    drawing.write(drawn, folder / "figures")


def as_json(compared: Comparison) -> dict[str, Any]:
    """What `compare --json` prints and comparison.json holds."""
    return compared.to_json() | ({"published": published.as_json(compared)} if compared.asked.published else {})


def comma_separated(rows: Sequence[Row]) -> str:
    """Every row and column."""
    file = io.StringIO()
    writer: csv.DictWriter[str] = csv.DictWriter(file, list(COLUMNS), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def markdown(rows: Sequence[Row]) -> str:
    """Every row as a Markdown table."""
    lines = ["| " + " | ".join(BRIEF) + " |", "|" + "---|" * len(BRIEF)]
    lines += ["| " + " | ".join(cell(row[name]) for name in BRIEF) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def cell(value: Any) -> str:
    """A value in a Markdown table."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|")


def latex(compared: Comparison) -> str:
    """A booktabs table an arm that has a control: control, arm, difference and interval, p, p after Holm."""
    parts = [r"% \usepackage{booktabs}"]
    for arm in compared.arms:
        if not arm.paired:
            continue
        control = arm.paired[0][1].label
        mine = {
            metric_key(row): row for row in compared.rows if (row["arm"], row["baseline_arm"]) == (arm.label, control)
        }
        lines = [
            " & ".join(
                text.translate(ESCAPED)
                for text in (
                    short_name(key), number(row["baseline"], key), f"{number(row['value'], key)}", difference(row, key),
                    p_value(row, "p"), p_value(row, "p_holm"),
                )
            )
            + r" \\"
            for key in (SHOWN if not compared.asked.metrics else mine)
            if (row := mine.get(key)) is not None
        ]  # fmt: skip
        parts += [
            r"\begin{tabular}{lrrrrr}", r"\toprule",
            r" & control & arm & difference [95\,\%] & $p$ & Holm \\", r"\midrule", *lines, r"\bottomrule",
            r"\end{tabular}", f"% {arm.label} against {control}",
        ]  # fmt: skip
    return "\n".join(parts) + "\n"
