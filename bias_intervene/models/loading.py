"""A model and its tokenizer, loaded from a local folder in Hugging Face's format.

Input: a checkpoint folder. Output: a causal language model or a tokenizer. Guarantees: no code of a repository is run
(`trust_remote_code=False`), safetensors are preferred, the dtype is always given (a Pythia config says float16 and
transformers would obey it), every weight of the model comes from the folder and every weight in the folder goes into
the model (where transformers would only warn, and put random values in the place of missing weights), and weights are
identified by their bytes.
"""

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

from tokenizers import Tokenizer

from bias_intervene.errors import BiasInterveneError, ModelError, first_line
from bias_intervene.models.world_model import END_OF_TEXT
from bias_intervene.record import fingerprint, sha256_of_file

_LOADING = threading.Lock()
"""One load at a time in a process: transformers replaces `PreTrainedModel.tie_weights` while it loads, and two loads
that overlap leave it replaced, so that a later model's head is not its embedding."""
_SPECIAL_TOKENS = {"bos_token", "eos_token", "unk_token", "pad_token"}
_PLAIN_KEYS = {"backend", "clean_up_tokenization_spaces", "is_local", "model_max_length", "tokenizer_class"}
"""Keys of tokenizer_config.json that change nothing in how a text becomes ids."""
_TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "vocab.txt", "merges.txt",
    "added_tokens.json", "tokenizer.model", "spiece.model", "chat_template.jinja",
)  # fmt: skip
_VOCABULARIES = ("tokenizer.json", "vocab.*", "*.model", "*.tiktoken")
"""Files that hold the entries of a tokenizer; the other ones only describe it."""
_HEAD_TOLERANCE = 1e-3
"""Logits: larger differences than rounding makes."""
_WRAPPERS = {"_orig_mod.": "torch.compile", "module.": "a parallel wrapper", "base_model.model.": "an adapter (peft)"}
"""Beginnings of the names of weights that were saved from inside a wrapper -> what wraps them."""


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
    end_of_sequence_id: int | None = None
    """Ends what the model says: the end of a turn where it was tuned for chat. None: the tokenizer names none."""

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, nothing added."""
        return self.backend.encode(text, add_special_tokens=False).ids


def load_model(folder: Path, *, dtype: str, tokenizer: TextTokenizer | None = None) -> Any:
    """A causal language model in the given dtype. Raises `ModelError` where a weight is missing or left over, or the
    tokenizer's ids do not fit.
    """
    import torch

    model = load_strictly(folder, where=str(folder), dtype=getattr(torch, dtype))
    if tokenizer is not None:
        check_vocabulary(model, tokenizer, folder)
    return model


def load_strictly(folder: Path, *, where: str, **options: Any) -> Any:
    """A causal language model, as transformers loads it from `folder`, of which every weight was read.

    where: what the messages name. options: of `from_pretrained`. Raises `ModelError`.
    """
    if (folder / "adapter_config.json").is_file():
        raise ModelError(
            f"{where}: adapter_config.json makes it an adapter of another model; give the whole model, as "
            "`merge_and_unload` and `save_pretrained` make it"
        )
    from transformers import AutoModelForCausalLM

    try:
        with _LOADING:
            # Sizes that do not fit are reported with the rest instead of raised by themselves.
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                **options,
            )
            model, report = loaded
    except BiasInterveneError:
        raise
    except Exception as error:  # Each format has errors of its own: a file cut off, no JSON, another architecture.
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise ModelError(f"{where}: not a checkpoint of a causal language model ({reason})") from None
    faults = [
        f"{kind}: {_some(names)}"
        for kind, names in (
            ("missing", report["missing_keys"]),
            ("not of this model", report["unexpected_keys"]),
            ("of another shape", [f"{name} {tuple(a)}, not {tuple(b)}" for name, a, b in report["mismatched_keys"]]),
            ("faulty", report["error_msgs"]),
        )
        if names
    ]
    if faults:
        raise ModelError(
            f"{where}: its weights are not those of the {type(model).__name__} that config.json describes; "
            f"{'; '.join(faults)}. {_advice(report)}"
        )
    return model


def check_headers(folder: Path) -> Path:
    """`folder`, whose safetensors are whole and named like weights. Raises `ModelError`.

    This reads a few kilobytes, so that what is plainly wrong is refused before anything else is prepared. Which weights
    are missing is known when a model is loaded (`load_strictly`), since transformers may rename them.
    """
    from safetensors import SafetensorError, safe_open

    names: list[str] = []
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(str(file), framework="numpy") as content:
                names += content.keys()
        except (OSError, SafetensorError) as error:
            raise ModelError(
                f"{file}: cut off, or no safetensors ({first_line(error)}); fetch or copy it anew"
            ) from None
    for prefix, wrapper in _WRAPPERS.items():
        if names and all(name.startswith(prefix) for name in names):
            raise ModelError(f'{folder}: every name begins with "{prefix}". {_saved_inside(prefix, wrapper)}')
    return folder


def _saved_inside(prefix: str, wrapper: str) -> str:
    """What to do about weights with the names that a wrapper gave them."""
    return f'The weights were saved from inside {wrapper}: take "{prefix}" off their names'


def _some(names: Iterable[str]) -> str:
    """The first names of a list in alphabetical order, and how many there are."""
    names = sorted(names)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _advice(report: Mapping[str, Any]) -> str:
    """What to do about weights that do not fit."""
    for prefix, wrapper in _WRAPPERS.items():
        if report["unexpected_keys"] and all(name.startswith(prefix) for name in report["unexpected_keys"]):
            return _saved_inside(prefix, wrapper)
    return "Save the whole model anew with save_pretrained, or give the config.json that belongs to these weights"


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a checkpoint folder. Raises `ModelError`."""
    return _read_object(folder / "config.json")


