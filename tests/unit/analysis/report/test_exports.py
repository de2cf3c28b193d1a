"""Names from anywhere, in every file that is written."""

import csv
import json
import re
from pathlib import Path

import pytest

from bias_intervene import compare
from bias_intervene.analysis.report import drawing, html
from bias_intervene.analysis.report.figure import Figure, Series, file_name
from bias_intervene.results import MetricKey
from tests.helpers.runs import made

HOSTILE = ["=1+1", "+cmd", "@sum", "[gender]", "[/x]", "a\nb", "\x1b[31mred", "$\\frac$", "_x", "<b>p|q</b>\\", "*"]
EVEN = {str(number): float(number % 2) for number in range(8)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A control and arms with hostile names, two steps each."""
    place = tmp_path_factory.mktemp("hostile")
    made(place / "n", "none", EVEN, base=EVEN)
    for number, name in enumerate(HOSTILE):
        made(place / f"s{number}", name, {**EVEN, "1": 0.0}, base=EVEN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "write", lambda *_: [])  # Takes seconds, and is tested below.
        assert compare.main([str(place), "--output", str(place / "out")]) == 0
    return place / "out"


def test_no_cell_of_the_csv_file_is_a_formula(folder: Path):
    with (folder / "comparison.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    texts = [cell for row in rows for cell in row if not re.fullmatch(r"[-+]?[\d.]+(e-?\d+)?", cell)]
    assert [cell for cell in texts if cell[:1] in {"=", "+", "-", "@"}] == []
    arms = {row[rows[0].index("arm")] for row in rows[1:]}
    assert {"'=1+1", "'+cmd", "'@sum", "a b", "[gender]", "[31mred"} <= arms
    # Numbers stay numbers.
    differences = [row[rows[0].index("difference")] for row in rows[1:]]
    assert min(float(value) for value in differences if value) == -0.125
    assert len((folder / "comparison.csv").read_text().splitlines()) == len(rows)


def test_every_line_of_the_markdown_file_has_the_same_cells(folder: Path):
    lines = (folder / "comparison.md").read_text().splitlines()
    assert len({len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines}) == 1
    assert "<b>" not in "".join(lines)


def test_the_terminal_shows_names_as_they_are(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert compare.main([str(folder.parent), "--by", "intervention"]) == 0
    printed = capsys.readouterr().out
    assert [name for name in ("[gender]", "[/x]", "=1+1", "a b", "[31mred") if name not in printed] == []
    assert "\x1b" not in printed


def test_json_holds_the_names_themselves(folder: Path):
    rows = json.loads((folder / "comparison.json").read_text())["rows"]
    assert set(HOSTILE) <= {row["arm"] for row in rows}


def test_a_figure_shows_a_name_and_no_formula_and_leaves_out_what_is_not_finite(tmp_path: Path):
    series = Series("$\\frac$", [1.0, 2.0], [1.0, float("inf")], [0.0, float("nan")], [2.0, float("inf")])
    drawing.write([Figure(name="f", title="$x$", x_label="", y_label="", kind="lines", series=[series])], tmp_path)
    assert "$\\frac$" in (tmp_path / "f.svg").read_text()


def test_a_figure_is_written_nowhere_else():
    key = MetricKey("harness", "../../task", "gender/stereo", "exact_match,strict")
    assert file_name("over_steps", key) == "over_steps_harness_..-..-task_gender-stereo_exact_match,strict"


def test_plots_show_a_name_and_no_markup():
    figure = Figure(
        name="f", title="<i>t</i>", x_label="x", y_label="y", kind="lines", series=[Series("<b>arm</b>", [1.0], [1.0])]
    )
    page = html.rendered("figures.html.j2", [figure])
    assert "<b>" not in page
    (plot,) = html._plots([figure])
    assert (plot["data"][0]["name"], plot["layout"]["title"]["text"]) == (
        "&lt;b&gt;arm&lt;/b&gt;",
        "&lt;i&gt;t&lt;/i&gt;",
    )
