"""Whole runs in processes of their own, as a user starts them: two arms, ranks, signals, kills, refusals."""

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
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from bias_intervene.interventions.possessive import Possessives
from bias_intervene.record import sha256_of_file
from tests.conftest import NO_BENCHMARKS, TINY, curve, run

pytestmark = pytest.mark.processes

QUICK = (*TINY, *NO_BENCHMARKS)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """Control and intervention of the tiny demo."""
    folder = tmp_path_factory.mktemp("sweep")
    run(
        "-m", "intervention=none,masculine_to_feminine", *TINY, f"hydra.sweep.dir={folder / 'both'}",
        cwd=folder, cache=cache,
    )  # fmt: skip
    return folder / "both"


def arm(sweep: Path, name: str) -> Path:
    (found,) = [p.parent for p in sweep.glob("*/settings.json") if f"intervention-{name}_" in p.parent.name]
    return found


def test_a_run_directory_holds_what_the_readme_says(sweep: Path):
    folder = arm(sweep, "masculine_to_feminine")
    expected = (
        ".hydra/config.yaml", "settings.json", "plan.json", "environment.json", "inputs.json", "audit.json",
        "audit_samples.jsonl", "audit.html", "possessives.json",
        "results.json", "record.json", "bias_intervene.log", "training/metrics.jsonl", "learning_rate.png",
        "training/summary.json", "training/checkpoints/step20/model.safetensors",
        "training/checkpoints/step20/manifest.json", "evals/step10/pronouns.parquet", "evals/step20/winobias.parquet",
        "evals/step20/crows_pairs.parquet", "evals/published_step20/pronouns.parquet",
    )  # fmt: skip
    assert [name for name in expected if not (folder / name).exists()] == []
    assert [p.name for p in folder.rglob("*.partial")] == []


def test_the_record_says_what_was_done(sweep: Path):
    record = json.loads((arm(sweep, "masculine_to_feminine") / "record.json").read_text())
    assert (record["status"], record["arm"]) == ("complete", "masculine_to_feminine")
    assert record["plan"]["rows"] == [40, 80]
    assert record["audit"]["rows"] == 40
    assert record["audit"]["num_swaps"] > 10
    assert all("him" not in form.split(" -> ")[1] for form in record["audit"]["swaps"])
    assert {"base_weights", "corpus", "tokenizer", "benchmarks"} <= set(record["fingerprints"])
    assert record["audit"]["possessives"]["fingerprint"] == record["fingerprints"]["possessives"]
    assert "his: too little text to fit its role" in record["audit"]["possessives"]["notices"][-1]
    metrics = record["results"]["metrics"]
    assert {m["step"] for m in metrics} == {10, 20}
    assert {m["benchmark"] for m in metrics} == {"crows_pairs", "winobias", "pronouns", "perplexity"}
    assert os.environ.get("HOME", "/root") not in json.dumps(record["environment"])


def test_the_arms_start_from_the_same_weights_and_part(sweep: Path):
    none, swapped = (arm(sweep, name) for name in ("none", "masculine_to_feminine"))
    assert json.loads((none / "audit.json").read_text())["num_swaps"] == 0
    bases = [json.loads((p / "record.json").read_text())["fingerprints"]["base_weights"] for p in (none, swapped)]
    assert bases[0] == bases[1]
    weights = [sha256_of_file(p / "training/checkpoints/step20/model.safetensors") for p in (none, swapped)]
    assert weights[0] != weights[1]


def test_the_comparison_is_in_the_sweeps_directory(sweep: Path, cache: Path):
    rows = json.loads((sweep / "comparison.json").read_text())["rows"]
    again = run(str(sweep), "--json", module="bias_intervene.compare", cwd=sweep, cache=cache)
    assert json.loads(again.stdout)["rows"] == rows
    (check,) = [
        r for r in rows
        if (r["metric"], r["subset"], r["protocol"]) == ("log_odds_she_he", "neutral", "prompts")
        and r["arm"] == "masculine_to_feminine" and r["baseline_arm"] == "none"
    ]  # fmt: skip
    assert check["difference"] == pytest.approx(check["value"] - check["baseline"])
    assert check["difference"] > 0.2
    assert check["ci_low"] > 0


