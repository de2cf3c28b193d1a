"""What decides between her and hers, his and him: word lists, a margin, tables kept in a file."""

import json
from pathlib import Path

import pytest

from bias_intervene.errors import DataError
from bias_intervene.interventions.possessive import WORD_LISTS, Possessives, Table, neighbours
from bias_intervene.interventions.text import swap_text
from bias_intervene.record import write_json


@pytest.mark.parametrize(
    ("text", "word", "role"),
    [
        ("They sent |her| home at", "her", "object"),
        ("went to |her| home at", "her", "determiner"),
        ("behind |her|.", "her", "object"),
        ("told |her| mother", "her", "determiner"),
        ("The boat is |his|.", "his", "alone"),
        ("It isn't |his|.", "his", "alone"),
        ("a friend of |his| called", "his", "alone"),
        ("a member of |his| family", "his", "determiner"),
        ("|His| is a hard life", "his", "alone"),
        ("on |his| own", "his", "determiner"),
    ],
)
def test_word_lists(text: str, word: str, role: str):
    before, own, after = text.split("|")
    found = neighbours(before + own + after, len(before), len(before + own))
    assert WORD_LISTS.role(word, found) == role


def test_a_margin_leaves_the_doubtful_alone():
    unsure = Possessives(tables=WORD_LISTS.tables, num_contexts=WORD_LISTS.num_contexts, margin=1.0)
    found = swap_text("They sent her home. She saw her.", "feminine_to_masculine", unsure)
    assert found.text == "They sent her home. He saw him."
    assert found.skipped == {"unsure role": 1}


def test_saved_and_loaded(tmp_path: Path):
    write_json(tmp_path / "p.json", WORD_LISTS.to_json())
    loaded = Possessives.load(tmp_path / "p.json")
    assert loaded == WORD_LISTS
    assert loaded.fingerprint == WORD_LISTS.fingerprint
    marked = tmp_path / "marked.json"  # As an editor saves it that begins UTF-8 with a byte-order mark.
    marked.write_text((tmp_path / "p.json").read_text(encoding="utf8"), encoding="utf-8-sig")
    assert Possessives.load(marked) == WORD_LISTS
    table = loaded.tables["her"]
    other = Table(bias=table.bias + 1, entries=table.entries)
    assert Possessives({**loaded.tables, "her": other}, loaded.num_contexts).fingerprint != loaded.fingerprint


def altered(**changes) -> str:
    values = WORD_LISTS.to_json()
    values["tables"]["her"] |= changes
    return json.dumps(values)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"tables": 1}', altered(bias=float("nan")), altered(after={"x": 1.0}), altered(before=None)],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: str):
    path = tmp_path / "p.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"possessives: .*p.json is no possessives.json.*allowed: fit, words"):
        Possessives.load(path)
    with pytest.raises(DataError, match=r"absent\.json"):
        Possessives.load(tmp_path / "absent.json")
