"""A sweep of control and intervention, as a user starts it: what lies in its directories, and what refuses them."""

import json
import os
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bias_intervene.record import sha256_of_file
from tests.conftest import TINY, run
from tests.helpers.forked import run_forked
from tests.helpers.whole_runs import arm


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
    done = run_forked(
        "-m", "intervention=none,masculine_to_feminine", *TINY, f"hydra.sweep.dir={sweep}", cwd=sweep, cache=cache
    )  # fmt: skip
    assert done.stdout.count("complete already, nothing done") == 2
    assert {p: p.stat().st_mtime_ns for p in sweep.glob("*/*.json")} == before


def test_a_complete_directory_is_left_alone(sweep: Path, cache: Path):
    folder = arm(sweep, "none")
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file() and p.suffix != ".log"}
    done = run_forked("intervention=none", *TINY, f"hydra.run.dir={folder}", cwd=sweep, cache=cache, check=1)
    assert "holds a complete run" in done.stderr
    assert "Traceback" not in done.stderr
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file() and p.suffix != ".log"} == before


def test_a_directory_of_other_settings_is_refused(tmp_path: Path, sweep: Path, cache: Path):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("settings.json", "plan.json"):
        (folder / name).write_bytes((arm(sweep, "none") / name).read_bytes())
    words = ("intervention=none", *TINY, "seed=2", f"hydra.run.dir={folder}")
    done = run_forked(*words, cwd=tmp_path, cache=cache, check=1)
    assert "seed: 1 -> 2" in done.stderr


def test_an_exported_checkpoint_is_a_model_of_its_own(sweep: Path):
    folder = arm(sweep, "masculine_to_feminine") / "training" / "checkpoints" / "step20"
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.dtype == torch.float32
    assert model(**tokenizer("He left.", return_tensors="pt")).logits.isfinite().all()
    assert "altered by `masculine_to_feminine`" in (folder / "README.md").read_text()


def test_a_directory_that_cannot_be_made(tmp_path: Path, cache: Path):
    (tmp_path / "file").write_text("")
    done = run("dry_run=true", f"hydra.run.dir={tmp_path / 'file' / 'run'}", cwd=tmp_path, cache=cache, check=1)
    assert "the output directory cannot be made or written (Not a directory)" in done.stderr
    assert "Traceback" not in done.stderr


def test_dry_run_writes_the_plan_alone(tmp_path: Path, cache: Path):
    done = run_forked(
        "model=6.9b", "intervention.fraction=0.07", "dry_run=true", f"hydra.run.dir={tmp_path / 'run'}",
        cwd=tmp_path, cache=cache,
    )  # fmt: skip
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert (plan["repository"], plan["revision"]) == ("EleutherAI/pythia-6.9b-deduped", "step133000")
    assert (plan["num_steps"], round(plan["realised_fraction"], 4)) == (10_000, 0.0699)
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["plan.json"]
    assert "step133000" in done.stdout
    (tmp_path / "nowhere").mkdir()
    assert "Plan" in run_forked("model=6.9b", "dry_run=true", cwd=tmp_path / "nowhere", cache=cache).stdout
    assert list((tmp_path / "nowhere").iterdir()) == []
