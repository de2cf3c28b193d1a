"""Worker processes: what they import and wait for before their turn, and how a stop signal ends them."""

import importlib.util
import io
import json
import os
import signal
import sys
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest

from bias_intervene.errors import DataError
from bias_intervene.record import read_json
from bias_intervene.run.planning import plan_of
from bias_intervene.run.protocol import STOP_SIGNALS, STOPPED, TURN, WAITS, exit_at_stop_signals
from bias_intervene.stages import __main__ as worker
from bias_intervene.stages import prepare, train
from tests.conftest import composed


@pytest.fixture(autouse=True)
def _handlers_of_this_process_stay() -> Generator[None]:
    kept = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


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


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    settings = composed("experiment=demo")
    (tmp_path / "settings.json").write_text(json.dumps(settings.to_json()))
    (tmp_path / "plan.json").write_text(json.dumps(plan_of(settings).to_json()))
    return tmp_path


def signal_itself(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_stop_signal_ends_the_training_before_it_has_anything_to_save(run_dir: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(train, "run", signal_itself)
    assert worker.main(["train", str(run_dir)]) == 0
    outcome = read_json(run_dir / ".train.outcome.json")
    assert outcome["status"] == "stopped"
    assert "stopped by SIGTERM in stage train; the same command" in outcome["message"]


def test_a_rank_that_others_may_wait_for_ends_them(run_dir: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(train, "run", signal_itself)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert worker.main(["train", str(run_dir)]) == 1
    assert read_json(run_dir / ".train.outcome.json")["status"] == "stopped"


def test_a_stop_signal_is_no_failure_of_a_download(run_dir: Path, monkeypatch: pytest.MonkeyPatch):
    def download(*_: object) -> None:
        try:
            signal_itself()
        except Exception as error:
            raise DataError("the hub cannot be reached") from error

    monkeypatch.setattr(prepare, "run", download)
    assert worker.main(["prepare", str(run_dir)]) == 0
    assert read_json(run_dir / ".prepare.outcome.json")["status"] == "stopped"


def test_a_stop_signal_before_the_turn_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(worker, "_turn_comes", signal_itself)
    assert worker.main(["train", str(tmp_path), WAITS]) == STOPPED
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_has_not_begun_ends_as_one_to_be_started_again():
    exit_at_stop_signals()
    with pytest.raises(SystemExit) as ended:
        signal.raise_signal(signal.SIGUSR2)
    assert ended.value.code == STOPPED


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("settings.json", "{half", "settings.json: not JSON"), ("settings.json", "{}", "settings are wrong")],
)
def test_what_a_stage_cannot_read_is_its_outcome(run_dir: Path, name: str, content: str, message: str):
    (run_dir / name).write_text(content)
    assert worker.main(["train", str(run_dir)]) == 1
    outcome = read_json(run_dir / ".train.outcome.json")
    assert outcome["status"] == "failed"
    assert message in outcome["message"]


def test_an_array_too_large_for_this_machine_is_a_message(run_dir: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(prepare, "run", lambda *_: np.empty((1 << 50, 2049), np.uint16))
    assert worker.main(["prepare", str(run_dir)]) == 1
    message = read_json(run_dir / ".prepare.outcome.json")["message"]
    assert message.startswith("stage prepare: out of memory (Unable to allocate 4.00 EiB")
    assert "data.heldout_rows" in message
