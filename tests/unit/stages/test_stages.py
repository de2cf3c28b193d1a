"""Worker processes before their turn: what they import, and what they wait for."""

import importlib.util
import io
import sys
from pathlib import Path

import pytest

from bias_intervene.run.protocol import TURN, WAITS
from bias_intervene.stages import __main__ as worker


def given(monkeypatch: pytest.MonkeyPatch, line: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line)))


@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_what_is_imported_before_the_turn_exists(stage: str):
    for name in importlib.import_module(f"bias_intervene.stages.{stage}").IMPORTED_LATER:
        assert importlib.util.find_spec(name) is not None


def test_a_stage_begins_at_its_line_and_at_no_other_end_of_waiting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    given(monkeypatch, TURN)
    assert worker._turn_comes("evaluate")
    given(monkeypatch, b"")
    assert not worker._turn_comes("evaluate")
    # Settings and plan are read after that: this folder has none.
    given(monkeypatch, b"")
    assert worker.main(["evaluate", str(tmp_path), WAITS]) == 0
    assert list(tmp_path.iterdir()) == []
