"""LAMBADA from both sources, and files that are not of it."""

import json
from pathlib import Path

import pytest

from bias_intervene.errors import DataError
from bias_intervene.evals.benchmarks import lambada
from bias_intervene.settings import LambadaSettings
from tests.helpers.local_hub import local_hub

TEXTS = ["He met her at the old mill", "The nurse said that she was tired", "It rained,  and the roof leaked"]


def settings(path: Path | None) -> LambadaSettings:
    return LambadaSettings(enabled=True, path=str(path) if path else None)


def test_file_and_hub_give_the_same_passages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "l.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    passages = lambada.read(settings(tmp_path / "l.jsonl"))
    assert passages[0] == lambada.LambadaPassage("0", "He met her at the old", " mill")
    assert passages[2].context == "It rained,  and the roof"
    folder = tmp_path / "hub"
    monkeypatch.setattr(lambada, "HUB", local_hub(folder, {"default": [{"text": t} for t in TEXTS]}, "test"))
    assert lambada.read(settings(None)) == passages


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "alone"}\n', r"passage 1: no last word after a context: 'alone'"),
        ('{"text": "ends in a space "}\n', r"no last word"),
        ('{"passage": "x y"}\n', r"line 1: no text under text; found \['passage'\]"),
        ("", "empty"),
    ],
)
def test_files_that_are_no_passages(tmp_path: Path, content: str, message: str):
    (tmp_path / "l.jsonl").write_text(content)
    with pytest.raises(DataError, match=message):
        lambada.read(settings(tmp_path / "l.jsonl"))


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"evals\.lambada\.path=.*no file"):
        lambada.read(settings(tmp_path / "absent.jsonl"))
