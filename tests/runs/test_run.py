"""Whole runs: ranks, engines, refusals, other data."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from bias_intervene.interventions.possessive import Possessives
from bias_intervene.record import sha256_of_file
from tests.conftest import NO_BENCHMARKS, TINY, curve
from tests.helpers.forked import run_forked
from tests.helpers.whole_runs import NOTHING_SCORED, QUICK, arm

pytestmark = pytest.mark.slow


def test_two_ranks_equal_one_rank_with_doubled_micro_batch(sweep: Path, two_ranks: Path):
    one, two = arm(sweep, "masculine_to_feminine"), two_ranks
    curves = [[line["loss"] for line in curve(folder)] for folder in (one, two)]
    assert len(curves[0]) == 10
    assert curves[0] == pytest.approx(curves[1], abs=1e-4)
    audits = [json.loads((folder / "audit.json").read_text()) for folder in (one, two)]
    assert audits[0] == audits[1]
    samples = [(folder / "audit_samples.jsonl").read_text() for folder in (one, two)]
    assert samples[0] == samples[1]


@pytest.mark.parametrize(
    "overrides",
    [
        ("train.zero_stage=0",), ("train.zero_stage=2", "train.num_processes=2", "train.micro_batch_rows=1"),
        ("train.zero_stage=3", "train.num_processes=2", "train.micro_batch_rows=2"),
        ("train.precision=bf16",), ("train.activation_checkpointing=true", "train.optimizer_warmup_steps=3"),
        ("train.profile=fast", "train.activation_checkpointing=true"),
    ],
    ids=["zero0", "zero2", "zero3", "bf16", "recompute", "fast"],
)  # fmt: skip
def test_engines_agree(tmp_path: Path, cache: Path, sweep: Path, overrides: tuple[str, ...]):
    # Of the two that take two ranks, the one whose weights are spread over them is scored too.
    words = NOTHING_SCORED if "train.zero_stage=2" in overrides else QUICK
    run_forked(*words, *overrides, f"hydra.run.dir={tmp_path / 'run'}", cwd=tmp_path, cache=cache)
    reference = [line["loss"] for line in curve(arm(sweep, "masculine_to_feminine"))]
    found = [line["loss"] for line in curve(tmp_path / "run") if line["step"] >= 10]
    # bf16 rounds the forward pass; warmed-up moments take other steps; the first loss sees the same fp32 weights.
    tolerance = 0.02 if "train.precision=bf16" in overrides else 1e-4
    assert found[0] == pytest.approx(reference[0], abs=tolerance)
    if "train.optimizer_warmup_steps=3" not in overrides:
        assert found == pytest.approx(reference, abs=tolerance * 5)


@pytest.mark.parametrize("stage", [1, 3])
def test_bf16_keeps_the_checkpoints_own_fp32_weights(tmp_path: Path, cache: Path, stage: int):
    """A rate too small to move a weight must give back the very weights of the base, not their bf16 rounding."""
    folder = tmp_path / "run"
    run_forked(
        *NOTHING_SCORED, "train.precision=bf16", f"train.zero_stage={stage}", "train.schedule=constant",
        "train.learning_rate=1.0e-30", "train.weight_decay=0.0", f"hydra.run.dir={folder}", cwd=tmp_path, cache=cache,
    )  # fmt: skip
    base = Path(json.loads((folder / "inputs.json").read_text())["base"])
    before, after = (load_file(p / "model.safetensors") for p in (base, folder / "training/checkpoints/step20"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_full_disk_is_said_and_leaves_earlier_checkpoints_whole(tmp_path: Path, cache: Path, sweep: Path):
    """On a tmpfs with room for some checkpoints: 300 kB each."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        folder = small / "run"
        words = (*NOTHING_SCORED, "train.save_interval=1", f"hydra.run.dir={folder}")
        done = run_forked(*words, cwd=tmp_path, cache=cache, check=1)
        assert "No space left on device" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        saved = sorted(folder.glob("training/checkpoints/step*"))
        assert 0 < len(saved) < 10
        for checkpoint in saved:
            for name, digest in json.loads((checkpoint / "manifest.json").read_text())["files"].items():
                assert sha256_of_file(checkpoint / name) == digest
        subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
        run_forked(*words, cwd=tmp_path, cache=cache)
        weights = "training/checkpoints/step20/model.safetensors"
        assert sha256_of_file(folder / weights) == sha256_of_file(arm(sweep, "masculine_to_feminine") / weights)
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_loss_that_is_no_number_stops_before_the_update(tmp_path: Path, cache: Path, sweep: Path):
    broken = tmp_path / "broken"
    shutil.copytree(arm(sweep, "none") / "training" / "checkpoints" / "step20", broken)
    weights = load_file(broken / "model.safetensors")
    next(iter(weights.values()))[0] = float("nan")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    (broken / "manifest.json").unlink()  # Otherwise the altered weights themselves are refused.
    (tmp_path / "prose.txt").write_text("The visitor said that he was late. His coat was wet. " * 60)
    folder = tmp_path / "run"
    done = run_forked(
        "model=local", f"model.path={broken}", f"data.path={tmp_path / 'prose.txt'}", "data.heldout_rows=2",
        "train.num_steps=2", "train.sequence_length=32", "train.global_batch_rows=4", "train.micro_batch_rows=1",
        "train.num_processes=2", *NO_BENCHMARKS,
        "evals.pronouns.enabled=false", f"hydra.run.dir={folder}", cwd=tmp_path, cache=cache, check=1,
    )  # fmt: skip
    assert "step 0: the loss is nan; stopped before the update. Rows of this step on rank" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(folder.glob("training/checkpoints/step*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=7b"], "model=7b: no such option"),
        (["intervention.fractoin=1", "+train.lr=3"], "2 settings are wrong"),
        (["intervention.fraction=2"], "intervention.fraction: found 2"),
        (["train.micro_batch_rows=3"], "micro_batch_rows may be 1, 2, 4"),
        (["model=70m", "intervention.fraction=0"], "cannot be fetched from the hub"),
        (["model=70m", "data.source=/nowhere"], "no .bin in /nowhere"),
        (["model=70m", "data=indexed", "data.path=/nowhere"], "no .bin in /nowhere"),
        (["model=local", "model.path=/nowhere", "data.path=x", "train.num_steps=1"], "no folder /nowhere"),
        (["evals.crows_pairs.path=absent.csv"], "absent.csv"),
        (["tracking=wandb", "tracking.mode=somewhere"], "tracking.mode: found 'somewhere'"),
    ],
)  # fmt: skip
def test_bad_input_is_a_message_and_leaves_nothing(tmp_path: Path, cache: Path, words: list[str], message: str):
    folder = tmp_path / "run"
    given = words if any(w.startswith("model=") for w in words) else [*TINY, *words]
    if "train.micro_batch_rows=3" in words:
        given = [w for w in TINY if "micro" not in w] + words
    done = run_forked(*given, f"hydra.run.dir={folder}", cwd=tmp_path, cache=cache, check=1)
    assert any(part in done.stderr for part in message.split("|")), done.stderr
    assert "Traceback" not in done.stderr
    left = {p.name for p in folder.rglob("*")} if folder.exists() else set()
    assert left <= {"bias_intervene.log"}


