"""Evaluations are kept by what they were made from: the same is found, anything else is not."""

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from bias_intervene.errors import BiasInterveneError, DataError
from bias_intervene.evals import suite
from bias_intervene.evals.benchmarks.registry import BENCHMARKS
from bias_intervene.evals.suite import Checkpoint, evaluate, load_items
from bias_intervene.models import weights_fingerprint
from bias_intervene.record import write_json
from bias_intervene.results import MetricSpec
from bias_intervene.settings import Settings
from tests.conftest import TINY, composed

HELDOUT = np.arange(64, dtype=np.uint16).reshape(2, 32) + 300


def results(tmp_path: Path, world_folder: Path, name: str, folder: Path, *words: str, heldout=HELDOUT) -> dict:
    """results.json of a run that scores one checkpoint."""
    return scored(tmp_path, world_folder, name, folder, composed("model=demo", *TINY, *words), heldout)


def scored(tmp_path: Path, world_folder: Path, name: str, folder: Path, settings: Settings, heldout) -> dict:
    evaluate(
        tmp_path / name,
        evals=settings.evals,
        items=load_items(settings.evals, world_folder=world_folder, world_data=settings.data),  # type: ignore[arg-type]
        checkpoints=[Checkpoint(10, folder)],
        heldout_rows=heldout,
        device=torch.device("cpu"),
        cache=tmp_path / "cache",
    )
    return json.loads((tmp_path / name / "results.json").read_text())


def no_model(*_: object, **__: object) -> None:
    raise AssertionError("the model was loaded again")


def test_the_same_weights_are_scored_once(tmp_path, world_folder, base: Path, monkeypatch: pytest.MonkeyPatch):
    first = results(tmp_path, world_folder, "one", base)
    elsewhere = shutil.copytree(base, tmp_path / "elsewhere")
    monkeypatch.setattr(suite, "load_model", no_model)
    assert results(tmp_path, world_folder, "two", elsewhere) == first
    names = [path.name for path in sorted((tmp_path / "two" / "evals" / "step10").iterdir())]
    assert names == [
        "crows_pairs.parquet", "metrics.json", "perplexity.parquet", "pronouns.parquet", "winobias.parquet",
    ]  # fmt: skip
    for name in names:
        both = [(tmp_path / run / "evals" / "step10" / name).read_bytes() for run in ("one", "two")]
        assert both[0] == both[1]


def test_a_benchmark_without_an_item_is_refused(monkeypatch: pytest.MonkeyPatch):
    evals = composed("model=demo", *TINY).evals
    monkeypatch.setattr(type(BENCHMARKS["crows_pairs"]), "items", lambda *_: [])
    monkeypatch.setattr(type(evals), "scored_benchmarks", lambda *_, **__: ("crows_pairs",))
    with pytest.raises(DataError, match=r"evals\.crows_pairs: not one item to score"):
        load_items(evals, world_folder=None, world_data=None)


def change_a_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    next(iter(weights.values())).view(-1)[0] += 1e-3
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def change_the_tokenizer(folder: Path) -> None:
    values = json.loads((folder / "tokenizer.json").read_text())
    values["model"]["merges"] = values["model"]["merges"][:-1]
    (folder / "tokenizer.json").write_text(json.dumps(values))


def change_the_architecture(folder: Path) -> None:
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(values | {"layer_norm_eps": 1e-3}))


def change_the_end_tokens(folder: Path) -> None:
    values = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(values | {"eos_token_id": [0, 5]}))


@pytest.mark.parametrize(
    "change", [change_a_weight, change_the_tokenizer, change_the_architecture, change_the_end_tokens]
)
def test_a_changed_checkpoint_never_hits(tmp_path, world_folder, base: Path, monkeypatch, change):
    results(tmp_path, world_folder, "one", base)
    change(base)
    monkeypatch.setattr(suite, "load_model", no_model)
    with pytest.raises(AssertionError, match="loaded again"):
        results(tmp_path, world_folder, "two", base)


def test_an_attempt_that_continues_takes_the_scores_of_these_weights_and_versions_alone(tmp_path: Path, base: Path):
    checkpoint, folder = Checkpoint(10, base), tmp_path / "step10"
    assert not suite._is_scored(checkpoint, folder, "versions")
    write_json(
        folder / "metrics.json", {"weights": weights_fingerprint(base), "evaluations": "versions", "metrics": []}
    )
    assert suite._is_scored(checkpoint, folder, "versions")
    assert not suite._is_scored(checkpoint, folder, "other versions")
    change_a_weight(base)
    assert not suite._is_scored(checkpoint, folder, "versions")
    for altered in ("{half", "[]", "{}"):
        (folder / "metrics.json").write_text(altered)
        assert not suite._is_scored(checkpoint, folder, "versions")


def test_other_items_protocols_types_and_rows_never_hit(tmp_path, world_folder, base: Path, monkeypatch):
    results(tmp_path, world_folder, "one", base)
    monkeypatch.setattr(suite, "load_model", no_model)
    cases = [
        (("evals.winobias.split=test",), HELDOUT), (("evals.dtype=bfloat16",), HELDOUT),
        (("evals.winobias.protocols=[pronoun_choice]",), HELDOUT), (("evals.too_long=truncate",), HELDOUT),
        ((), HELDOUT + 1), ((), HELDOUT.reshape(1, 64)), ((), None),
    ]  # fmt: skip
    for number, (words, heldout) in enumerate(cases):
        with pytest.raises(AssertionError, match="loaded again"):
            results(tmp_path, world_folder, f"other{number}", base, *words, heldout=heldout)
    monkeypatch.setattr(BENCHMARKS["crows_pairs"], "version", 99)
    with pytest.raises(AssertionError, match="loaded again"):
        results(tmp_path, world_folder, "version", base)


