"""Which machine this is, and how the others hear of the first; then a run on two of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bias_intervene.errors import PlanError, StageError
from bias_intervene.record import read_json, sha256_of_file, write_json
from bias_intervene.run import nodes
from bias_intervene.run.nodes import ALONE, MEETING, Meeting, Node, leading, this_node, wait_for_call
from tests.conftest import NO_BENCHMARKS, TINY, run

SLURM = {
    "SLURM_NODEID": "1", "SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NUM_TASKS": "2", "SLURM_JOB_ID": "7",
    "SLURM_STEP_ID": "0", "SLURMD_NODENAME": "gpu2",
}  # fmt: skip
TORCHRUN = {
    "RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "gpu1", "MASTER_PORT": "29500",
}  # fmt: skip


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


def test_an_earlier_attempt_is_not_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_json(tmp_path / MEETING, {"token": "old", "state": "train", "address": "gpu9", "port": 1})
    fresh = {"token": "t", "state": "train", "address": "gpu1", "port": 2}
    monkeypatch.setattr(nodes.time, "sleep", lambda _: write_json(tmp_path / MEETING, fresh))
    assert wait_for_call(tmp_path, SECOND) == Meeting("gpu1", 2)


def test_one_machine_leaves_no_file(tmp_path: Path):
    with leading(tmp_path, ALONE) as leader:
        assert leader.call_to_train() is None
    assert list(tmp_path.iterdir()) == []


# --- two process groups on one machine, standing for two machines ----------------------------------------------

QUICK = (*TINY, *NO_BENCHMARKS)


def two_machines(folder: Path, cache: Path, environments: list[dict[str, str]], *words: str) -> list[int]:
    """Exit statuses of two controllers."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "bias_intervene", *QUICK, "train.num_nodes=2", "train.micro_batch_rows=2",
             f"hydra.run.dir={folder}", *words],
            cwd=folder.parent,
            env={**os.environ, "BIAS_INTERVENE_CACHE": str(cache), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for environment in environments
    ]  # fmt: skip
    outputs = [process.communicate(timeout=300)[0].decode() for process in processes]
    print("\n".join(outputs)[-5000:])
    return [process.returncode for process in processes]


def slurm(number: int) -> dict[str, str]:
    return SLURM | {"SLURM_NODEID": str(number), "SLURMD_NODENAME": "localhost"}


def torchrun(number: int) -> dict[str, str]:
    return TORCHRUN | {"RANK": str(number), "MASTER_ADDR": "localhost"}


@pytest.mark.slow
def test_two_machines_train_as_two_ranks_of_one(tmp_path: Path, cache: Path):
    one = tmp_path / "one"
    run(*QUICK, "train.num_processes=2", "train.micro_batch_rows=2", f"hydra.run.dir={one}", cwd=tmp_path, cache=cache)
    for name, machine in (("slurm", slurm), ("torchrun", torchrun)):
        two = tmp_path / name
        assert two_machines(two, cache, [machine(1), machine(0)], f"train.rendezvous={name}") == [0, 0]
        weights = "training/checkpoints/step20/model.safetensors"
        assert sha256_of_file(two / weights) == sha256_of_file(one / weights)
        assert json.loads((two / "audit.json").read_text()) == json.loads((one / "audit.json").read_text())
        assert (two / "record.json").is_file()


@pytest.mark.slow
def test_a_failure_of_the_first_ends_the_second(tmp_path: Path, cache: Path):
    words = ("train.rendezvous=slurm", "intervention.possessives=absent.json")
    assert two_machines(tmp_path / "run", cache, [slurm(0), slurm(1)], *words) == [1, 1]


@pytest.mark.slow
def test_machines_without_a_common_directory_are_refused(tmp_path: Path, cache: Path):
    done = run(
        *QUICK, "train.num_nodes=2", "train.rendezvous=slurm", "train.micro_batch_rows=2", cwd=tmp_path, cache=cache,
        check=1, **slurm(0),
    )  # fmt: skip
    assert "give hydra.run.dir=" in done.stderr