def test_evaluation_only(tmp_path: Path, cache: Path):
    folder = tmp_path / "run"
    run_forked(*TINY, "intervention.fraction=0", f"hydra.run.dir={folder}", cwd=tmp_path, cache=cache)
    record = json.loads((folder / "record.json").read_text())
    assert {m["step"] for m in record["results"]["metrics"]} == {20}
    assert not (folder / "training").exists()


def test_a_local_checkpoint_on_text_of_ones_own(tmp_path: Path, cache: Path, sweep: Path):
    prose = "The visitor said that he was late. His coat was wet, and the rain did not stop. " * 60
    (tmp_path / "prose.txt").write_text(prose)
    checkpoint = arm(sweep, "none") / "training" / "checkpoints" / "step20"
    tables = arm(sweep, "masculine_to_feminine") / "possessives.json"
    folder = tmp_path / "run"
    run_forked(
        "model=local", f"model.path={checkpoint}", f"data.path={tmp_path / 'prose.txt'}", "data.heldout_rows=2",
        f"intervention.possessives={tables}", "intervention.length=shift", "train.num_steps=2",
        "train.sequence_length=32", "train.global_batch_rows=2", "train.micro_batch_rows=1",
        *NO_BENCHMARKS, f"hydra.run.dir={folder}",
        cwd=tmp_path, cache=cache,
    )  # fmt: skip
    record = json.loads((folder / "record.json").read_text())
    assert record["audit"]["swaps"].keys() == {"he -> she", "his -> her"}
    assert record["audit"]["possessives"]["fingerprint"] == Possessives.load(tables).fingerprint
    assert {m["step"] for m in record["results"]["metrics"]} == {0, 2}
    assert [m for m in record["results"]["metrics"] if m["protocol"] == "heldout"]


def test_absent_tables_are_named(tmp_path: Path, cache: Path):
    done = run_forked(*QUICK, "intervention.possessives=absent.json", cwd=tmp_path, cache=cache, check=1)
    assert "absent.json is no possessives.json of a run" in done.stdout + done.stderr
    assert "allowed: fit, words, or the path of one" in " ".join((done.stdout + done.stderr).split())


def test_an_intervention_that_finds_nothing_says_so(tmp_path: Path, cache: Path, sweep: Path):
    (tmp_path / "prose.txt").write_text("The lamp was old, and the rain did not stop. " * 60)
    checkpoint = arm(sweep, "none") / "training" / "checkpoints" / "step20"
    done = run_forked(
        "model=local", f"model.path={checkpoint}", f"data.path={tmp_path / 'prose.txt'}", "data.heldout_rows=2",
        "train.num_steps=1", "train.sequence_length=32", "train.global_batch_rows=2", "train.micro_batch_rows=1",
        *NO_BENCHMARKS, "evals.pronouns.enabled=false",
        f"hydra.run.dir={tmp_path / 'run'}", cwd=tmp_path, cache=cache,
    )  # fmt: skip
    assert "0 of 2 rows changed" in done.stdout + done.stderr
    assert "0 of 2 rows changed" in json.loads((tmp_path / "run" / "record.json").read_text())["audit"]["warning"]
