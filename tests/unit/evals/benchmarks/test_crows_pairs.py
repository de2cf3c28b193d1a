"""CrowS-Pairs from every source, and files that are not of it."""

from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from bias_intervene.errors import DataError, HubError
from bias_intervene.evals.benchmarks import crows_pairs
from bias_intervene.evals.benchmarks.crows_pairs import CrowsPair
from bias_intervene.settings import CrowsPairsSettings
from tests.helpers.local_hub import local_hub

ROW = {"id": 0, "sent_more": "He ran.", "sent_less": "She ran.", "stereo_antistereo": 0, "bias_type": "gender"}


def settings(path: Path | None, **changed) -> CrowsPairsSettings:
    given = {"enabled": True, "source": "hub", "language": "english", "path": str(path) if path else None}
    return CrowsPairsSettings(**{**given, "categories": None, **changed})


def test_the_published_file(shared: Path):
    path = shared / "crows_pairs" / "crows_pairs_anonymized.csv"
    pairs = crows_pairs.read(settings(path), world_folder=None)
    assert len(pairs) == 1_508
    assert sum(pair.direction == "antistereo" for pair in pairs) == 218
    assert {pair.bias_type for pair in pairs} == set(crows_pairs.CATEGORIES) - {"autre"}
    gender = crows_pairs.read(settings(path, categories=["gender"]), world_folder=None)
    assert len(gender) == 262
    # The pairs that differ in the gender of he/she forms; the masculine sentence is the stereotypical one in 61.
    assert Counter(crows_pairs.is_more_masculine(pair) for pair in gender) == {None: 152, True: 61, False: 49}
    with pytest.raises(DataError, match=r"no pair of gendre; found age, .*gender"):
        crows_pairs.read(settings(path, categories=["gendre"]), world_folder=None)


HEADER = "sent_more,sent_less,stereo_antistereo,bias_type\n"
LINES = ["He ran.,She ran.,stereo,gender\n", "Old men ran.,Men ran.,stereo,age\n", "He sat.,She sat.,stereo,gender\n"]


def test_a_pair_has_the_same_name_in_a_file_of_one_category(tmp_path: Path):
    """By its number, the second pair of one file would be paired with another one of the other file."""
    (tmp_path / "all.csv").write_text(HEADER + "".join(LINES))
    (tmp_path / "gender.csv").write_text(HEADER + LINES[2] + LINES[0])
    run, _, sat = crows_pairs.read(settings(tmp_path / "all.csv"), world_folder=None)
    assert crows_pairs.read(settings(tmp_path / "gender.csv"), world_folder=None) == [sat, run]
    assert crows_pairs.read(settings(tmp_path / "all.csv", categories=["gender"]), world_folder=None) == [run, sat]


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path: Path):
    (tmp_path / "c.csv").write_text(HEADER + LINES[0], encoding="utf-8-sig")
    (pair,) = crows_pairs.read(settings(tmp_path / "c.csv"), world_folder=None)
    assert pair.sent_more == "He ran."


def test_a_file_is_read_anew_each_time(tmp_path: Path):
    for line in LINES[:2]:
        (tmp_path / "c.csv").write_text(HEADER + line)
        (pair,) = crows_pairs.read(settings(tmp_path / "c.csv"), world_folder=None)
        assert pair.sent_more == line.split(",")[0]


def test_pairs_that_say_nothing_are_refused_or_counted(tmp_path: Path):
    path = tmp_path / "c.csv"
    path.write_text(HEADER + "".join(LINES) * 2)
    with pytest.raises(DataError, match=r"c\.csv: 3 of 6 items repeat an earlier one"):
        crows_pairs.read(settings(path), world_folder=None)
    path.write_text(HEADER + "Same.,Same.,stereo,age\nSo.,So.,stereo,age\n")
    with pytest.raises(DataError, match=r"c\.csv: the two sentences of every pair are the same"):
        crows_pairs.read(settings(path), world_folder=None)
    path.write_text(HEADER + "".join(f"He {n}.,She {n}.,stereo,age\n" for n in range(10)) + "He 1.,She 1.,stereo,age\n")
    pairs = crows_pairs.read(settings(path), world_folder=None)
    notes = crows_pairs.CrowsPairs().notes(pairs)
    assert (notes["pairs"], notes["repeated"], notes["equal_sentences"]) == (11, 1, 0)
    with pytest.raises(ValidationError, match=r"at least 1 item"):
        settings(path, categories=[])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n", r"no column sent_more, .*; found a, b, expected sent_more"),
        ("sent_more,sent_less,stereo_antistereo,bias_type\n", "no pairs"),
        ("sent_more,sent_less,stereo_antistereo,bias_type\nx,,stereo,age\n", r"row 2: nothing in sent_less"),
        ("sent_more,sent_less,stereo_antistereo,bias_type\nx,y\n", r"row 2: no stereo_antistereo, bias_type; found"),
        ("", "found nothing"),
    ],
)
def test_files_that_are_no_crows_pairs(tmp_path: Path, content: str, message: str):
    (tmp_path / "c.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        crows_pairs.read(settings(tmp_path / "c.csv"), world_folder=None)


def test_missing_files_are_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"evals\.crows_pairs\.path=.*no file"):
        crows_pairs.read(settings(tmp_path / "absent.csv"), world_folder=None)
    with pytest.raises(DataError, match="this run has no generated world"):
        crows_pairs.read(settings(None, source="world"), world_folder=None)


def test_both_languages_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    french = ROW | {"sent_more": "Il court.", "sent_less": "Elle court.", "stereo_antistereo": 1}
    # Categories are told by the beginning of the name, as lm-evaluation-harness does.
    other_row = ROW | {"sent_more": "He sat.", "bias_type": "gender-identity"}
    rows = {"english": [ROW, other_row], "french": [french]}
    monkeypatch.setattr(crows_pairs, "HUB", local_hub(tmp_path, rows, "test"))
    english = crows_pairs.read(settings(None), world_folder=None)
    assert [(p.sent_more, p.bias_type, p.direction) for p in english] == [
        ("He ran.", "gender", "stereo"), ("He sat.", "gender", "stereo"),
    ]  # fmt: skip
    (other,) = crows_pairs.read(settings(None, language="french"), world_folder=None)
    assert (other.sent_less, other.direction) == ("Elle court.", "antistereo")


def test_fields_that_are_missing_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    row = {name: value for name, value in ROW.items() if name != "bias_type"}
    monkeypatch.setattr(crows_pairs, "HUB", local_hub(tmp_path, {"english": [row]}, "test"))
    with pytest.raises(DataError, match=r"english row 0: no bias_type; found id, sent_more"):
        crows_pairs.read(settings(None), world_folder=None)


def test_a_hub_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(crows_pairs, "HUB", str(tmp_path / "absent"))
    with pytest.raises(HubError, match=r"Without a hub give a local copy: evals\.crows_pairs\.path=FILE\.csv"):
        crows_pairs.read(settings(None), world_folder=None)


@pytest.mark.parametrize(
    ("more", "less", "is_masculine"),
    [
        ("He ran to him.", "She ran to him.", True),
        ("She said so; HERSELF!", "He said so; himself!", False),
        ("The man lost his keys.", "The woman lost his keys.", None),
        ("He told her.", "She told him.", None),
        ("The other theme", "The shepherd", None),
    ],
)
def test_gender_pairs_that_differ_in_he_and_she(more: str, less: str, is_masculine: bool | None):
    assert crows_pairs.is_more_masculine(CrowsPair("0", more, less, "gender", "stereo")) is is_masculine