def _read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises `ModelError`."""
    try:
        values = json.loads(path.read_text(encoding="utf8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: cannot be read as JSON ({first_line(error)}); fetch or save it anew") from None
    if not isinstance(values, dict):
        raise ModelError(f"{path}: found a JSON {type(values).__name__}, where an object belongs; save it anew")
    return cast("dict[str, Any]", values)


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
    return by_hand.shape == whole.shape and bool((by_hand - whole).abs().max() < _HEAD_TOLERANCE)


def check_vocabulary(model: Any, tokenizer: TextTokenizer, folder: Path) -> None:
    """Refuses a tokenizer whose ids the embedding does not hold."""
    entries = model.get_input_embeddings().num_embeddings
    needed = max(tokenizer.backend.get_vocab(with_added_tokens=True).values()) + 1
    if needed > entries:
        raise ModelError(f"{folder}: the tokenizer has ids up to {needed - 1}, the model embeds only {entries}")


def load_tokenizer(folder: Path) -> TextTokenizer:
    """The tokenizer of a checkpoint folder. Raises `ModelError` where there is none, or no token to begin with."""
    loaded = _described_by_files(folder) or _built_by_transformers(folder)
    backend = loaded.backend
    backend.no_padding()
    backend.no_truncation()
    end_of_text = _first_known(backend, END_OF_TEXT, loaded.eos_token, loaded.bos_token)
    prefix = _first_known(backend, loaded.bos_token, loaded.eos_token, END_OF_TEXT)
    if end_of_text is None or prefix is None:
        raise ModelError(f"{folder}: the tokenizer has no end-of-text, end-of-sequence or beginning-of-sequence token")
    end_of_sequence = _first_known(backend, loaded.eos_token)
    tokenizer = TextTokenizer(
        backend, *end_of_text, *prefix, end_of_sequence_id=end_of_sequence[1] if end_of_sequence else None
    )
    if not tokenizer.encode("The nurse said that she was tired."):
        raise ModelError(f"{folder}: the tokenizer has no entries that a sentence could be made of; fetch it anew")
    return tokenizer


class _Loaded(NamedTuple):
    """A tokenizer with the special tokens that its configuration names."""

    backend: Tokenizer
    bos_token: str | None
    eos_token: str | None


def _described_by_files(folder: Path) -> _Loaded | None:
    """The tokenizer without transformers, whose import takes seconds; None where tokenizer.json is not all of it.

    transformers takes a tokenizer of the class TokenizersBackend from tokenizer.json as it stands, and adds those
    special tokens that the file does not have. Tokenizers of other classes it may rebuild.
    """
    description, configuration = folder / "tokenizer.json", folder / "tokenizer_config.json"
    if not (description.is_file() and configuration.is_file()):
        return None
    values = _read_object(configuration)
    if values.get("tokenizer_class") != "TokenizersBackend" or not values.keys() <= _PLAIN_KEYS | _SPECIAL_TOKENS:
        return None
    try:
        backend = Tokenizer.from_file(str(description))
    except Exception as error:  # The class that tokenizers raises for every fault of the file.
        raise ModelError(f"{description}: no tokenizer that can be read ({first_line(error)}); fetch it anew") from None
    special = {token.content for token in backend.get_added_tokens_decoder().values() if token.special}
    named = [values[key] for key in _SPECIAL_TOKENS & values.keys()]
    if not all(isinstance(token, str) and token in special for token in named):
        return None
    return _Loaded(backend, values.get("bos_token"), values.get("eos_token"))


def _built_by_transformers(folder: Path) -> _Loaded:
    """The tokenizer as transformers builds it. Raises `ModelError`."""
    if not _holds_vocabulary(folder):
        # transformers would return a tokenizer without a vocabulary, of the class that belongs to config.json.
        raise ModelError(f"{folder}: no tokenizer in it (tokenizer.json); copy the one that its model was trained with")
    loaded = transformers_tokenizer(folder, where=str(folder))
    backend = getattr(loaded, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise ModelError(f"{folder}: its tokenizer has no tokenizer.json; convert it to a fast tokenizer")
    return _Loaded(backend, loaded.bos_token, loaded.eos_token)


def transformers_tokenizer(folder: Path, *, where: str, **options: Any) -> Any:
    """The tokenizer that transformers makes of a folder. where: what the message names. options: of `from_pretrained`.

    Raises `ModelError`.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **options)
    except BiasInterveneError:
        raise
    except Exception as error:  # As in `load_strictly`.
        raise ModelError(f"{where}: no tokenizer that can be read ({first_line(error)}); fetch it anew") from None


