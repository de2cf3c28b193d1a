"""Evaluation as a user runs it: several ranks, trajectories, released models, a stop signal, the cache."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from bias_intervene.record import read_json
from bias_intervene.run.protocol import STOP_SIGNALS
from bias_intervene.stages import __main__ as worker
from bias_intervene.stages import evaluate
from tests.conftest import TINY
from tests.helpers.forked import run_forked

pytestmark = pytest.mark.slow
TINY_EVALUATION = (*TINY, "model=demo", "intervention=none", "intervention.fraction=0", "evals.published_final=false")


@pytest.fixture(scope="module")
def trajectory(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """Both published checkpoints of the tiny world, scored without training."""
    folder = tmp_path_factory.mktemp("trajectory")
    words = (*TINY_EVALUATION, "evals.steps=[10,20]", "evals.base=false", "hydra.run.dir=run")
    done = run_forked(*words, cwd=folder, cache=cache)
    assert "complete" in done.stdout
    return folder / "run"


def values(run_dir: Path) -> dict[tuple, float]:
    """Every metric by its names."""
    metrics = read_json(run_dir / "results.json")["metrics"]
    return {(m["step"], m["benchmark"], m["protocol"], m["subset"], m["metric"]): m["value"] for m in metrics}


def test_a_trajectory_without_training(trajectory: Path):
    plan = read_json(trajectory / "plan.json")
    assert (plan["num_steps"], plan["evaluated_steps"], plan["published_steps"]) == (0, [], [10, 20])
    found = values(trajectory)
    assert {key[0] for key in found} == {10, 20}
    assert {key[1] for key in found} == {"crows_pairs", "winobias", "pronouns", "perplexity"}
    record = read_json(trajectory / "record.json")
    assert record["benchmarks"]["winobias"]["doubled_article"] == 0
    assert "Blodgett" in record["benchmarks"]["crows_pairs"]["caveats"][0]
    assert len(set(record["fingerprints"]["evaluated_weights"].values())) == 2


def test_two_ranks_and_another_batch_find_the_same(trajectory: Path, tmp_path: Path, cache: Path):
    other = tmp_path / "cache"
    other.mkdir()
    for name in ("models", "worlds"):  # Not the evaluations: they are to be made anew.
        (other / name).symlink_to(cache / name)
    words = (*TINY_EVALUATION, "evals.steps=[10,20]", "evals.base=false", "hydra.run.dir=run")
    more = ("train.num_processes=2", "train.micro_batch_rows=2", "evals.batch_tokens=300")
    run_forked(*words, *more, cwd=tmp_path, cache=other)
    one, two = values(trajectory), values(tmp_path / "run")
    assert one.keys() == two.keys()
    for key, value in one.items():
        # Shares may differ where an item is a tie but for rounding.
        assert two[key] == pytest.approx(value, abs=1e-4 if "perplexity" not in key else 1e-2), key
    assert len(list((other / "evaluations").glob("*/metrics.json"))) == 8


def test_a_second_run_loads_no_model(trajectory: Path, tmp_path: Path, cache: Path):
    # A cache of its own: in the common one the other worker may evaluate something while this runs.
    own = tmp_path / "cache"
    for metrics in (cache / "evaluations").glob("*/metrics.json"):
        shutil.copytree(metrics.parent, own / "evaluations" / metrics.parent.name)
    for name in ("models", "worlds"):
        (own / name).symlink_to(cache / name)
    words = (*TINY_EVALUATION, "evals.steps=[10,20]", "evals.base=false", "hydra.run.dir=run")
    before = {path: path.stat().st_mtime for path in (own / "evaluations").glob("*/metrics.json")}
    assert before
    run_forked(*words, cwd=tmp_path, cache=own)
    assert {path: path.stat().st_mtime for path in (own / "evaluations").glob("*/metrics.json")} == before
    assert values(tmp_path / "run") == values(trajectory)


def released(folder: Path, source: Path, *, lift: float) -> None:
    """A checkpoint folder whose model finds " she" likelier everywhere, by `lift` times a direction."""
    shutil.copytree(source, folder)
    weights = load_file(folder / "model.safetensors")
    tokens = read_json(folder / "tokenizer.json")["model"]["vocab"]
    weights["gpt_neox.final_layer_norm.bias"] += 0.5
    # Half of the dimensions: by all of them every item would move by the same, which nothing can be inferred from.
    weights["embed_out.weight"][tokens["\u0120she"]][::2] += lift
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "manifest.json").unlink()  # Otherwise the weights are refused as altered.


@pytest.mark.parametrize(("lift", "said"), [(0.0, "the intervention did not take"), (0.2, "the intervention took")])
def test_released_models_are_audited(trajectory: Path, tmp_path: Path, cache: Path, lift: float, said: str):
    base = Path(read_json(trajectory / "inputs.json")["published"]["20"])
    for step in (142_000, 143_000):
        released(tmp_path / "hub" / "pythia-70m-deduped" / f"step{step}", base, lift=0.0)
        released(tmp_path / "hub" / "pythia-intervention-70m-deduped" / f"step{step}", base, lift=lift)
    # The tiny world's model in the place of a 70m, which has another shape.
    size = "model.facts.sizes={70m:{gpt_neox:{num_layers:1,hidden_size:32,num_heads:2,vocabulary_size:1000}}}"
    words = (
        "-m", "experiment=audit_released", "model=70m", "model.path=hub", "evals.steps=[142000,143000]",
        "evals.crows_pairs.enabled=false", "evals.winobias.enabled=false", "evals.lambada.enabled=false",
        "train.device=cpu", "hydra.sweep.dir=sweep", size,
    )  # fmt: skip
    done = run_forked(*words, cwd=tmp_path, cache=cache)
    found = json.loads((tmp_path / "sweep" / "comparison.json").read_text())
    (verdict,) = found["verdicts"]
    assert verdict["took"] is (lift > 0)
    assert said in verdict["sentence"]
    assert said in " ".join(done.stdout.split())
    assert (verdict["against"], verdict["step"]) == ("none", 143_000)


def test_a_released_model_is_never_the_original_by_mistake(trajectory: Path, tmp_path: Path, cache: Path):
    base = read_json(trajectory / "inputs.json")["published"]["20"]
    shutil.copytree(base, tmp_path / "hub" / "step143000")
    words = (
        "model=70m", "model.variant=intervention", "model.path=hub", "intervention.fraction=0",
        "evals.crows_pairs.enabled=false", "evals.winobias.enabled=false", "evals.lambada.enabled=false",
    )  # fmt: skip
    done = run_forked(*words, cwd=tmp_path, cache=cache, check=1)
    assert "no folder hub/pythia-intervention-70m-deduped/step143000" in done.stderr


def test_a_stop_signal_ends_an_evaluation_as_one_to_be_continued(tmp_path: Path, trajectory: Path, monkeypatch):
    for name in ("settings.json", "plan.json"):
        shutil.copy(trajectory / name, tmp_path / name)
    kept = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    monkeypatch.setattr(evaluate, "run", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    try:
        assert worker.main(["evaluate", str(tmp_path)]) == 0
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
    found = read_json(tmp_path / ".evaluate.outcome.json")
    assert found["status"] == "stopped"
    assert "SIGTERM in stage evaluate" in found["message"]


def test_harness_tasks_stand_in_the_same_record(trajectory: Path, tmp_path: Path, cache: Path):
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed (the extra `harness`)")
    (tmp_path / "tasks").mkdir()
    rows = [{"q": f"The nurse said that{' so' * n}", "choices": ["she", "he"], "gold": n % 2} for n in range(6)]
    (tmp_path / "tasks" / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "tasks" / "own.yaml").write_text(
        "task: own_pronouns\ndataset_path: json\ndataset_name: null\noutput_type: multiple_choice\ntest_split: test\n"
        f"dataset_kwargs:\n  data_files:\n    test: {tmp_path / 'tasks' / 'rows.jsonl'}\n"
        'doc_to_text: "{{q}}"\ndoc_to_choice: "{{choices}}"\ndoc_to_target: gold\nmetric_list:\n  - metric: acc\n'
    )
    words = (
        *TINY_EVALUATION, "evals.harness_tasks=[own_pronouns]", "evals.harness_include_path=tasks", "hydra.run.dir=run",
        "evals.crows_pairs.enabled=false", "evals.winobias.enabled=false", "evals.pronouns.enabled=false",
    )  # fmt: skip
    run_forked(*words, cwd=tmp_path, cache=cache)
    found = values(tmp_path / "run")
    assert found[20, "harness", "own_pronouns", "all", "acc"] == pytest.approx(0.5, abs=0.5)
    done = run_forked("run", module="bias_intervene.compare", cwd=tmp_path, cache=cache)
    assert "own_pronouns acc" in " ".join(done.stdout.split())
    words = (*words, "evals.harness_tasks=[own_pronoun]", "hydra.run.dir=b")
    mistyped = run_forked(*words, cwd=tmp_path, cache=cache, check=1)
    assert "evals.harness_tasks: no task 'own_pronoun'; did you mean" in mistyped.stderr
