"""The tables of papers: complete, and proof against any name."""

import re
from pathlib import Path

import pytest

from bias_intervene.analysis.comparison import compare
from bias_intervene.analysis.report.latex import escaped, latex
from bias_intervene.record import read_json, write_json
from tests.helpers.runs import made, with_forms

EVEN = {str(number): float(number % 2) for number in range(40)}


def lines_of(text: str) -> list[list[str]]:
    """The cells of every line of the tables."""
    body = re.findall(r"\\midrule\n(.*?)\\bottomrule", text, re.DOTALL)
    return [re.split(r" & ", line.removesuffix(r" \\")) for table in body for line in table.strip().splitlines()]


def is_balanced(text: str) -> bool:
    """Whether environments, braces and dollar signs of a LaTeX text are closed in order."""
    text = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    opened: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            opened.append(name)
        elif not opened or opened.pop() != name:
            return False
    bare = re.sub(r"\\[\\{}$&%#_]", "", text)
    return not opened and bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0


def test_what_a_line_must_be_read_with_stands_in_it_and_below_it(tmp_path: Path):
    with_forms(made(tmp_path / "n", "none", EVEN), 0.5, nats=1.5)
    treated = with_forms(made(tmp_path / "s", "both", {**EVEN, "1": 0.0}), 0.0, nats=0.25)
    record = read_json(treated / "record.json")
    write_json(treated / "record.json", record | {"benchmarks": {"crows_pairs": {"caveats": ["Not 100% valid."]}}})
    text = latex(compare([tmp_path]))
    first, second = lines_of(text)[:2]
    # A share at 50% by construction is marked, and its difference in nats stands in the line below it.
    assert first[:3] == [r"CrowS gender stereo \%", "50.0", "47.5(s)"]
    assert first[4:6] == ["40", "items"]
    assert float(first[8]) > 0
    assert (second[0], second[3]) == ("the same in nats", "$-$1.25")
    assert len({len(line) for line in lines_of(text)}) == 1
    notes = re.findall(r"\\item (.*)", text)
    for beginning in (
        "Shares in",
        "p over items: one training of each arm",
        "p is uncorrected",
        "least:",
        "(s): saturated",
    ):
        assert any(note.startswith(beginning) for note in notes), beginning
    assert notes[-1] == r"Not 100\% valid."
    assert is_balanced(text)


def test_several_trainings_are_said_to_be_the_units(tmp_path: Path):
    for seed, changed in ((1, "1"), (2, "3"), (3, "5")):
        made(tmp_path / f"n{seed}", "none", EVEN, seed=seed)
        made(tmp_path / f"s{seed}", "both", {**EVEN, changed: 0.0, str(seed): 0.0}, seed=seed)
    text = latex(compare([tmp_path]))
    assert lines_of(text)[0][5] == "3 seeds"
    assert "p over seeds: each training of an arm" in text
    assert "one training of each arm" not in text


def test_no_name_breaks_the_table(tmp_path: Path):
    hostile = "[x] 100% $a_b$ {c} \\input{d} ~e^f # & g\n% h | <i>"
    made(tmp_path / "n", "none", EVEN)
    made(tmp_path / "s", hostile, EVEN)
    text = latex(compare([tmp_path]))
    assert escaped(hostile) in text
    assert is_balanced(text)
    assert "\\input" not in text


@pytest.mark.parametrize("text", ["[x]", "*", "a\nb", "]"])
def test_a_name_is_no_argument_of_the_line_break_before_it(text: str):
    assert not escaped(text).startswith(("[", "*"))
    assert "\n" not in escaped(text)
