"""Files whole or not at all; whose directory it is."""

import json
import os
from pathlib import Path

import pytest

from bias_intervene import record
from bias_intervene.errors import RunDirectoryError, StageError, StageStopped


def test_a_failed_write_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "a.json"
    record.write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        record.write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        record.write_bytes(tmp_path / "a", b"1")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_appears_whole(tmp_path: Path):
    target = tmp_path / "folder"

    def fill_and_fail() -> None:
        with record.whole_folder(target) as partial:
            (partial / "x").write_text("1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fill_and_fail()
    assert list(tmp_path.iterdir()) == []
    with record.whole_folder(target) as partial:
        (partial / "x").write_text("1")
    assert (target / "x").read_text() == "1"


def test_fingerprints_depend_on_content_only():
    assert record.fingerprint({"a": 1, "b": [2]}) == record.fingerprint({"b": [2], "a": 1})
    assert record.fingerprint({"a": 1}) != record.fingerprint({"a": 2})


def test_a_directory_belongs_to_its_settings(tmp_path: Path):
    settings = {"seed": 1, "train": {"rate": 0.1}, "tracking": {"name": "none"}}
    with record.open_run(tmp_path, settings=settings, plan={}):
        pass
    with record.open_run(tmp_path, settings={**settings, "tracking": {"name": "wandb"}}, plan={}):
        assert record.read_json(tmp_path / "settings.json")["tracking"] == {"name": "wandb"}
    with (
        pytest.raises(RunDirectoryError, match=r"train\.rate: 0\.1 -> 0\.2"),
        record.open_run(tmp_path, settings={**settings, "train": {"rate": 0.2}}, plan={}),
    ):
        pass


def test_claims_are_stated_before_the_run_and_stay(tmp_path: Path):
    claim = {"metric": "winobias/*/all/net_bias", "direction": "lower", "margin": None}
    settings, later = {"seed": 1, "claims": [claim]}, {"seed": 1, "claims": [claim | {"direction": "higher"}]}
    with record.open_run(tmp_path, settings=settings, plan={"arm": "none"}):
        pass
    with pytest.raises(RunDirectoryError, match=r"unfinished run of other settings: claims: \[.*lower.* -> \[.*higher"):
        record.open_run(tmp_path, settings=later, plan={}).__enter__()
    record.write_record(tmp_path)
    assert record.read_json(tmp_path / "record.json")["fingerprints"]["claims"] == record.fingerprint([claim])
    assert record.is_complete_run_of(tmp_path, settings)
    assert not record.is_complete_run_of(tmp_path, later)
    with pytest.raises(
        RunDirectoryError, match=r"holds a complete run of other settings: claims: \[.*; nothing was done"
    ):
        record.open_run(tmp_path, settings=later, plan={}).__enter__()


def test_a_run_of_before_there_were_claims_goes_on(tmp_path: Path):
    with record.open_run(tmp_path, settings={"seed": 1}, plan={}):
        pass
    with record.open_run(tmp_path, settings={"seed": 1, "claims": []}, plan={}):
        pass


def test_a_run_that_trains_keeps_to_its_plan(tmp_path: Path):
    plan = {"schedule": {"peak": 0.001}, "rows": (0, 8), "notes": ("a note",)}
    with record.open_run(tmp_path, settings={}, plan=plan):
        (tmp_path / "training").mkdir()
    with record.open_run(tmp_path, settings={}, plan={**plan, "notes": ("as a later version says it",)}):
        assert record.read_json(tmp_path / "plan.json")["notes"] == ["as a later version says it"]
    record.write_json(tmp_path / "plan.json", {**plan, "schedule": {"peak": 0.01}})
    with (
        pytest.raises(RunDirectoryError, match=r"not the plan of settings\.json: schedule\.peak: 0\.01 -> 0\.001"),
        record.open_run(tmp_path, settings={}, plan=plan),
    ):
        pass


def test_before_the_training_the_plan_is_made_anew(tmp_path: Path):
    for rate in (0.01, 0.001):
        with record.open_run(tmp_path, settings={}, plan={"schedule": {"peak": rate}}):
            assert record.read_json(tmp_path / "plan.json") == {"schedule": {"peak": rate}}


def test_the_record_keeps_the_environment_of_every_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for version in ("2.12", "2.13", "2.13"):
        described = {"packages": {"torch": version}}
        monkeypatch.setattr("bias_intervene.record.record.describe_environment", lambda d=described: d)
        with record.open_run(tmp_path, settings={}, plan={"arm": "none"}):
            pass
    kept = record.gather(tmp_path)
    assert kept["environment"] == {"packages": {"torch": "2.12"}}
    assert [attempt["packages"]["torch"] for attempt in kept["attempts"]] == ["2.12", "2.13", "2.13"]


def test_a_run_refused_before_any_work_leaves_nothing(tmp_path: Path):
    with pytest.raises(StageError), record.open_run(tmp_path, settings={}, plan={}):
        raise StageError("no such corpus")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "stands", [("inputs.json",), ("settings.json",)], ids=["failed after preparing", "failed when continued"]
)
def test_a_run_that_had_begun_stays(tmp_path: Path, stands: tuple[str, ...]):
    for name in stands:
        record.write_json(tmp_path / name, {})
    with pytest.raises(StageError), record.open_run(tmp_path, settings={}, plan={}):
        raise StageError("the loss is nan")
    assert (tmp_path / "settings.json").is_file()


