"""What `prepare` finds is what the run began with, whichever input somebody changes in between."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bias_intervene.data import world
from bias_intervene.errors import BiasInterveneError, ModelError, RunDirectoryError
from bias_intervene.models import new_world_model, save_world_tokenizer
from bias_intervene.record import read_json, write_manifest
from bias_intervene.run.planning import plan_of
from bias_intervene.settings import Settings, WorldData, WorldModel
from bias_intervene.stages import prepare
from tests.conftest import NO_BENCHMARKS, TINY, composed


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, a text and a file of CrowS-Pairs."""
    folder = tmp_path_factory.mktemp("sources")
    settings = composed("model=demo", *TINY)
    assert isinstance(settings.data, WorldData)
    assert isinstance(settings.model, WorldModel)
    _, made = world.prepare_world(settings.data, settings.model, folder / "cache")
    model = new_world_model(settings.model, seed=1, end_of_text_id=0)
    model.save_pretrained(folder / "model")
    save_world_tokenizer(made / "tokenizer.json", folder / "model")
    (folder / "text.txt").write_text("The nurse said that he was late. " * 400)
    shutil.copy(made / "crows_pairs.csv", folder / "pairs.csv")
    return folder


@pytest.fixture
def place(sources: Path, tmp_path: Path) -> Path:
    """A copy of them that a test may change."""
    return shutil.copytree(sources, tmp_path / "place", ignore=shutil.ignore_patterns("cache"))


def settings_of(place: Path) -> Settings:
    return composed(
        "model=local", f"model.path={place / 'model'}", "data=text", f"data.path={place / 'text.txt'}",
        "train=continue", "intervention=masculine_to_feminine", "intervention.possessives=words",
        "intervention.fraction=null", "train.num_steps=4", "train.sequence_length=32", "train.global_batch_rows=4",
        "train.micro_batch_rows=4", "data.heldout_rows=8", *NO_BENCHMARKS, "evals.crows_pairs.enabled=true",
        f"evals.crows_pairs.path={place / 'pairs.csv'}", f"cache_dir={place / 'cache'}", "train.device=cpu",
    )  # fmt: skip


def prepared(place: Path) -> dict:
    """inputs.json of one attempt."""
    run_dir = place / "run"
    run_dir.mkdir(exist_ok=True)
    settings = settings_of(place)
    prepare.run(run_dir, settings, plan_of(settings))
    return read_json(run_dir / "inputs.json")


def change_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def change_the_text(place: Path) -> None:
    (place / "text.txt").write_text("The guard said that she was early. " * 400)


def change_the_weights(place: Path) -> None:
    change_a_byte(place / "model" / "model.safetensors")


def change_the_architecture(place: Path) -> None:
    path = place / "model" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"layer_norm_eps": 1e-3}))


def change_the_tokenizer(place: Path) -> None:
    path = place / "model" / "tokenizer.json"
    content = json.loads(path.read_text())
    content["model"]["merges"] = content["model"]["merges"][:-1]
    path.write_text(json.dumps(content))


def change_the_pairs(place: Path) -> None:
    path = place / "pairs.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def change_the_tables(place: Path) -> None:
    path = place / "run" / "possessives.json"
    content = json.loads(path.read_text())
    content["tables"]["her"]["bias"] += 5
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (change_the_text, r"corpus \(data\.path=.*text\.txt\): \w+ -> \w+"),
        (change_the_weights, r"base_weights \(.*model\)"),
        (change_the_architecture, r"architecture \(.*model\)"),
        (change_the_tokenizer, r"tokenizer \(.*model\)"),
        (change_the_pairs, r"benchmarks\.crows_pairs"),
        (change_the_tables, r"possessives"),
    ],
)
def test_a_run_goes_on_only_with_the_inputs_it_began_with(place: Path, change: Callable[[Path], None], named: str):
    before = prepared(place)
    assert prepared(place)["fingerprints"] == before["fingerprints"]
    change(place)
    with pytest.raises(RunDirectoryError, match=f"began with other inputs .*{named}"):
        prepared(place)
    assert read_json(place / "run" / "inputs.json") == before


def test_weights_altered_beside_the_manifest_of_their_run_are_refused(place: Path):
    write_manifest(place / "model", step=20)
    prepared(place)
    change_the_weights(place)
    with pytest.raises(ModelError, match=r"model\.safetensors: altered since it was saved, as .*manifest\.json tells"):
        prepared(place)


def test_a_training_whose_beginning_is_not_known_is_not_continued(place: Path):
    prepared(place)
    (place / "run" / "training").mkdir()
    (place / "run" / "inputs.json").unlink()
    with pytest.raises(BiasInterveneError, match=r"inputs\.json: missing, though the run has begun to train"):
        prepared(place)
