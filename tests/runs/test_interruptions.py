"""Whole runs in processes of their own: kills, signals, resumes, damage."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bias_intervene.record import sha256_of_file
from tests.conftest import curve, run
from tests.helpers.whole_runs import QUICK

pytestmark = pytest.mark.slow


def start(folder: Path, cache: Path, *words: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "bias_intervene", *QUICK, *words, f"hydra.run.dir={folder}"],
        cwd=folder.parent,
        env={**os.environ, "BIAS_INTERVENE_CACHE": str(cache)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


LONG = (
    "model.total_steps=400",
    "model.checkpoint_interval=100",
    "model.default_fraction=0.75",
    "train.save_interval=7",
)
"""300 steps: long enough to be killed in the middle."""


def wait_for_steps(folder: Path, count: int) -> None:
    path = folder / "training" / "metrics.jsonl"
    deadline = time.time() + 240
    while time.time() < deadline:
        if path.is_file() and len(path.read_text().splitlines()) >= count:
            return
        time.sleep(0.02)
    raise AssertionError(f"{path} never reached {count} lines")


def end(process: psutil.Process) -> None:
    """kill -9 of the controller and everything below it."""
    for victim in [*process.children(recursive=True), process]:
        try:
            victim.kill()
        except psutil.NoSuchProcess:
            continue


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    run(*QUICK, *LONG, f"hydra.run.dir={folder}", cwd=folder.parent, cache=cache)
    return folder


def same_outcome(one: Path, other: Path) -> None:
    name = "training/checkpoints/step400/model.safetensors"
    assert sha256_of_file(one / name) == sha256_of_file(other / name)
    for file in ("results.json", "audit.json", "audit_samples.jsonl"):
        assert (one / file).read_text() == (other / file).read_text()
    steps = [[(line["step"], line["loss"]) for line in curve(folder)] for folder in (one, other)]
    assert steps[0] == steps[1]


def test_killed_at_ten_random_moments_ends_the_same(tmp_path: Path, cache: Path):
    """kill -9 of a rank, or of the controller, while starting, training or saving; two ranks."""
    two = (*LONG, "train.num_processes=2", "train.micro_batch_rows=2")
    reference, folder = tmp_path / "reference", tmp_path / "run"
    run(*QUICK, *two, f"hydra.run.dir={reference}", cwd=tmp_path, cache=cache)
    draw = random.Random(11)
    kills = 0
    for number in range(10):
        process = start(folder, cache, *two)
        controller = psutil.Process(process.pid)
        if number % 2:
            time.sleep(draw.uniform(0.5, 14))
        else:
            wait_for_steps(folder, 28 * (number // 2 + 1) + draw.randrange(28))
        below = controller.children(recursive=True)
        ranks = [child for child in below if child.ppid() != controller.pid]
        (draw.choice(ranks) if ranks and draw.random() < 0.7 else controller).kill()
        if process.wait(timeout=120) == 0:  # The rank had done its work, on a machine that is fast today.
            break
        kills += 1
        _, alive = psutil.wait_procs(below, timeout=60)
        assert alive == []
        assert not (folder / "record.json").exists()
    assert kills >= 5
    if not (folder / "record.json").exists():
        run(*QUICK, *two, f"hydra.run.dir={folder}", cwd=tmp_path, cache=cache)
    same_outcome(folder, reference)


@pytest.mark.parametrize(("ranks", "stage"), [(1, 0), (1, 1), (1, 2), (2, 0), (2, 2)])
def test_resumed_is_bitwise_the_same_at_every_stage(tmp_path: Path, cache: Path, ranks: int, stage: int):
    """ZeRO 1 with two ranks: the ten kills above."""
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    words = (
        *LONG, "evals.pronouns.enabled=false", f"train.zero_stage={stage}", f"train.num_processes={ranks}",
        f"train.micro_batch_rows={4 // ranks}",
    )  # fmt: skip
    run(*QUICK, *words, f"hydra.run.dir={whole}", cwd=tmp_path, cache=cache)
    process = start(resumed, cache, *words)
    wait_for_steps(resumed, 40)
    end(psutil.Process(process.pid))
    process.wait()
    run(*QUICK, *words, f"hydra.run.dir={resumed}", cwd=tmp_path, cache=cache)
    assert json.loads((resumed / "training/summary.json").read_text())["steps_this_process"] < 300
    same_outcome(resumed, whole)


def test_nothing_is_trained_again_after_the_last_checkpoint(tmp_path: Path, cache: Path, uninterrupted: Path):
    """As if killed between the last checkpoint and the summary."""
    folder = tmp_path / "run"
    shutil.copytree(uninterrupted, folder)
    for name in (
        "record.json",
        "results.json",
        "training/summary.json",
        "audit.json",
        "audit_samples.jsonl",
        "audit.html",
    ):
        (folder / name).unlink()
    run(*QUICK, *LONG, f"hydra.run.dir={folder}", cwd=tmp_path, cache=cache)
    assert json.loads((folder / "training/summary.json").read_text())["steps_this_process"] == 0
    same_outcome(folder, uninterrupted)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_saves_and_ends_with_75(tmp_path: Path, cache: Path, uninterrupted: Path, number: int):
    folder = tmp_path / "run"
    process = start(folder, cache, *LONG)
    wait_for_steps(folder, 30)
    process.send_signal(number)
    assert process.wait(timeout=120) == 75
    last = curve(folder)[-1]["step"]
    assert (folder / "training" / "checkpoints" / f"step{last + 1}" / "resume").is_dir()
    run(*QUICK, *LONG, f"hydra.run.dir={folder}", cwd=tmp_path, cache=cache)
    # The checkpoint the signal made is one more than an uninterrupted run has.
    same_outcome(folder, uninterrupted)


def test_ranks_end_with_a_killed_controller(tmp_path: Path, cache: Path, uninterrupted: Path):
    folder = tmp_path / "run"
    process = start(folder, cache, *LONG)
    wait_for_steps(folder, 10)
    below = psutil.Process(process.pid).children(recursive=True)
    assert below
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(below, timeout=60)
    assert alive == []


def test_an_altered_checkpoint_is_named_and_refused_or_passed_over(tmp_path: Path, cache: Path, uninterrupted: Path):
    folder = tmp_path / "run"
    process = start(folder, cache, *LONG, "train.keep_resumable=2")
    wait_for_steps(folder, 20)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=120)
    older, newer = sorted(folder.glob("training/checkpoints/step*/resume"), key=lambda p: int(p.parent.name[4:]))
    victim = sorted(newer.rglob("*.pt"))[0]
    victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    done = run(*QUICK, *LONG, f"hydra.run.dir={folder}", cwd=tmp_path, cache=cache, check=1)
    assert f"{victim.name}: altered since it was saved" in done.stderr
    done = run(*QUICK, *LONG, "train.on_damaged=previous", f"hydra.run.dir={folder}", cwd=tmp_path, cache=cache)
    assert f"passed over: {victim}" in done.stderr
    same_outcome(folder, uninterrupted)
    assert not (older.parent / "resume").exists()


def test_another_number_of_ranks_is_refused(tmp_path: Path, cache: Path, uninterrupted: Path):
    """Optimizer states are cut by rank: going on with others would be another run."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("settings.json", "plan.json"):
        shutil.copy(uninterrupted / name, folder / name)
    done = run(
        *QUICK, *LONG, "train.num_processes=2", "train.micro_batch_rows=2", f"hydra.run.dir={folder}", cwd=tmp_path,
        cache=cache, check=1,
    )  # fmt: skip
    assert "train.num_processes: 1 -> 2" in done.stderr
