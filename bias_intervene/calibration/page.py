"""Shows a calibration: tables for the terminal, calibration.html, figures, and calibration.json."""

from collections.abc import Iterator
from pathlib import Path

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from bias_intervene.analysis.report import drawing, html
from bias_intervene.calibration.answers import Calibration
from bias_intervene.calibration.findings import Answer, Finding
from bias_intervene.record import write_bytes, write_json

_MARKS = {True: "yes", False: "NO", None: ""}
"""Whether a finding lies within its bounds -> the last cell of its line."""


def write(calibration: Calibration, folder: Path) -> None:
    """Writes calibration.json, calibration.html and figures/calibration_* into a folder."""
    write_json(folder / "calibration.json", calibration.to_json())
    text = page(calibration, report_beside=(folder / "report.html").is_file())
    write_bytes(folder / "calibration.html", text.encode())
    drawing.write(calibration.figures, folder / "figures")


def page(calibration: Calibration, *, report_beside: bool) -> str:
    """The text of calibration.html. report_beside: whether the comparison's report.html is in the same folder."""
    return html.rendered(
        "calibration.html.j2",
        calibration.figures,
        passed=calibration.passed,
        report_beside=report_beside,
        verdict=summary(calibration),
        provenance=f"{calibration.num_runs} runs, {calibration.num_pairs} pairs of controls.",
        answers=[
            {"name": answer.name, "question": answer.question, "needs": answer.needs,
             "rows": [{"cells": _cells(finding)} for finding in answer.findings]}
            for answer in calibration.answers
        ],
    )  # fmt: skip


def terminal(calibration: Calibration) -> Group:
    """A table per question, and the summary."""
    return Group(*(part for answer in calibration.answers for part in _answer_parts(answer)), summary(calibration))


def _answer_parts(answer: Answer) -> Iterator[Table | Text]:
    """The question, and the table of its findings or the command that would make the runs for it."""
    yield Text(f"\n{answer.name}: {answer.question}", style="bold")
    if not answer.findings:
        yield Text(f"no runs for it: {answer.needs}")
        return
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("", "found", "95% interval", "must lie in", "n", "does"):
        table.add_column(name, justify="right" if name in {"found", "n"} else "left")
    for finding in answer.findings:
        table.add_row(*_cells(finding), style="red" if finding.passed is False else "")
    yield table


def _cells(finding: Finding) -> list[str]:
    """The cells of a finding's line."""
    ends = [finding.ci_low, finding.ci_high]
    interval = f"[{', '.join(_number(end) for end in ends)}]" if None not in ends else ""
    return [finding.name, _number(finding.value), interval, _bounds(finding), str(finding.n), _MARKS[finding.passed]]


def _bounds(finding: Finding) -> str:
    """The bounds of a finding, in words."""
    if finding.allowed is None:
        return ""
    low, high = finding.allowed
    what = "interval " if finding.whole else ""
    if high is None:
        return f"{what}above {_number(low)}"
    return f"{what}below {_number(high)}" if low is None else f"{what}{_number(low)} to {_number(high)}"


def _number(value: float | None) -> str:
    """A number with three significant digits; '' for None."""
    return "" if value is None else f"{value:.3g}"


def summary(calibration: Calibration) -> str:
    """How many findings lie within their bounds, which do not, and which questions have no runs."""
    bounded = [finding for answer in calibration.answers for finding in answer.findings if finding.passed is not None]
    num_passed = sum(bool(finding.passed) for finding in bounded)
    unanswered = [answer.name for answer in calibration.answers if not answer.findings]
    missing = f" No runs for: {', '.join(unanswered)}." if unanswered else ""
    if not bounded:
        return f"Nothing to hold to its bounds.{missing}"
    failed = [f"{a.name}: {f.name}" for a in calibration.answers for f in a.findings if f.passed is False]
    outside = f" Outside: {'; '.join(failed)}." if failed else ""
    return f"{num_passed} of {len(bounded)} numbers lie where they must.{outside}{missing}"
