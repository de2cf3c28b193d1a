"""Tokenizes the user's text (plain text, JSON lines or a data set of the hub) into rows, cached by fingerprint.

Documents are joined by the end-of-text token and cut into rows of `sequence_length` + 1 tokens. Each row begins with
the last token of the row before it, so that every token but the first is predicted exactly once.

Input: the location of the text and a tokenizer.
Output: a cached pair of `.bin` and `.idx`, as a `Corpus`.
Guarantees: the same text and tokenizer give the same rows. Different text never hits the cache, because the fingerprint
covers the bytes that were read. Nothing is skipped silently: a file that is missing, empty or not UTF-8 is reported,
with the line.
"""

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
from tokenizers import Tokenizer

from bias_intervene.data.indexed import Layout, token_dtype, write_rows
from bias_intervene.data.shards import Expected, local_layout
from bias_intervene.errors import DataError, HubError, first_line
from bias_intervene.record import fingerprint, made_once, sha256_of_file, write_json
from bias_intervene.settings import CorpusData, HubData, IndexedData, JsonlData, TextData

_BATCH_DOCUMENTS = 256
"""Documents tokenized at once; the tokenizers library spreads them over the cores."""
_FORMAT = 1
"""Version of the rows; to be increased when the same text would give different rows."""


HELDOUT, BEFORE_WINDOW = "heldout", "before_window"
"""What the rows are that the evaluation scores, which is also the protocol of the metrics over them. `heldout`: the
run trains on none of them. `before_window`: nor does it on these, but its base model did, last of all its training."""


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
    endings = tuple(ending for suffix in suffixes for ending in (f".{suffix}", f".{suffix}.gz"))
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


def documents(data: CorpusData) -> Iterator[str]:
    """The texts of the documents, in order. Raises `DataError` naming the file and line at fault."""
    if isinstance(data, HubData):
        yield from _hub_documents(data)
        return
    for path in files(data):
        if isinstance(data, JsonlData):
            yield from jsonl_documents(path, data.field, key=f"data.field={data.field}")
            continue
        text = _decode(b"".join(_lines_of(path)), path)
        if not text.strip():
            raise DataError(f"{path}: empty")
        yield text


def _lines_of(path: Path) -> Iterator[bytes]:
    """Lines of a plain or gzipped file, read lazily. Raises `DataError` if the file cannot be read."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield from file
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None


def _decode(content: bytes, path: Path, *, before: int = 0) -> str:
    """Decodes UTF-8. before: number of lines before `content` in the file. Raises `DataError` naming the line."""
    try:
        return content.decode("utf8")
    except UnicodeDecodeError as error:
        line = before + content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: not UTF-8 (byte 0x{content[error.start]:02x}); convert it, e.g. with "
            "iconv -f latin1 -t utf8"
        ) from None


def jsonl_documents(path: Path, field: str, *, key: str) -> Iterator[str]:
    """The value of `field` in every line. key: the setting that names the field, for messages."""
    empty = True
    for number, line in enumerate(_lines_of(path), start=1):
        if not line.strip():
            continue
        empty = False
        try:
            value = json.loads(_decode(line, path, before=number - 1))
        except json.JSONDecodeError as error:
            raise DataError(f"{path}, line {number}: not JSON ({error.msg})") from None
        if not isinstance(value, dict) or not isinstance(value.get(field), str):
            found = sorted(cast(dict[str, Any], value)) if isinstance(value, dict) else type(value).__name__
            raise DataError(f"{path}, line {number}: no text under {key}; found {found}")
        yield value[field]
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


def token_stream(texts: Iterable[str], tokenizer: Tokenizer, end_of_text_id: int) -> Iterator[np.ndarray]:
    """Token ids of each document, followed by the end-of-text token."""
    iterator = iter(texts)
    while batch := list(islice(iterator, _BATCH_DOCUMENTS)):
        for encoding in tokenizer.encode_batch(batch, add_special_tokens=False):
            yield np.asarray([*encoding.ids, end_of_text_id], dtype=np.int64)


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
