"""Curves: every step once."""

import json
from pathlib import Path

import pytest

from bias_intervene.settings import TrackingSettings
from bias_intervene.training.metrics import Metrics


def tracking(name: str) -> TrackingSettings:
    return TrackingSettings(name=name, project="p", mode="offline")


def test_steps_lost_with_a_process_are_dropped(tmp_path: Path):
    first = Metrics(tmp_path, tracking=tracking("none"), first_step=0, run_name="r")
    for step in range(5):
        first.log({"step": step, "loss": 1.0})
    first.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')
    again = Metrics(tmp_path, tracking=tracking("none"), first_step=3, run_name="r")
    again.log({"step": 3, "loss": 2.0})
    again.close()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["loss"]) for line in lines] == [(0, 1.0), (1, 1.0), (2, 1.0), (3, 2.0)]


def test_tensorboard_gets_the_curve(tmp_path: Path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    metrics = Metrics(tmp_path, tracking=tracking("tensorboard"), first_step=0, run_name="r")
    metrics.log({"step": 7, "loss": 1.5})
    metrics.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [(7, 1.5)]


def test_wandb_works_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    metrics = Metrics(tmp_path, tracking=tracking("wandb"), first_step=0, run_name="r")
    metrics.log({"step": 1, "loss": 1.5})
    metrics.close()
    assert list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
