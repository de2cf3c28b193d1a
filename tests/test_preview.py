"""The swap on text, as a user tries it first."""

import io
import sys
from pathlib import Path

import pytest

from bias_intervene import preview
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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["intervention=masculine"], 'did you mean "masculine_to_feminine"'),
        (["a.txt"], "intervention: missing"),
        (["intervention=none", "absent.txt"], "absent.txt: no such file"),
        (["intervention=none", "fraction=1"], "fraction: no such key"),
    ],
)
def test_bad_input(words: list[str], message: str, capsys):
    assert preview.main(words) == 1
    assert message in capsys.readouterr().err


def test_text_that_is_not_utf8(tmp_path: Path, capsys):
    (tmp_path / "a.txt").write_bytes(b"ok\n\xff\n")
    assert preview.main(["intervention=none", str(tmp_path / "a.txt")]) == 1
    assert "a.txt, line 2: not UTF-8" in capsys.readouterr().err
