"""The swap on text, as a user tries it first."""

import io
import re
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from bias_intervene import preview
from bias_intervene.errors import SettingsError
from tests.conftest import run


def test_standard_input_as_in_the_readme(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    text = b"The nurse said he lost his keys; the fault is his."
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert preview.main(["intervention=masculine_to_feminine"]) == 0
    out, err = capsys.readouterr()
    assert out == "The nurse said she lost her keys; the fault is hers."
    assert "3 swaps in 11 words" in err
    assert "his -> hers" in err


def test_files_and_none(tmp_path: Path, cache: Path):
    (tmp_path / "a.txt").write_text("He saw her.\n")
    done = run(
        "intervention=feminine_to_masculine", "a.txt", module="bias_intervene.preview", cwd=tmp_path, cache=cache
    )
    assert done.stdout == "He saw him.\n"
    done = run("intervention=none", "a.txt", "a.txt", module="bias_intervene.preview", cwd=tmp_path, cache=cache)
    assert done.stdout == "He saw her.\n" * 2


def test_a_lines_end_hides_no_neighbour(tmp_path: Path, capsys):
    (tmp_path / "a.txt").write_text("She saw her\nmother.\n\nShe saw her\n\nand left.")
    assert preview.main(["intervention=feminine_to_masculine", str(tmp_path / "a.txt")]) == 0
    assert capsys.readouterr().out == "He saw his\nmother.\n\nHe saw him\n\nand left."


def test_counts_alone(tmp_path: Path, capsys):
    (tmp_path / "a.txt").write_text("He saw him.\n\nHe or she ran.\n\nNothing.")
    assert preview.main(["intervention=masculine_to_feminine", "--audit", str(tmp_path / "a.txt")]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "2 swaps in 8 words, 1 of 3 paragraphs" in out
    assert re.search(r"left alone: coordination +1", out)
    assert re.search(r"dose \(share swapped\) +66\.7%", out)


@pytest.mark.parametrize("name", ["retokenize", "pythia_pushed", "none", "neutral", "both", "pythia_replace"])
def test_every_intervention_of_text(name: str, tmp_path: Path, capsys):
    (tmp_path / "a.txt").write_text("So he said she lied.")
    assert preview.main([f"intervention={name}", str(tmp_path / "a.txt")]) == 0
    expected = {
        "neutral": "So they said they lied.", "both": "So she said he lied.", "pythia_replace": "So she said she lied.",
    }  # fmt: skip
    assert capsys.readouterr().out == expected.get(name, "So he said she lied.")


def test_a_share_is_drawn_by_seed(tmp_path: Path, capsys):
    (tmp_path / "a.txt").write_text("He ran.\n\n" * 400)

    def drawn(*words: str) -> str:
        assert preview.main(["intervention=masculine_to_feminine", *words, str(tmp_path / "a.txt")]) == 0
        return capsys.readouterr().out

    half = drawn("intervention.probability=0.5")
    assert 150 < half.count("She") < 250
    assert drawn("intervention.probability=0.5", "seed=1") == half
    assert drawn("intervention.probability=0.5", "seed=2") != half
    assert drawn("intervention.probability=0") == "He ran.\n\n" * 400
    assert drawn("intervention.unit=pronoun", "intervention.probability=1") == "She ran.\n\n" * 400


def test_the_role_is_fitted_on_what_is_read(tmp_path: Path, capsys):
    """Adverbs no list has: learned from the objects beside them."""
    text = (
        "We saw them mivly. We saw him mivly. We saw my blick. We saw their blick.\n\n" * 60 + "We saw her mivly now."
    )
    (tmp_path / "a.txt").write_text(text)
    words = ["intervention=feminine_to_masculine", str(tmp_path / "a.txt")]
    assert preview.main(words) == 0
    out, err = capsys.readouterr()
    assert out.endswith("We saw him mivly now.")
    assert "her: too little" not in err
    assert "his: too little text to fit its role, 0 of hers" in err.replace("\n", " ")
    assert preview.main([*words, "intervention.possessives=words"]) == 0
    assert capsys.readouterr().out.endswith("We saw his mivly now.")


def test_the_doubtful_are_left_with_a_margin(tmp_path: Path, tokenizer: Tokenizer, capsys):
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "a.txt").write_text("They sent her home. She saw her.")
    words = ["intervention=feminine_to_masculine", "intervention.margin=1", str(tmp_path / "a.txt")]
    for more in ([], [f"tokenizer={tmp_path / 'tokenizer.json'}"]):
        assert preview.main([*words, *more]) == 0
        out, err = capsys.readouterr()
        assert out.startswith("They sent her home. ")
        assert out.endswith("saw him.")
        assert re.search(r"left alone: unsure role +1", err)


def test_through_token_ids(tmp_path: Path, tokenizer: Tokenizer, capsys):
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "a.txt").write_text("he left; HE LEFT HIMSELF.\n\nThe end: 'he ran'")
    words = ["intervention=masculine_to_feminine", f"tokenizer={tmp_path / 'tokenizer.json'}", str(tmp_path / "a.txt")]
    assert preview.main([*words, "intervention.length=shift"]) == 0
    out, err = capsys.readouterr()
    assert "changes the number of tokens" not in err
    if out != "she left; SHE LEFT HERSELF.\n\nThe end: 'she ran'":  # A text that grew was cut at its end.
        assert out.startswith("she left; SHE LEFT")
    assert preview.main(words) == 0
    assert "changes the number of tokens" in capsys.readouterr().err