def _first_known(backend: Tokenizer, *tokens: Any) -> tuple[str, int] | None:
    """(token, id) of the first of `tokens` that the vocabulary holds."""
    for token in tokens:
        identifier = backend.token_to_id(str(token)) if token is not None else None
        if identifier is not None:
            return str(token), identifier
    return None


def configured_end_ids(folder: Path) -> Any:
    """`eos_token_id` of a checkpoint's generation_config.json: an id, a list of ids, or None, also without the file."""
    path = folder / "generation_config.json"
    return json.loads(path.read_text(encoding="utf8")).get("eos_token_id") if path.is_file() else None


def _holds_vocabulary(folder: Path) -> bool:
    """Whether a tokenizer's vocabulary is in the folder, in one of the forms that transformers reads."""
    return any(file.is_file() for pattern in _VOCABULARIES for file in folder.glob(pattern))


def copy_tokenizer(source: Path, folder: Path) -> None:
    """Copies the tokenizer's files of one checkpoint folder to another, byte for byte. Raises `ModelError` where there
    is none.
    """
    for name in _TOKENIZER_FILES:
        if (source / name).is_file():
            (folder / name).write_bytes((source / name).read_bytes())
    if not _holds_vocabulary(folder):
        raise ModelError(
            f"{source}: the tokenizer is no longer there, and a checkpoint without it could not be read; was the "
            "cache deleted? The same command in the same directory prepares it again and continues"
        )


def weights_fingerprint(folder: Path) -> str:
    """Hex digest over the weight files of a checkpoint, the order of their names fixed."""
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")])
    if not files:
        raise ModelError(f"{folder}: no safetensors or pytorch_model.bin in it")
    return fingerprint([[path.name, sha256_of_file(path)] for path in files])


def tokenizer_fingerprint(tokenizer: TextTokenizer) -> str:
    """Hex digest of the tokenizer's definition."""
    return fingerprint([json.loads(tokenizer.backend.to_str()), tokenizer.end_of_text_id])
