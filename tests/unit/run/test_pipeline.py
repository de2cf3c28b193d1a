"""What the stages are given; whole runs are in test_run."""

from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bias_intervene.run import launch, pipeline
from bias_intervene.run.nodes import ALONE, Node
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


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (ALONE, [("prepare", None), ("train", "train waits"), ("evaluate", "evaluate waits")]),
        (Node(0, 2, "t", "gpu1"), [("prepare", None), ("train", None), ("evaluate", None)]),
    ],
)
def test_each_stage_gets_the_process_that_was_started_early_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, node: Node, expected: list[tuple[str, str | None]]
):
    """On several machines none is: where they meet is known only when the training begins."""

    @contextmanager
    def waiting(stage: str, _: Path, **__: object):
        yield f"{stage} waits"

    given: list[tuple[str, object]] = []
    monkeypatch.setattr(pipeline.launch, "started_early", waiting)
    monkeypatch.setattr(pipeline.launch, "run_stage", lambda stage, _, early, **__: given.append((stage, early)))
    train = composed("experiment=demo").train
    with pipeline._started_early(tmp_path, ["train", "evaluate"], train=train, node=node) as early:
        for stage in ("prepare", "train", "evaluate"):
            pipeline._run_stage(stage, tmp_path, train=train, early=early.get(stage))
    assert given == expected
