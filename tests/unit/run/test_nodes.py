"""Which machine this is, and how the others hear of the first. A run on two: tests/runs/test_two_machines.py."""

import signal
from pathlib import Path

import pytest

from bias_intervene.errors import PlanError, StageError, StageStopped
from bias_intervene.record import read_json, write_json
from bias_intervene.run import nodes
from bias_intervene.run.nodes import ALONE, MEETING, Meeting, Node, leading, this_node, wait_for_call
from bias_intervene.run.protocol import StopSignal
from tests.helpers.machines import SLURM, TORCHRUN


def test_a_machine_knows_its_number():
    assert this_node("none", 1, {}) == ALONE
    assert this_node("slurm", 2, SLURM) == Node(1, 2, "slurm.7.0.0", "gpu2")
    assert this_node("slurm", 2, SLURM | {"SLURM_RESTART_COUNT": "3"}).token == "slurm.7.0.3"
    assert this_node("torchrun", 2, TORCHRUN) == Node(1, 2, "torchrun.gpu1.29500.0.0", "gpu1")


@pytest.mark.parametrize(
    ("rendezvous", "count", "environment", "message"),
    [
        ("slurm", 2, {}, r"SLURM_NODEID is not set: start one process a machine by srun"),
        ("slurm", 4, SLURM, r"train\.num_nodes=4: slurm started 2 machines"),
        ("slurm", 2, SLURM | {"SLURM_STEP_NUM_TASKS": "16"}, r"16 tasks on 2 machines; use srun --ntasks-per-node=1"),
        ("torchrun", 2, TORCHRUN | {"LOCAL_WORLD_SIZE": "8"}, r"--nproc-per-node 1"),
    ],
)
def test_machines_started_otherwise_are_refused(rendezvous: str, count: int, environment, message: str):
    with pytest.raises(PlanError, match=message):
        this_node(rendezvous, count, environment)


FIRST, SECOND = Node(0, 2, "t", "gpu1"), Node(1, 2, "t", "gpu2")


def test_the_first_calls_and_lets_go(tmp_path: Path):
    with leading(tmp_path, FIRST) as leader:
        assert read_json(tmp_path / MEETING)["state"] == "wait"
        meeting = leader.call_to_train()
        assert wait_for_call(tmp_path, SECOND) == meeting
        assert meeting is not None
        assert (meeting.address, meeting.port > 0) == ("gpu1", True)
    assert wait_for_call(tmp_path, SECOND) is None


def test_what_went_wrong_on_the_first_is_told(tmp_path: Path):
    with pytest.raises(StageError, match="no such corpus"), leading(tmp_path, FIRST):
        raise StageError("no such corpus")
    with pytest.raises(StageError, match="on the first machine: no such corpus"):
        wait_for_call(tmp_path, SECOND)


def test_where_the_first_was_stopped_the_others_are_too(tmp_path: Path):
    for stopped in (StageStopped("saved"), StopSignal(signal.SIGTERM)):
        with pytest.raises(type(stopped)), leading(tmp_path, FIRST):
            raise stopped
        with pytest.raises(StageStopped, match="on the first machine: "):
            wait_for_call(tmp_path, SECOND)


def test_an_earlier_attempt_is_not_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_json(tmp_path / MEETING, {"token": "old", "state": "train", "address": "gpu9", "port": 1})
    fresh = {"token": "t", "state": "train", "address": "gpu1", "port": 2}
    monkeypatch.setattr(nodes.time, "sleep", lambda _: write_json(tmp_path / MEETING, fresh))
    assert wait_for_call(tmp_path, SECOND) == Meeting("gpu1", 2)


def test_one_machine_leaves_no_file(tmp_path: Path):
    with leading(tmp_path, ALONE) as leader:
        assert leader.call_to_train() is None
    assert list(tmp_path.iterdir()) == []
