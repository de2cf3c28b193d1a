"""Rows of a text that is no part of a training, such as the validation split of the Pile.

Input: JSON lines (a file or a folder), or a data set of the hub with a split `validation`; and a tokenizer.
Output: the first rows of it, in the cache.
Guarantees: no more documents are read than the rows take. A text that is too short for them is refused.
"""

import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from bias_intervene.data.corpus import documents, pack
from bias_intervene.data.encoding import Document, token_stream
from bias_intervene.data.indexed import Layout, token_dtype, write_rows
from bias_intervene.errors import BiasInterveneError, DataError
from bias_intervene.record import fingerprint, made_once
from bias_intervene.settings import HubData, JsonlData

_FIELD, _SPLIT = "text", "validation"
"""The names under which the Pile and its copies on the hub have texts and validation split."""
_HUB_NAME_PARTS = 2
"""A name of the hub is owner/name."""


def validation_rows(
    source: str, *, num_rows: int, tokenizer: Tokenizer, end_of_text_id: int, sequence_length: int, cache: Path
) -> Layout:
    """The first `num_rows` rows of the text. source: `data.validation`. Raises `DataError` or `HubError`."""
    try:
        tokens = token_stream(_documents(source), tokenizer, end_of_text_id)
        rows = list(islice(pack(tokens, sequence_length), num_rows))
    except BiasInterveneError as error:
        raise type(error)(f"data.validation={source}: {error}") from None
    if len(rows) < num_rows:
        raise DataError(
            f"data.validation={source}: {len(rows)} rows of {sequence_length + 1} tokens, and data.heldout_rows="
            f"{num_rows}; give more text or fewer rows"
        )
    dtype = token_dtype(tokenizer.get_vocab_size(with_added_tokens=True))
    digest = hashlib.sha256(np.stack(rows).astype("<i4").tobytes()).hexdigest()
    folder = cache / "corpora" / fingerprint(["validation", digest, sequence_length])
    with made_once(folder) as partial:
        if partial is not None:
            write_rows(partial / "rows", rows, row_tokens=sequence_length + 1, dtype=dtype)
    return Layout.of_pair(folder / "rows")


def is_local(source: str) -> bool:
    """Whether it is a path on this machine, and not a name of the hub (owner/name)."""
    is_path = source.startswith(("/", ".", "~")) or len(Path(source).parts) != _HUB_NAME_PARTS
    return is_path or Path(source).expanduser().exists()


def _documents(source: str) -> Iterator[Document]:
    """The texts, in order. A local folder without JSON lines is read as a data set of the hub."""
    path = Path(source).expanduser()
    common = {"shuffle": False, "allow_repeats": False, "heldout_rows": 0, "field": _FIELD}
    holds_lines = path.is_file() or (path.is_dir() and any(path.rglob("*.json*")))
    if is_local(source) and (holds_lines or not path.is_dir()):
        return documents(JsonlData(kind="jsonl", path=source, **common))
    return documents(HubData(kind="hub", repository=source, config=None, split=_SPLIT, revision=None, **common))
