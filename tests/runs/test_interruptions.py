"""Whole runs in processes of their own: kills, signals, resumes, damage."""

import contextlib
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
from tests.conftest import curve
from tests.helpers.forked import run_forked
from tests.helpers.whole_runs import NOTHING_SCORED, QUICK

pytestmark = pytest.mark.slow


def start(folder: Path, cache: Path, *words: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "bias_intervene", *words, f"hydra.run.dir={folder}"],
        cwd=folder.parent,
        env={**os.environ, "BIAS_INTERVENE_CACHE": str(cache)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


STEPS = (
    "model.total_steps=400",
    "model.checkpoint_interval=100",
    "model.default_fraction=0.75",
    "train.save_interval=7",
)
"""300 steps: long enough to be killed in the middle."""
LONG = (*QUICK, *STEPS)
UNSCORED = (*NOTHING_SCORED, *STEPS)
"""For tests of the training alone."""
TWO_RANKS = (*UNSCORED, "train.num_processes=2", "train.micro_batch_rows=2")


def wait_for_steps(folder: Path, count: int) -> None:
    path = folder / "training" / "metrics.jsonl"
    deadline = time.time() + 240
    while time.time() < deadline:
        if path.is_file() and len(path.read_text().splitlines()) >= count:
            return
        time.sleep(0.02)
    raise AssertionError(f"{path} never reached {count} lines")


def end(processes: list[psutil.Process]) -> None:
    """kill -9 of those that are left."""
    for victim in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    run_forked(*LONG, f"hydra.run.dir={folder}", cwd=folder.parent, cache=cache)
    return folder


@pytest.fixture(scope="module")
def uninterrupted_two_ranks(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    run_forked(*TWO_RANKS, f"hydra.run.dir={folder}", cwd=folder.parent, cache=cache)
    return folder


def same_training(one: Path, other: Path) -> None:
    name = "training/checkpoints/step400/model.safetensors"
    assert sha256_of_file(one / name) == sha256_of_file(other / name)
    for file in ("audit.json", "audit_samples.jsonl"):
        assert (one / file).read_text() == (other / file).read_text()
    steps = [[(line["step"], line["loss"]) for line in curve(folder)] for folder in (one, other)]
    assert steps[0] == steps[1]


def same_results(one: Path, other: Path) -> None:
    found = [json.loads((folder / "results.json").read_text()) for folder in (one, other)]
    assert found[0] == found[1]
    assert {row["step"] for row in found[0]["metrics"]} == {100, 400}


def test_killed_at_ten_random_moments_ends_the_same(tmp_path: Path, cache: Path, uninterrupted_two_ranks: Path):
    """kill -9 of a rank, or of the controller, while starting, training or saving; two ranks, ZeRO 1."""
    folder = tmp_path / "run"
    draw = random.Random(11)
    kills = 0
    for number in range(10):
        process = start(folder, cache, *TWO_RANKS)
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
        run_forked(*TWO_RANKS, f"hydra.run.dir={folder}", cwd=tmp_path, cache=cache)
    same_training(folder, uninterrupted_two_ranks)


@pytest.mark.parametrize(("ranks", "stage"), [(1, 0), (1, 1), (1, 2), (2, 0), (2, 2)])
def test_resumed_is_bitwise_the_same_at_every_stage(
    tmp_path: Path, cache: Path, uninterrupted: Path, uninterrupted_two_ranks: Path, ranks: int, stage: int
):
    """One rank: the controller is killed, and its rank ends with it. Two: all are killed at once.

    ZeRO 1 and 2 do the same arithmetic and differ in who keeps a gradient, so one uninterrupted run is the reference
    of both. ZeRO 1 with two ranks: the ten kills above.
    """
    words = (
        *UNSCORED, f"train.zero_stage={stage}", f"train.num_processes={ranks}", f"train.micro_batch_rows={4 // ranks}"
    )  # fmt: skip
    whole, resumed = uninterrupted if ranks == 1 else uninterrupted_two_ranks, tmp_path / "resumed"
    if stage == 0:
        whole = tmp_path / "whole"
        run_forked(*words, f"hydra.run.dir={whole}", cwd=tmp_path, cache=cache)
    process = start(resumed, cache, *words)
    wait_for_steps(resumed, 40)
    below = psutil.Process(process.pid).children(recursive=True)
    assert below
    process.kill()
    if ranks > 1:
        end(below)
    process.wait()
    _, alive = psutil.wait_procs(below, timeout=60)
    assert alive == []
    run_forked(*words, f"hydra.run.dir={resumed}", cwd=tmp_path, cache=cache)
    assert json.loads((resumed / "training/summary.json").read_text())["steps_this_process"] < 300
    same_training(resumed, whole)


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
    run_forked(*LONG, f"hydra.run.dir={folder}", cwd=tmp_path, cache=cache)
    assert json.loads((folder / "training/summary.json").read_text())["steps_this_process"] == 0
    same_training(folder, uninterrupted)
    same_results(folder, uninterrupted)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A run that SIGTERM stopped. It keeps two resumable checkpoints; a test works on a copy."""
    return stopped_by(signal.SIGTERM, tmp_path_factory.mktemp("stopped") / "run", cache, *LONG, *TWO_KEPT)


TWO_KEPT = ("train.keep_resumable=2",)


def stopped_by(number: int, folder: Path, cache: Path, *words: str) -> Path:
    """A run stopped by a signal after some steps: the folder, with the status and the checkpoint asserted."""
    process = start(folder, cache, *words)
    wait_for_steps(folder, 30)
    process.send_signal(number)
    assert process.wait(timeout=120) == 75
    last = curve(folder)[-1]["step"]
    assert (folder / "training" / "checkpoints" / f"step{last + 1}" / "resume").is_dir()
    return folder


def test_sigterm_saves_and_ends_with_75(tmp_path: Path, cache: Path, stopped: Path, uninterrupted: Path):
    """The checkpoint the signal made is one more than an uninterrupted run has."""
    folder = tmp_path / "run"
    shutil.copytree(stopped, folder)
    run_forked(*LONG, *TWO_KEPT, f"hydra.run.dir={folder}", cwd=tmp_path, cache=cache)
    same_training(folder, uninterrupted)
    same_results(folder, uninterrupted)


def test_a_signal_at_any_moment_of_the_start_ends_with_75(tmp_path: Path, cache: Path):
    """While the controller composes, prepare makes the inputs, train waits: none has a step to save."""
    folder = tmp_path / "run"
    for seconds in (2, 4, 6, 9):
        process = start(folder, cache, *TWO_RANKS)
        time.sleep(seconds)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=120) == 75, seconds


def test_the_ranks_of_a_killed_controller_are_waited_for(tmp_path: Path, cache: Path, uninterrupted_two_ranks: Path):
    folder = tmp_path / "run"
    process = start(folder, cache, *TWO_RANKS)
    wait_for_steps(folder, 20)
    ranks = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    second = start(folder, cache, *TWO_RANKS)
    while any(rank.is_running() and rank.status() != psutil.STATUS_ZOMBIE for rank in ranks):
        with contextlib.suppress(psutil.NoSuchProcess):
            assert psutil.Process(second.pid).children() == []
        time.sleep(0.02)
    assert second.wait(timeout=240) == 0
    same_training(folder, uninterrupted_two_ranks)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR1])
def test_other_signals_do_too(tmp_path: Path, cache: Path, uninterrupted: Path, number: int):
    folder = stopped_by(number, tmp_path / "run", cache, *UNSCORED)
    run_forked(*UNSCORED, f"hydra.run.dir={folder}", cwd=tmp_path, cache=cache)
    same_training(folder, uninterrupted)


def test_an_altered_checkpoint_is_named_and_refused_or_passed_over(
    tmp_path: Path, cache: Path, stopped: Path, uninterrupted: Path
):
    folder = tmp_path / "run"
    shutil.copytree(stopped, folder)
    words = (*LONG, *TWO_KEPT, f"hydra.run.dir={folder}")
    older, newer = sorted(folder.glob("training/checkpoints/step*/resume"), key=lambda p: int(p.parent.name[4:]))
    victim = sorted(newer.rglob("*.pt"))[0]
    victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    done = run_forked(*words, cwd=tmp_path, cache=cache, check=1)
    assert f"{victim.name}: altered since it was saved" in done.stderr
    done = run_forked(*words, "train.on_damaged=previous", cwd=tmp_path, cache=cache)
    assert f"passed over: {victim}" in done.stderr
    same_training(folder, uninterrupted)
    assert not (older.parent / "resume").exists()


def test_another_number_of_ranks_is_refused(tmp_path: Path, cache: Path, uninterrupted: Path):
    """Optimizer states are cut by rank: going on with others would be another run."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("settings.json", "plan.json"):
        shutil.copy(uninterrupted / name, folder / name)
    words = (*LONG, "train.num_processes=2", "train.micro_batch_rows=2", f"hydra.run.dir={folder}")
    done = run_forked(*words, cwd=tmp_path, cache=cache, check=1)
    assert "train.num_processes: 1 -> 2" in done.stderr