def test_nothing_is_lost_or_held(monkeypatch: pytest.MonkeyPatch):
    """Paragraphs, long lines and characters cut by a read come out as they went in, a piece at a time."""
    monkeypatch.setattr(preview, "MAX_CHARS", 50)
    for text in ("a\n\nb\n \n\n\nc", "é" * 500, "word " * 100, "line\n" * 60, "漢\r\n\r\nx" * 30, "", "\n\n\n"):
        found = list(preview.pieces(io.BytesIO(text.encode()), "x"))
        assert "".join(found) == text
        assert all(0 < len(piece) <= 60 for piece in found)
    assert list(preview.pieces(io.BytesIO(b"a\nb\n\nc"), "x")) == ["a\nb\n\n", "c"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["intervention=masculine"], 'did you mean "masculine_to_feminine"'),
        (["a.txt"], "allowed: both"),
        (["intervention=none", "absent.txt"], "absent.txt: no such file"),
        (["intervention=none", "fraction=1"], "fraction: no such key"),
        (["intervention=both", "intervention.probability=2"], "intervention.probability: found 2.0"),
        (["intervention=both", "intervention.probability=-0.1"], "intervention.probability: found -0.1"),
        (["intervention=both", "intervention.unit=word"], "intervention.unit: found 'word'"),
        (["intervention=both", "intervention.length=shift"], "give tokenizer=FILE"),
        (["intervention=pythia_token_map"], "intervention=pythia_token_map is about token ids: give tokenizer=FILE"),
        (["intervention=retokenize", "intervention.margin=1"], "intervention=retokenize has no such option"),
        (["intervention=both", "intervention.possessives=absent.json"], "absent.json is no possessives.json"),
        (["intervention=both", "tokenizer=absent.json"], "tokenizer: absent.json cannot be read"),
        (["intervention=both", "seed=-1"], "seed: found '-1'; allowed: 0, 1, 2"),
        (["intervention=both", "--verbose"], "--verbose: no such flag; allowed: --audit, --help"),
    ],
)
def test_bad_input(words: list[str], message: str, capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"he")))
    assert preview.main(words) == 1
    assert message in capsys.readouterr().err


def test_a_byte_order_mark_is_no_text(tmp_path: Path, capsys):
    (tmp_path / "a.txt").write_text("He left.", encoding="utf-8-sig")
    assert preview.main(["intervention=masculine_to_feminine", str(tmp_path / "a.txt")]) == 0
    assert capsys.readouterr().out == "She left."


def test_text_that_is_not_utf8(tmp_path: Path, capsys):
    (tmp_path / "a.txt").write_bytes(b"ok\n\xff\n")
    assert preview.main(["intervention=none", str(tmp_path / "a.txt")]) == 1
    assert "a.txt, line 2: not UTF-8" in capsys.readouterr().err
    (tmp_path / "a.txt").write_bytes(b"ok\n\n\xc3")
    assert preview.main(["intervention=none", str(tmp_path / "a.txt")]) == 1
    assert "a.txt, line 3: not UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize(("word", "value"), [("5e-1", 0.5), (".5", 0.5), ("1", 1.0), ("0.30000000000000004", 0.3)])
def test_numbers_are_read_as_a_run_reads_them(word: str, value: float):
    options = preview.parse(["intervention=both", f"intervention.probability={word}"])
    assert options.intervention.probability == value


@pytest.mark.parametrize("word", ["intervention.probability=nan", "intervention.probability=half", "seed=4294967296"])
def test_what_is_no_such_number_is_refused(word: str):
    with pytest.raises(SettingsError, match=rf"{word.split('=')[0]}: found"):
        preview.parse(["intervention=both", word])
