"""Whole runs on two machines: two process groups on one stand for them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bias_intervene.record import sha256_of_file
from tests.helpers.forked import run_forked
from tests.helpers.machines import SLURM, TORCHRUN
from tests.helpers.whole_runs import NOTHING_SCORED

pytestmark = pytest.mark.slow


def two_machines(folder: Path, cache: Path, environments: list[dict[str, str]], *words: str) -> list[int]:
    """Exit statuses of two controllers."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "bias_intervene", *NOTHING_SCORED, "train.num_nodes=2", "train.micro_batch_rows=2",
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


def test_two_machines_train_as_two_ranks_of_one(tmp_path: Path, cache: Path, two_ranks: Path):
    for name, machine in (("slurm", slurm), ("torchrun", torchrun)):
        two = tmp_path / name
        assert two_machines(two, cache, [machine(1), machine(0)], f"train.rendezvous={name}") == [0, 0]
        weights = "training/checkpoints/step20/model.safetensors"
        assert sha256_of_file(two / weights) == sha256_of_file(two_ranks / weights)
        assert json.loads((two / "audit.json").read_text()) == json.loads((two_ranks / "audit.json").read_text())
        assert (two / "record.json").is_file()


def test_a_failure_of_the_first_ends_the_second(tmp_path: Path, cache: Path):
    words = ("train.rendezvous=slurm", "intervention.possessives=absent.json")
    assert two_machines(tmp_path / "run", cache, [slurm(0), slurm(1)], *words) == [1, 1]


def test_machines_without_a_common_directory_are_refused(tmp_path: Path, cache: Path):
    words = (*NOTHING_SCORED, "train.num_nodes=2", "train.rendezvous=slurm", "train.micro_batch_rows=2")
    done = run_forked(*words, cwd=tmp_path, cache=cache, check=1, **slurm(0))
    assert "give hydra.run.dir=" in done.stderr
