"""Trackers get the curves, the evaluations and the audit, as one run."""

import json
from pathlib import Path

import pytest

from bias_intervene.record.tracking import Tracker, log_audit, log_results, open_tracker
from bias_intervene.settings import TrackingSettings

ROWS = [
    {
        "step": step,
        "benchmark": "winobias",
        "protocol": "sentence",
        "subset": "all",
        "metric": "accuracy",
        "value": value,
    }
    for step, value in ((10, 0.5), (20, 0.75))
]
AUDIT = {"num_swaps": 3, "rows": 4, "rows_changed": 2, "dose": None, "swaps": {"he -> she": 3}, "skipped": {"code": 1}}


def tracking(name: str) -> TrackingSettings:
    return TrackingSettings(name=name, project="p", mode="offline")


def told(tracker: Tracker) -> None:
    """The training's process, then the evaluation's."""
    tracker.log(19, {"train/loss": 1.5})
    log_results(tracker, ROWS)
    log_audit(tracker, AUDIT, step=20)
    tracker.close()


def test_tensorboard(tmp_path: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    told(open_tracker(tmp_path, tracking("tensorboard")))
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    found = {name: [(event.step, event.value) for event in events.Scalars(name)] for name in events.Tags()["scalars"]}
    assert found == {
        "train/loss": [(19, 1.5)],
        "eval/winobias/sentence/all/accuracy": [(10, 0.5), (20, 0.75)],
        "audit/num_swaps": [(20, 3)], "audit/rows": [(20, 4)], "audit/rows_changed": [(20, 2)],
        "audit/swaps/he -> she": [(20, 3)], "audit/skipped/code": [(20, 1)],
    }  # fmt: skip


def test_wandb_offline_is_one_run_over_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    told(open_tracker(tmp_path, tracking("wandb")))
    told(open_tracker(tmp_path, tracking("wandb")))
    name = json.loads((tmp_path / "wandb" / "run.json").read_text())["id"]
    # The id is in the log's name; a folder's begins with the second, and ends with a count within one.
    paths = list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
    assert [path.name for path in paths] == [f"run-{name}.wandb"] * 2
    # In blocks of 32 KiB: a name may be cut by the end of one.
    logs = b"".join(path.read_bytes() for path in paths)
    assert b"eval/winobias/sentence/all/accuracy" in logs


def test_no_environment_variable_reaches_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    secrets = {
        "SLURM_JWT": "eyJhbGci",
        "SLURM_COMMENT": "note-1",
        "HF_TOKEN": "hf_abc",
        "WANDB_API_KEY": "a1" * 20,
    }
    for name, value in ({"WANDB_SILENT": "true"} | secrets).items():
        monkeypatch.setenv(name, value)
    told(open_tracker(tmp_path, tracking("wandb")))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" for path in files)
    content = b"".join(path.read_bytes() for path in files)
    assert [name for name, value in secrets.items() if value.encode() in content] == []


def test_a_value_that_is_not_finite_is_left_out(tmp_path: Path):
    logged: list[dict] = []

    class Recording:
        def log(self, step: int, values: dict) -> None:
            logged.append(values)

        def close(self) -> None: ...

    log_results(Recording(), [ROWS[0] | {"value": None}, ROWS[0] | {"metric": "other"}])
    assert logged == [{"eval/winobias/sentence/all/other": 0.5}]


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(Exception, match=r"tracking=wandb: the package is not installed; run `pip install"):
        open_tracker(tmp_path, tracking("wandb"))