def count_scorings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of benchmarks, one for each time that one is scored."""
    scorings: list[str] = []
    for name, benchmark in BENCHMARKS.items():

        def counted(*arguments, name: str = name, score=benchmark.score):
            scorings.append(name)
            return score(*arguments)

        monkeypatch.setattr(benchmark, "score", counted)
    return scorings


def test_jobs_at_the_same_time_score_once(tmp_path, world_folder, base: Path, monkeypatch):
    scorings = count_scorings(monkeypatch)
    settings = composed("model=demo", *TINY)
    by_job: dict[str, dict] = {}

    def job(name: str) -> None:
        by_job[name] = scored(tmp_path, world_folder, name, base, settings, HELDOUT)

    threads = [threading.Thread(target=job, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert by_job["one"] == by_job["two"]
    assert sorted(scorings) == ["crows_pairs", "perplexity", "pronouns", "winobias"]
    assert len(list((tmp_path / "cache" / "evaluations").glob("*/metrics.json"))) == 4


def test_results_say_how_their_metrics_are_read(tmp_path, world_folder, base: Path):
    """The specs of the benchmarks that were scored, and of no other."""
    specs = [MetricSpec.from_json(values) for values in results(tmp_path, world_folder, "one", base)["specs"]]
    assert specs == [
        spec for name in ("pronouns", "winobias", "crows_pairs", "perplexity") for spec in BENCHMARKS[name].specs
    ]


def test_a_failed_evaluation_keeps_nothing(tmp_path, world_folder, base: Path, monkeypatch):
    weights = load_file(base / "model.safetensors")
    next(iter(weights.values())).fill_(float("nan"))
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BiasInterveneError, match="not finite"):
        results(tmp_path, world_folder, "one", base)
    assert not list((tmp_path / "cache" / "evaluations").glob("*/metrics.json"))


def checkpoint_of(base: Path, folder: Path, change: float) -> Path:
    """A copy of a checkpoint, one weight changed."""
    shutil.copytree(base, folder)
    weights = load_file(folder / "model.safetensors")
    next(iter(weights.values())).view(-1)[0] += change
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_the_next_checkpoint_is_loaded_while_one_is_scored(tmp_path, world_folder, base: Path, monkeypatch):
    settings = composed("model=demo", *TINY)
    happened: list[str] = []
    crows_pairs = BENCHMARKS["crows_pairs"]
    load, score = suite.load_model, crows_pairs.score
    second_is_loaded = threading.Event()

    def loading(folder: Path, **more):
        model = load(folder, **more)
        happened.append(f"loaded {folder.name}")
        if folder.name == "20":
            second_is_loaded.set()
        return model

    def scoring(*arguments):
        # Scoring of the first one ends only when the second one is there.
        assert second_is_loaded.wait(30)
        happened.append("scored")
        return score(*arguments)

    monkeypatch.setattr(suite, "load_model", loading)
    monkeypatch.setattr(crows_pairs, "score", scoring)
    checkpoints = [
        Checkpoint(step, checkpoint_of(base, tmp_path / str(step), step), published=step == 30) for step in (10, 20, 30)
    ]
    made_from = evaluate(
        tmp_path / "run",
        evals=settings.evals,
        items=load_items(settings.evals, world_folder=world_folder, world_data=settings.data),  # type: ignore[arg-type]
        checkpoints=checkpoints,
        heldout_rows=HELDOUT,
        device=torch.device("cpu"),
        cache=tmp_path / "cache",
    )
    assert [one for one in happened if one != "scored"] == ["loaded 10", "loaded 20", "loaded 30"]
    assert happened.index("loaded 20") < happened.index("scored")
    assert len(set(made_from["evaluated_weights"].values())) == 3
    assert made_from["evaluations"]["winobias"]["dtype"] == "float32"
    found = json.loads((tmp_path / "run" / "results.json").read_text())
    assert {row["step"] for row in found["metrics"]} == {10, 20}
    assert {row["step"] for row in found["published"]} == {30}
    assert (tmp_path / "run" / "evals" / "published_step30" / "winobias.parquet").is_file()


def test_a_cut_context_is_told_beside_the_metric(tmp_path, world_folder, base: Path):
    passages = tmp_path / "long.jsonl"
    passages.write_text(
        json.dumps({"text": "he " * 600 + "end"}) + "\n" + json.dumps({"text": "The nurse left"}) + "\n"
    )
    words = ("evals.lambada.enabled=true", f"evals.lambada.path={passages}", "evals.too_long=truncate")
    metrics = results(tmp_path, world_folder, "one", base, *words)["metrics"]
    assert {row.get("truncated") for row in metrics if row["benchmark"] == "lambada"} == {1}
    assert {row.get("truncated") for row in metrics if row["benchmark"] == "winobias"} == {None}


def test_what_is_scored_already_is_not_scored_again(tmp_path, world_folder, base: Path, monkeypatch):
    first = results(tmp_path, world_folder, "one", base)
    (tmp_path / "one" / "results.json").unlink()
    shutil.rmtree(tmp_path / "cache")
    monkeypatch.setattr(suite, "load_model", no_model)
    assert results(tmp_path, world_folder, "one", base) == first
