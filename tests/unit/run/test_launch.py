"""Worker processes: what they inherit, what becomes of them."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from bias_intervene.errors import StageError, StageStopped
from bias_intervene.record import write_json
from bias_intervene.run import launch


def staged(monkeypatch: pytest.MonkeyPatch, run_dir: Path, script: str) -> None:
    monkeypatch.setattr(launch, "command", lambda *_, **__: ["sh", "-c", script])
    launch.run_stage("train", run_dir, num_ranks=None, num_threads=1, cpu_only=True)


def test_outcomes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    path = launch.outcome_path(tmp_path, "train")
    staged(monkeypatch, tmp_path, f"""echo '{{"status": "done"}}' > {path}""")
    with pytest.raises(StageError, match="no room"):
        staged(monkeypatch, tmp_path, f"""echo '{{"status": "failed", "message": "no room"}}' > {path}""")
    with pytest.raises(StageStopped, match="saved"):
        staged(monkeypatch, tmp_path, f"""echo '{{"status": "stopped", "message": "saved"}}' > {path}""")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("signals", "ended"),
    [
        ([signal.SIGTERM], False),
        # A preemption, in either order.
        ([signal.SIGTERM, signal.SIGUSR2], False),
        ([signal.SIGUSR2, signal.SIGTERM], False),
        ([signal.SIGTERM, signal.SIGTERM], True),
        ([signal.SIGUSR1, signal.SIGINT, signal.SIGINT], True),
    ],
)
def test_only_an_insistent_signal_ends_what_is_saving(monkeypatch: pytest.MonkeyPatch, signals: list, ended: bool):
    killed: list[object] = []
    passed: list[int] = []
    monkeypatch.setattr(launch, "end_group", killed.append)
    monkeypatch.setattr(launch.os, "kill", lambda _pid, number: passed.append(number))
    process = subprocess.Popen(["true"])
    process.wait()
    forwarding = launch.Forwarding(process, ranks_below=False)
    for number in signals:
        forwarding.forward(number, None)
    assert bool(killed) is ended
    assert passed == signals[:1]
    assert forwarding.received == signals


def test_an_old_outcome_is_not_taken_for_a_new_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    write_json(launch.outcome_path(tmp_path, "train"), {"status": "done"})
    with pytest.raises(StageError, match="ended with status 3 without a word"):
        staged(monkeypatch, tmp_path, "exit 3")


def test_another_launchers_variables_are_not_inherited(monkeypatch: pytest.MonkeyPatch):
    for name in ("RANK", "MASTER_PORT", "TORCHELASTIC_RUN_ID"):
        monkeypatch.setenv(name, "1")
    ours = launch.environment(threads=3, cpu_only=True)
    assert not {"RANK", "MASTER_PORT", "TORCHELASTIC_RUN_ID"} & ours.keys()
    assert (ours["OMP_NUM_THREADS"], ours["DS_ACCELERATOR"], ours["CUDA_VISIBLE_DEVICES"]) == ("3", "cpu", "")
    assert ours["PATH"] == os.environ["PATH"]


def test_ranks_are_started_by_torchs_own_launcher(tmp_path: Path):
    words = launch.command("train", tmp_path, num_ranks=2)
    assert words[1:] == [
        "-m", "bias_intervene.stages.torch_launcher", "--standalone", "--nproc-per-node", "2", "--module",
        "bias_intervene.stages", "train", str(tmp_path),
    ]  # fmt: skip