def test_the_same_sweep_again_does_nothing(sweep: Path, cache: Path):
    before = {p: p.stat().st_mtime_ns for p in sweep.glob("*/*.json")}
    done = run(
        "-m", "intervention=none,masculine_to_feminine", *TINY, f"hydra.sweep.dir={sweep}", cwd=sweep, cache=cache
    )  # fmt: skip
    assert done.stdout.count("complete already, nothing done") == 2
    assert {p: p.stat().st_mtime_ns for p in sweep.glob("*/*.json")} == before


def test_a_complete_directory_is_left_alone(sweep: Path, cache: Path):
    folder = arm(sweep, "none")
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file() and p.suffix != ".log"}
    done = run("intervention=none", *TINY, f"hydra.run.dir={folder}", cwd=sweep, cache=cache, check=1)
    assert "holds a complete run" in done.stderr
    assert "Traceback" not in done.stderr
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file() and p.suffix != ".log"} == before


def test_a_directory_of_other_settings_is_refused(tmp_path: Path, sweep: Path, cache: Path):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("settings.json", "plan.json"):
        (folder / name).write_bytes((arm(sweep, "none") / name).read_bytes())
    done = run("intervention=none", *TINY, "seed=2", f"hydra.run.dir={folder}", cwd=tmp_path, cache=cache, check=1)
    assert "seed: 1 -> 2" in done.stderr