def test_a_run_stopped_by_a_signal_stays(tmp_path: Path):
    with pytest.raises(StageStopped), record.open_run(tmp_path, settings={}, plan={}):
        raise StageStopped("stopped")
    assert (tmp_path / "settings.json").is_file()


def test_a_complete_directory_is_refused(tmp_path: Path):
    record.write_json(tmp_path / "record.json", {})
    with (
        pytest.raises(RunDirectoryError, match="holds a complete run"),
        record.open_run(tmp_path, settings={}, plan={}),
    ):
        pass


def test_what_is_not_json_is_named(tmp_path: Path):
    (tmp_path / "record.json").write_text("{half")
    with pytest.raises(RunDirectoryError, match=r"record\.json: not JSON"):
        record.read_json(tmp_path / "record.json")


def test_the_environment_holds_no_variables(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert "hf_secret" not in json.dumps(record.describe_environment())


def test_a_record_holds_no_users_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/alice")
    settings = {"cache_dir": "/home/alice/cache", "data": {"path": "/home/alicent/x"}, "steps": ["/home/alice/y", 3]}
    with record.open_run(tmp_path, settings=settings, plan={"arm": "none", "repository": "/home/alice/model"}):
        record.write_record(tmp_path)
    text = (tmp_path / "record.json").read_text()
    assert "/home/alice/" not in text
    kept = record.read_json(tmp_path / "record.json")
    assert kept["settings"] == {"cache_dir": "~/cache", "data": {"path": "/home/alicent/x"}, "steps": ["~/y", 3]}
    assert kept["plan"]["repository"] == "~/model"


@pytest.mark.parametrize(
    ("weights", "equal"),
    [
        ({"step1": "a", "step2": "b", "published_step3": "b"}, []),
        ({"step1": "a", "step2": "a", "step3": "b"}, [["step1", "step2"]]),
        ({"step1": "a", "step2": "b", "published_step3": "a"}, [["step1", "published_step3"]]),
        ({"step1": "a", "published_step2": "b", "published_step3": "b"}, [["published_step2", "published_step3"]]),
        (None, []),
    ],
)
def test_checkpoints_of_one_training_that_have_equal_weights(weights, equal: list[list[str]]):
    """A control may well end with the weights of the original training."""
    assert (
        record.equal_checkpoints({"plan": {"start_step": 1}, "fingerprints": {"evaluated_weights": weights}}) == equal
    )


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/h/me/t.txt", "~/t.txt"),
        ("/h/me", "~"),
        ("/x/h/me/t.txt", "/x/h/me/t.txt"),
        ("/h/me/h/me/t.txt", "~/h/me/t.txt"),
        ("/h/me2/t.txt", "/h/me2/t.txt"),
        ("x/h/me/t.txt", "x/h/me/t.txt"),
    ],
)
def test_only_the_beginning_of_a_path_is_shortened(path: str, kept: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/h/me")
    assert record.without_home({"data": [path]}) == {"data": [kept]}
    assert Path(kept).expanduser() == Path(path)


def test_settings_stored_with_all_digits_are_those_with_twelve():
    assert (
        record.differences({"intervention": {"probability": 0.1 + 0.2}}, {"intervention": {"probability": 0.3}}) == []
    )
    assert len(record.differences({"train": {"learning_rate": 1e-4}}, {"train": {"learning_rate": 1.0001e-4}})) == 1


def test_a_path_is_known_by_what_was_read_there_but_a_folder_of_a_suites_models_by_itself():
    """Of a suite the weights differ by seed and variant, which are settings of their own."""
    prints = {"base_weights": "5e1f"}
    assert record.by_content({"model.kind": "folder", "model.path": "/a"}, prints)["model.path"] == "5e1f"
    assert record.by_content({"model.kind": "suite", "model.path": "/a"}, prints)["model.path"] == "/a"
