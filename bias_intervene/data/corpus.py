"""Tokenizes the user's text (plain text, JSON lines or a data set of the hub) into rows, cached by fingerprint.

Documents are joined by the end-of-text token and cut into rows of `sequence_length` + 1 tokens. Each row begins with
the last token of the row before it, so that every token but the first is predicted exactly once.

Input: the location of the text and a tokenizer.
Output: a cached pair of `.bin` and `.idx`, as a `Corpus`.
Guarantees: the same text and tokenizer give the same rows. Different text never hits the cache, because the fingerprint
covers the bytes that were read. A file that is missing, empty or no text is reported, with the line; only empty texts
are left out. Files of any size take at most 1 GiB of memory (`encoding`, `text_files`).
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np
from tokenizers import Tokenizer

from bias_intervene import text_files
from bias_intervene.data.encoding import PART_CHARS, Document, token_stream
from bias_intervene.data.indexed import Layout, token_dtype, write_rows
from bias_intervene.data.shards import Expected, local_layout
from bias_intervene.errors import DataError, HubError, first_line
from bias_intervene.record import fingerprint, made_once, sha256_of_file, write_json
from bias_intervene.settings import CorpusData, HubData, IndexedData, JsonlData, TextData

_FORMAT = 2
"""Version of the rows; to be increased when the same text would give different rows."""


HELDOUT, BEFORE_WINDOW = "heldout", "before_window"
"""What the rows are that the evaluation scores, which is also the protocol of the metrics over them. `heldout`: the
run trains on none of them. `before_window`: nor does it on these, but its base model did, last of all its training."""

_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
"""A surrogate: JSON can spell one alone, UTF-8 cannot."""


@dataclass(frozen=True)
class Corpus:
    """Prepared rows: [0, num_training_rows) may be trained on, `heldout` are read by the evaluation only."""

    layout: Layout
    fingerprint: str
    num_training_rows: int
    heldout: range
    heldout_layout: Layout | None = None
    """Where the rows of `heldout` are, if they are not in `layout`."""
    heldout_protocol: str = HELDOUT
    """HELDOUT or BEFORE_WINDOW."""

    @property
    def num_rows(self) -> int:
        """Rows of the whole corpus."""
        return self.layout.num_rows

    def to_json(self) -> dict[str, Any]:
        """As inputs.json holds it."""
        return {
            "layout": self.layout.to_json(),
            "num_training_rows": self.num_training_rows,
            "heldout": [self.heldout.start, self.heldout.stop],
            "heldout_layout": self.heldout_layout.to_json() if self.heldout_layout else None,
            "heldout_protocol": self.heldout_protocol,
        }


def prepare(
    data: CorpusData, *, tokenizer: Tokenizer, end_of_text_id: int, sequence_length: int, cache: Path
) -> Corpus:
    """The rows of the corpus, read from the cache if they are there. Raises `DataError`."""
    source_fingerprint = fingerprint_of(data)
    key = fingerprint(
        {
            "format": _FORMAT,
            "source": source_fingerprint,
            "tokenizer": hashlib.sha256(tokenizer.to_str().encode()).hexdigest(),
            "end_of_text_id": end_of_text_id,
            "sequence_length": sequence_length,
        }
    )
    folder = cache / "corpora" / key
    with made_once(folder) as partial:
        if partial is not None:
            dtype = token_dtype(tokenizer.get_vocab_size(with_added_tokens=True))
            tokens = token_stream(documents(data), tokenizer, end_of_text_id)
            num_rows = write_rows(
                partial / "rows",
                pack(tokens, sequence_length),
                row_tokens=sequence_length + 1,
                dtype=dtype,
            )
            if num_rows == 0:
                raise DataError(f"{where(data)}: fewer than {sequence_length + 1} tokens, not one row; give more text")
            write_json(partial / "source.json", {"source": source_fingerprint, "num_rows": num_rows})
    return holding_out(data.heldout_rows, Layout.of_pair(folder / "rows"), key, name=where(data))


def holding_out(num_rows: int, layout: Layout, key: str, *, name: str) -> Corpus:
    """The corpus whose last `num_rows` rows are held out. Raises `DataError` where that leaves none to train on."""
    num_training_rows = layout.num_rows - num_rows
    if num_training_rows <= 0:
        raise DataError(
            f"{name}: {layout.num_rows} rows, and data.heldout_rows={num_rows} leaves none to train on; "
            "give more text or hold out fewer"
        )
    return Corpus(layout, key, num_training_rows, range(num_training_rows, layout.num_rows))


def prepare_indexed(data: IndexedData, *, sequence_length: int) -> Corpus:
    """A corpus that is in the row format already. Raises `DataError` for rows of another length."""
    key = where(data)
    layout = local_layout(Path(data.path).expanduser(), expected=Expected(row_tokens=sequence_length + 1), key=key)
    if layout.row_tokens != sequence_length + 1:
        raise DataError(
            f"{key}: rows of {layout.row_tokens} tokens, and train.sequence_length={sequence_length} needs "
            f"{sequence_length + 1}; set train.sequence_length={layout.row_tokens - 1}, or write the rows anew"
        )
    digests = [[part.path.name, sha256_of_file(part.path)] for part in layout.parts]
    return holding_out(data.heldout_rows, layout, fingerprint(digests), name=key)


def where(data: CorpusData | IndexedData) -> str:
    """The setting that locates the corpus, for messages."""
    return f"data.repository={data.repository}" if isinstance(data, HubData) else f"data.path={data.path}"


def files(data: TextData | JsonlData) -> list[Path]:
    """The files of the corpus, sorted by name. Raises `DataError` if there are none."""
    suffixes = ("txt",) if isinstance(data, TextData) else ("jsonl", "json")
    path = Path(data.path).expanduser()
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"data.path={data.path}: no such file or folder")
    endings = tuple(ending for suffix in suffixes for ending in (f".{suffix}", f".{suffix}.gz", f".{suffix}.zst"))
    matching = sorted(p for p in path.rglob("*") if p.is_file() and p.name.endswith(endings))
    if not matching:
        raise DataError(f"data.path={data.path}: no file that ends in {', '.join(endings)} below this folder")
    return matching


def fingerprint_of(data: CorpusData) -> list[str]:
    """Identifies the text: the sha256 of every file, or of the texts of a hub data set, and the field that is read."""
    if isinstance(data, HubData):
        digest = hashlib.sha256()
        for text in _hub_documents(data):
            digest.update(f"{len(text)} ".encode() + text.encode())
        return [digest.hexdigest(), data.field]
    digests = [sha256_of_file(path) for path in files(data)]
    return [*digests, data.field] if isinstance(data, JsonlData) else digests


def documents(data: CorpusData) -> Iterator[Document]:
    """The documents, in order, but for empty ones. The pieces of a long one must be read before the next.

    Raises `DataError` naming the file and line at fault.
    """
    if isinstance(data, HubData):
        yield from _hub_documents(data)
        return
    for path in files(data):
        if isinstance(data, JsonlData):
            texts = jsonl_documents(path, data.field, key=f"data.field={data.field}")
            yield from (text for text in texts if text)
        else:
            yield _text_document(path)


def _text_document(path: Path) -> Document:
    """The text of a file, in pieces if it is long. Raises `DataError` if it is empty."""
    pieces = text_files.pieces(path)
    first = ""
    for piece in pieces:
        first += piece
        if len(first) > PART_CHARS:
            return chain([first], pieces)
    if not first.strip():
        raise DataError(f"{path}: empty")
    return first


def jsonl_documents(path: Path, field: str, *, key: str) -> Iterator[str]:
    """The value of `field` in every line. key: the setting that names the field, for messages."""
    empty = True
    for number, line in enumerate(text_files.lines(path), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:  # Also numbers of thousands of digits, and deep nesting.
            reason = error.msg if isinstance(error, json.JSONDecodeError) else first_line(error)
            raise DataError(f"{path}, line {number}: not JSON ({reason})") from None
        if not isinstance(value, dict) or not isinstance(value.get(field), str):
            found = sorted(cast(dict[str, Any], value)) if isinstance(value, dict) else type(value).__name__
            raise DataError(f"{path}, line {number}: no text under {key}; found {found}")
        text: str = value[field]
        if half := _HALF_CHARACTER.search(text):
            raise DataError(
                f"{path}, line {number}: the text under {key} holds \\u{ord(half[0]):04x}, one half of a character, "
                "which no tokenizer reads; write both halves or leave it out"
            )
        empty = empty and not text
        yield text
    if empty:
        raise DataError(f"{path}: empty")


def load_dataset(repository: str, config: str | None, *, split: str, revision: str | None = None) -> Any:
    """A data set of the hub, or of a local folder in its format. Raises the errors of the `datasets` library.

    A local folder is read anew each time: the cache of the library could return another folder of the same name, or
    an earlier state of this one.
    """
    import datasets

    folder = Path(repository).expanduser()
    mode, source = ("force_redownload", str(folder)) if folder.is_dir() else (None, repository)
    return datasets.load_dataset(
        source, config, split=split, revision=revision, download_mode=mode, trust_remote_code=False
    )


def _load_hub(data: HubData) -> Any:
    """The data set. Raises `DataError` or `HubError` naming the setting."""
    try:
        loaded = load_dataset(data.repository, data.config, split=data.split, revision=data.revision)
    except (ConnectionError, OSError) as error:
        raise HubError(
            f"data.repository={data.repository}: the data set cannot be reached on the hub ({first_line(error)}); "
            "give a local folder in the hub's format, or use data=text or data=jsonl with data.path"
        ) from None
    except ValueError as error:
        raise DataError(f"data.repository={data.repository}: {first_line(error)}") from None
    if data.field not in loaded.column_names:
        raise DataError(
            f"data.field={data.field}: {data.repository} has no such column; found {', '.join(loaded.column_names)}"
        )
    return loaded


def _hub_documents(data: HubData) -> Iterator[str]:
    """The texts of a hub data set."""
    empty = True
    for text in _load_hub(data)[data.field]:
        if text:
            empty = False
            yield text
    if empty:
        raise DataError(f"{where(data)}: no text in column {data.field}")


def pack(pieces: Iterable[np.ndarray], sequence_length: int) -> Iterator[np.ndarray]:
    """Cuts a stream of tokens into rows (sequence_length + 1,), each beginning with the last token of the previous one.

    >>> [row.tolist() for row in pack([np.arange(4), np.arange(4, 8)], 3)]
    [[0, 1, 2, 3], [3, 4, 5, 6]]
    """
    buffer = np.empty(0, dtype=np.int64)
    for piece in pieces:
        buffer = np.concatenate([buffer, piece])
        at = 0
        while buffer.size - at > sequence_length:
            yield buffer[at : at + sequence_length + 1]
            at += sequence_length
        buffer = buffer[at:]
