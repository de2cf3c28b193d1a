"""Evaluations are kept by what they were made from: the same is found, anything else is not."""

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from bias_intervene.errors import BiasInterveneError
from bias_intervene.evals import suite
from bias_intervene.evals.scoring import Scorer
from bias_intervene.evals.suite import Checkpoint, evaluate, load_items
from bias_intervene.settings import Settings
from tests.conftest import TINY, composed

HELDOUT = np.arange(64, dtype=np.uint16).reshape(2, 32) + 300


@pytest.fixture
def base(tmp_path: Path, scorer: Scorer, world_folder: Path) -> Path:
    folder = tmp_path / "base"
    shutil.copytree(world_folder / "tokenizer", folder)
    scorer.model.save_pretrained(folder)
    return folder


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
        device="cpu",
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
    assert names == ["crows_pairs.parquet", "metrics.json", "pronouns.parquet", "winobias.parquet"]
    for name in names:
        both = [(tmp_path / run / "evals" / "step10" / name).read_bytes() for run in ("one", "two")]
        assert both[0] == both[1]


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


@pytest.mark.parametrize("change", [change_a_weight, change_the_tokenizer, change_the_architecture])
def test_a_changed_checkpoint_never_hits(tmp_path, world_folder, base: Path, monkeypatch, change):
    results(tmp_path, world_folder, "one", base)
    change(base)
    monkeypatch.setattr(suite, "load_model", no_model)
    with pytest.raises(AssertionError, match="loaded again"):
        results(tmp_path, world_folder, "two", base)


def test_other_items_protocols_types_and_rows_never_hit(tmp_path, world_folder, base: Path, monkeypatch):
    results(tmp_path, world_folder, "one", base)
    monkeypatch.setattr(suite, "load_model", no_model)
    cases = [
        (("evals.winobias.split=test",), HELDOUT), (("evals.dtype=bfloat16",), HELDOUT),
        (("evals.winobias.protocols=[pronoun_choice]",), HELDOUT), ((), HELDOUT + 1), ((), HELDOUT.reshape(1, 64)),
        ((), None),
    ]  # fmt: skip
    for number, (words, heldout) in enumerate(cases):
        with pytest.raises(AssertionError, match="loaded again"):
            results(tmp_path, world_folder, f"other{number}", base, *words, heldout=heldout)
    monkeypatch.setattr(suite.crows_pairs, "VERSION", 2)
    with pytest.raises(AssertionError, match="loaded again"):
        results(tmp_path, world_folder, "version", base)


def test_jobs_at_the_same_time_score_once(tmp_path, world_folder, base: Path, monkeypatch):
    loaded: list[int] = []
    load = suite.load_model
    monkeypatch.setattr(suite, "load_model", lambda *a, **k: loaded.append(1) or load(*a, **k))
    found: dict[str, dict] = {}

    settings = composed("model=demo", *TINY)

    def job(name: str) -> None:
        found[name] = scored(tmp_path, world_folder, name, base, settings, HELDOUT)

    threads = [threading.Thread(target=job, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found["one"] == found["two"]
    assert 1 <= len(loaded) <= 2
    assert len(list((tmp_path / "cache" / "evaluations").glob("*/metrics.json"))) == 3


def test_a_failed_evaluation_keeps_nothing(tmp_path, world_folder, base: Path, monkeypatch):
    weights = load_file(base / "model.safetensors")
    next(iter(weights.values())).fill_(float("nan"))
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BiasInterveneError, match="not finite"):
        results(tmp_path, world_folder, "one", base)
    assert not list((tmp_path / "cache" / "evaluations").glob("*/metrics.json"))
