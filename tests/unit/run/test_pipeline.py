"""What the stages are given; whole runs are in test_run."""

from pathlib import Path
from typing import Any

import pytest

from bias_intervene.run import launch, pipeline
from tests.conftest import composed


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What stages are started with."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(pipeline.launch, "run_stage", lambda stage, _, **options: calls.append(options))
    return calls


@pytest.mark.parametrize("stage", ["prepare", "train", "evaluate"])
def test_every_stage_keeps_to_its_threads(stage: str, tmp_path: Path, started: list[dict[str, Any]]):
    """Two jobs on one machine share its cores in the evaluation too."""
    pipeline._run_stage(stage, tmp_path, train=composed("experiment=demo", "train.num_threads=3").train)
    assert [options["num_threads"] for options in started] == [3]


def test_cores_are_shared_by_ranks_and_by_runs_side_by_side(
    tmp_path: Path, started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(launch.os, "sched_getaffinity", lambda _: set(range(16)))
    train = composed("experiment=demo", "train.num_processes=2", "train.micro_batch_rows=8").train
    for runs_at_once in ("1", "4"):
        monkeypatch.setenv(launch.RUNS_AT_ONCE, runs_at_once)
        for stage in ("prepare", "train", "evaluate"):
            pipeline._run_stage(stage, tmp_path, train=train)
    assert [options["num_threads"] for options in started] == [16, 8, 8, 4, 2, 2]
