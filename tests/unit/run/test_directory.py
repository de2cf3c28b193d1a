"""A directory opened for a run."""

import logging
import os
from pathlib import Path

import pytest

from bias_intervene.errors import RunDirectoryError
from bias_intervene.record import write_json
from bias_intervene.run.directory import open_run_directory, warn_of_changed_inputs
from bias_intervene.run.planning import plan_of
from tests.conftest import composed


@pytest.fixture
def complete(tmp_path: Path) -> Path:
    """The directory of a complete run that read text.txt and the folder model/."""
    (tmp_path / "model").mkdir()
    for name in ("text.txt", "model/config.json"):
        (tmp_path / name).write_text("before")
    run_dir = tmp_path / "run"
    for name in ("inputs.json", "record.json", "settings.json"):
        write_json(run_dir / name, {})
    later = (run_dir / "inputs.json").stat().st_mtime_ns + 10**9
    os.utime(run_dir / "inputs.json", ns=(later, later))
    return run_dir


def settings(place: Path) -> dict:
    return {"data": {"path": str(place / "text.txt")}, "model": {"path": str(place / "model"), "kind": "folder"}}


def test_a_complete_run_of_files_that_were_changed_since_says_so(
    complete: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING):
        warn_of_changed_inputs(complete, settings(tmp_path))
    assert caplog.text == ""
    later = (complete / "inputs.json").stat().st_mtime_ns + 10**9
    os.utime(tmp_path / "model" / "config.json", ns=(later, later))
    with caplog.at_level(logging.WARNING):
        warn_of_changed_inputs(complete, settings(tmp_path))
    assert f"model.path={tmp_path / 'model'}: changed since this run read it" in caplog.text
    assert "text.txt" not in caplog.text


def test_it_says_so_when_it_is_opened_and_is_not_touched(
    complete: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    given = composed("model=70m", "data=text", f"data.path={tmp_path / 'text.txt'}", "train=continue")
    write_json(complete / "settings.json", given.to_json())
    later = (complete / "inputs.json").stat().st_mtime_ns + 10**9
    os.utime(tmp_path / "text.txt", ns=(later, later))
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(RunDirectoryError, match="holds a complete run; nothing was done"),
        open_run_directory(complete, settings=given, plan=plan_of(given)),
    ):
        pass
    assert "text.txt: changed since this run read it; the run stays as it is" in caplog.text


def test_a_run_continued_in_another_environment_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    given = composed("experiment=demo")
    for version in ("2.12", "2.13"):
        described = {"packages": {"torch": version}}
        monkeypatch.setattr("bias_intervene.record.record.describe_environment", lambda d=described: d)
        with caplog.at_level(logging.WARNING), open_run_directory(tmp_path, settings=given, plan=plan_of(given)):
            pass
    (line,) = caplog.messages
    assert line == "continues in another environment than it began in: packages.torch: '2.12' -> '2.13'"
