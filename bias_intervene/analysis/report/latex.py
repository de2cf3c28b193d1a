"""comparison.tex: for each arm that has a control, the table of a paper and the notes it must be read with.

Input: a comparison.
Output: LaTeX for the packages booktabs and threeparttable.
Guarantees: every line states its number of items, what its p is over (items or seeds) and the least difference that it
would have detected. Below the table stand the manipulation check, what follows from the number of trainings, and the
caveats of the benchmarks. Text is escaped, so that no name can break the table.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from bias_intervene.analysis.comparison import Comparison
from bias_intervene.analysis.pairing import Arm
from bias_intervene.analysis.report.terminal import caveats, difference, holm_family, mark, number, p_value
from bias_intervene.analysis.saturation import is_saturated
from bias_intervene.console import one_line
from bias_intervene.results import ComparisonRow

_ESCAPED = str.maketrans(
    {
        **{char: f"\\{char}" for char in "&%$#_{}"},
        **{char: f"${char}$" for char in "<>|"},
        # A line of a table that begins with one of these would be read as an argument of the line break before it.
        **{char: f"{{{char}}}" for char in "[]*"},
        "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$",
    }
)  # fmt: skip
_HEADINGS = {
    "claimed": "claimed before the runs", "chosen at comparison time": "chosen at comparison time",
    "explored": "explored",
}  # fmt: skip
"""Origin of rows -> the heading of their part of the table."""
_COLUMNS = r" & control & arm & difference [95\,\%] & $n$ & $p$ over & $p$ & Holm & least \\"


def latex(compared: Comparison) -> str:
    """The tables of all arms that have a control."""
    tables = [_table(compared, arm, arm.control_label) for arm in compared.arms if arm.control_label is not None]
    return "\n".join([r"% \usepackage{booktabs,threeparttable}", *tables]) + "\n"


def escaped(text: str) -> str:
    """A text on one line in which no character has a meaning of its own.

    >>> escaped("70% of a_b")
    '70\\% of a\\_b'
    """
    return one_line(text).translate(_ESCAPED)


def _table(compared: Comparison, arm: Arm, control: str) -> str:
    """The table of one arm against its control, with its notes."""
    row_of = {row.key: row for row in compared.rows if (row.arm, row.baseline_arm) == (arm.label, control)}
    shown = row_of if compared.options.metrics else compared.specs.shown_first
    claimed = [row for row in row_of.values() if row.origin == "claimed"]
    rows = [*claimed, *(row_of[key] for key in shown if key in row_of and row_of[key] not in claimed)]
    step = f", step {rows[0].step:,}" if rows and rows[0].step is not None else ""
    lines: list[str] = []
    for origin, members in groupby(rows, key=lambda row: row.origin):
        lines += [rf"\multicolumn{{9}}{{l}}{{\emph{{{_HEADINGS[origin]}}}}} \\"] if origin else []
        lines += [line for row in members for line in _lines(compared.specs.short_name(row.key), row)]
    notes = [rf"\item {escaped(note)}" for note in _notes(compared, arm, rows)]
    return "\n".join(
        [
            r"\begin{table}", r"\centering\footnotesize\setlength{\tabcolsep}{4pt}", r"\begin{threeparttable}",
            rf"\caption{{{escaped(f'{arm.label} against {control}{step}')}}}",
            r"\begin{tabular}{lrrrrlrrr}", r"\toprule", _COLUMNS, r"\midrule", *lines, r"\bottomrule",
            r"\end{tabular}", r"\begin{tablenotes}\footnotesize", *notes, r"\end{tablenotes}",
            r"\end{threeparttable}", r"\end{table}",
        ]
    )  # fmt: skip


def _lines(name: str, row: ComparisonRow) -> Iterator[str]:
    """The line of one metric, and of a saturated share another one with the difference in nats. name: of the metric."""
    cells = (
        name, number(row.baseline, row.spec) + mark(row.baseline_saturated),
        number(row.value, row.spec) + mark(row.saturated), difference(row), "" if row.n is None else f"{row.n:,}",
        f"{row.seeds} seeds" if row.p_over == "seeds" else row.p_over or "-", p_value(row.p), p_value(row.p_holm),
        "-" if row.minimum_detectable_effect is None else number(row.minimum_detectable_effect, row.spec),
    )  # fmt: skip
    yield _line(cells)
    if is_saturated(row):
        nats = "-" if row.difference_nats is None else f"{row.difference_nats:+.2f}"
        yield _line(("the same in nats", "", "", nats, "", "", "", "", ""))


def _line(cells: Sequence[str]) -> str:
    """A line of the table. A number below zero gets a minus sign in place of a hyphen."""
    words = [escaped(cells[0]), *(re.sub(r"-(?=\d)", "$-$", escaped(cell)) for cell in cells[1:])]
    return " & ".join(words) + r" \\"


def _notes(compared: Comparison, arm: Arm, rows: Sequence[ComparisonRow]) -> Iterator[str]:
    """What the table must be read with."""
    yield from (f"Manipulation check: {verdict.sentence}." for verdict in compared.verdicts if verdict.arm == arm.label)
    yield from (f"{test.sentence}." for test in compared.claims if test.arm in {arm.label, None})
    yield (
        "Shares in %, their differences in points; the rest in the metric's own unit. Differences: arm minus control, "
        "with 95% intervals. n: items compared, of one training."
    )
    if any(row.seeds == 1 for row in rows):
        yield (
            "p over items: one training of each arm. It says that these two models differ over the items, not that two "
            "other trainings of the same arms would."
        )
    if any(row.seeds > 1 for row in rows):
        yield "p over seeds: each training of an arm, paired with its control, is one observation (Student's t)."
    if any(row.p_over == "values" for row in rows):
        yield "p over values: one side has no items, so the two values are taken as independent."
    yield f"p is uncorrected, two-sided; Holm: over {holm_family(compared)}."
    yield "least: the least true difference that is detected with 80% power at the level of 5%."
    yield from caveats(compared)