def test_two_ranks_equal_one_rank_with_doubled_micro_batch(tmp_path: Path, cache: Path):
    curves = []
    for ranks, micro in ((1, 4), (2, 2)):
        folder = tmp_path / f"ranks{ranks}"
        run(
            *QUICK, f"train.num_processes={ranks}", f"train.micro_batch_rows={micro}", f"hydra.run.dir={folder}",
            cwd=tmp_path, cache=cache,
        )  # fmt: skip
        curves.append([line["loss"] for line in curve(folder)])
    assert len(curves[0]) == 10
    assert curves[0] == pytest.approx(curves[1], abs=1e-4)
    audits = [json.loads((tmp_path / f"ranks{r}" / "audit.json").read_text()) for r in (1, 2)]
    assert audits[0] == audits[1]
    samples = [(tmp_path / f"ranks{r}" / "audit_samples.jsonl").read_text() for r in (1, 2)]
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
    run(*QUICK, *overrides, f"hydra.run.dir={tmp_path / 'run'}", cwd=tmp_path, cache=cache)
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
    run(
        *QUICK, "train.precision=bf16", f"train.zero_stage={stage}", "train.schedule=constant",
        "train.learning_rate=1.0e-30", "train.weight_decay=0.0", f"hydra.run.dir={folder}", cwd=tmp_path, cache=cache,
    )  # fmt: skip
    base = Path(json.loads((folder / "inputs.json").read_text())["base"])
    before, after = (load_file(p / "model.safetensors") for p in (base, folder / "training/checkpoints/step20"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


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


def test_a_full_disk_is_said_and_leaves_earlier_checkpoints_whole(tmp_path: Path, cache: Path, sweep: Path):
    """On a tmpfs with room for some checkpoints: 300 kB each."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        folder = small / "run"
        done = run(*QUICK, "train.save_interval=1", f"hydra.run.dir={folder}", cwd=tmp_path, cache=cache, check=1)
        assert "No space left on device" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        saved = sorted(folder.glob("training/checkpoints/step*"))
        assert 0 < len(saved) < 10
        for checkpoint in saved:
            for name, digest in json.loads((checkpoint / "manifest.json").read_text())["files"].items():
                assert sha256_of_file(checkpoint / name) == digest
        subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
        run(*QUICK, "train.save_interval=1", f"hydra.run.dir={folder}", cwd=tmp_path, cache=cache)
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
    (tmp_path / "prose.txt").write_text("The visitor said that he was late. His coat was wet. " * 60)
    folder = tmp_path / "run"
    done = run(
        "model=local", f"model.path={broken}", f"data.path={tmp_path / 'prose.txt'}", "data.heldout_rows=2",
        "train.num_steps=2", "train.sequence_length=32", "train.global_batch_rows=4", "train.micro_batch_rows=1",
        "train.num_processes=2", *NO_BENCHMARKS,
        "evals.pronouns.enabled=false", f"hydra.run.dir={folder}", cwd=tmp_path, cache=cache, check=1,
    )  # fmt: skip
    assert "step 0: the loss is nan; stopped before the update. Rows of this step on rank" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(folder.glob("training/checkpoints/step*"))


def test_an_exported_checkpoint_is_a_model_of_its_own(sweep: Path):
    folder = arm(sweep, "masculine_to_feminine") / "training" / "checkpoints" / "step20"
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.dtype == torch.float32
    assert model(**tokenizer("He left.", return_tensors="pt")).logits.isfinite().all()
    assert "altered by `masculine_to_feminine`" in (folder / "README.md").read_text()


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
    done = run(*given, f"hydra.run.dir={folder}", cwd=tmp_path, cache=cache, check=1)
    assert any(part in done.stderr for part in message.split("|")), done.stderr
    assert "Traceback" not in done.stderr
    left = {p.name for p in folder.rglob("*")} if folder.exists() else set()
    assert left <= {"bias_intervene.log"}


def test_a_directory_that_cannot_be_made(tmp_path: Path, cache: Path):
    (tmp_path / "file").write_text("")
    done = run("dry_run=true", f"hydra.run.dir={tmp_path / 'file' / 'run'}", cwd=tmp_path, cache=cache, check=1)
    assert "the output directory cannot be made or written (Not a directory)" in done.stderr
    assert "Traceback" not in done.stderr


def test_dry_run_writes_the_plan_alone(tmp_path: Path, cache: Path):
    done = run(
        "model=6.9b", "intervention.fraction=0.07", "dry_run=true", f"hydra.run.dir={tmp_path / 'run'}",
        cwd=tmp_path, cache=cache,
    )  # fmt: skip
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert (plan["repository"], plan["revision"]) == ("EleutherAI/pythia-6.9b-deduped", "step133000")
    assert (plan["num_steps"], round(plan["realised_fraction"], 4)) == (10_000, 0.0699)
    assert {p.name for p in (tmp_path / "run").iterdir()} <= {"plan.json", "bias_intervene.log"}
    assert "step133000" in done.stdout


def test_evaluation_only(tmp_path: Path, cache: Path):
    folder = tmp_path / "run"
    run(*TINY, "intervention.fraction=0", f"hydra.run.dir={folder}", cwd=tmp_path, cache=cache)
    record = json.loads((folder / "record.json").read_text())
    assert {m["step"] for m in record["results"]["metrics"]} == {20}
    assert not (folder / "training").exists()


def test_a_local_checkpoint_on_text_of_ones_own(tmp_path: Path, cache: Path, sweep: Path):
    prose = "The visitor said that he was late. His coat was wet, and the rain did not stop. " * 60
    (tmp_path / "prose.txt").write_text(prose)
    checkpoint = arm(sweep, "none") / "training" / "checkpoints" / "step20"
    tables = arm(sweep, "masculine_to_feminine") / "possessives.json"
    folder = tmp_path / "run"
    run(
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
    done = run(*QUICK, "intervention.possessives=absent.json", cwd=tmp_path, cache=cache, check=1)
    assert "absent.json is no possessives.json of a run" in done.stdout + done.stderr
    assert "allowed: fit, words, or the path of one" in " ".join((done.stdout + done.stderr).split())


def test_an_intervention_that_finds_nothing_says_so(tmp_path: Path, cache: Path, sweep: Path):
    (tmp_path / "prose.txt").write_text("The lamp was old, and the rain did not stop. " * 60)
    checkpoint = arm(sweep, "none") / "training" / "checkpoints" / "step20"
    done = run(
        "model=local", f"model.path={checkpoint}", f"data.path={tmp_path / 'prose.txt'}", "data.heldout_rows=2",
        "train.num_steps=1", "train.sequence_length=32", "train.global_batch_rows=2", "train.micro_batch_rows=1",
        *NO_BENCHMARKS, "evals.pronouns.enabled=false",
        f"hydra.run.dir={tmp_path / 'run'}", cwd=tmp_path, cache=cache,
    )  # fmt: skip
    assert "0 of 2 rows changed" in done.stdout + done.stderr
    assert "0 of 2 rows changed" in json.loads((tmp_path / "run" / "record.json").read_text())["audit"]["warning"]
