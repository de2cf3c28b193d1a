"""The user's text -> rows: plain text, JSON lines or a hub data set, tokenized once and kept by fingerprint.

Enters: where the text lies, a tokenizer. Leaves: a cached pair of `.bin`/`.idx` whose rows are `sequence_length` + 1
tokens, documents joined by the end-of-text token, a row beginning with the last token of the one before it, so that
every token but the first is predicted once. Promised: the same text and tokenizer give the same rows; other text never
hits the cache, because the fingerprint is of the bytes read; nothing is skipped in silence: a file that is missing,
empty or not UTF-8 is named with its line.
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
from bias_intervene.record import fingerprint, sha256_of_file, whole_folder, write_json
from bias_intervene.settings import CorpusData, HubData, IndexedData, JsonlData, TextData

BATCH_DOCUMENTS = 256
"""Documents tokenized at once; the tokenizers library spreads them over the cores."""
FORMAT = 1
"""Raise when the rows of the same text would come out differently."""


@dataclass(frozen=True)
class Corpus:
    """Prepared rows: [0, num_training_rows) may be trained on, `heldout` is what the manipulation check reads."""

    layout: Layout
    fingerprint: str
    num_training_rows: int
    heldout: range

    @property
    def num_rows(self) -> int:
        """Rows of the whole corpus."""
        return self.layout.num_rows

    def to_json(self) -> dict[str, Any]:
        """As inputs.json holds it."""
        heldout = [self.heldout.start, self.heldout.stop]
        return {"layout": self.layout.to_json(), "num_training_rows": self.num_training_rows, "heldout": heldout}


def prepare(
    data: CorpusData, *, tokenizer: Tokenizer, end_of_text_id: int, sequence_length: int, cache: Path
) -> Corpus:
    """Rows of the corpus, from the cache where they are. Raises `DataError`."""
    source_print = fingerprint_of(data)
    key = fingerprint(
        {
            "format": FORMAT,
            "source": source_print,
            "tokenizer": hashlib.sha256(tokenizer.to_str().encode()).hexdigest(),
            "end_of_text_id": end_of_text_id,
            "sequence_length": sequence_length,
        }
    )
    folder = cache / "corpora" / key
    if not (folder / "rows.idx").is_file():
        dtype = token_dtype(tokenizer.get_vocab_size(with_added_tokens=True))
        with whole_folder(folder) as partial:
            tokens = token_stream(documents(data), tokenizer, end_of_text_id)
            num_rows = write_rows(
                partial / "rows",
                pack(tokens, sequence_length),
                row_tokens=sequence_length + 1,
                dtype=dtype,
            )
            if num_rows == 0:
                raise DataError(f"{where(data)}: fewer than {sequence_length + 1} tokens, not one row; give more text")
            write_json(partial / "source.json", {"source": source_print, "num_rows": num_rows})
    return holding_out(data.heldout_rows, Layout.of_pair(folder / "rows"), key, name=where(data))


def holding_out(num_rows: int, layout: Layout, key: str, *, name: str) -> Corpus:
    """The corpus whose last `num_rows` rows are held out. Raises `DataError` where that leaves none to train on."""
    left = layout.num_rows - num_rows
    if left <= 0:
        raise DataError(
            f"{name}: {layout.num_rows} rows, and data.heldout_rows={num_rows} leaves none to train on; "
            "give more text or hold out fewer"
        )
    return Corpus(layout, key, left, range(left, layout.num_rows))


def prepare_indexed(data: IndexedData, *, sequence_length: int) -> Corpus:
    """Rows that are in the format already. Raises `DataError` where they are of another length."""
    key = where(data)
    layout = local_layout(Path(data.path).expanduser(), expected=Expected(row_tokens=sequence_length + 1), key=key)
    if layout.row_tokens != sequence_length + 1:
        raise DataError(
            f"{key}: rows of {layout.row_tokens} tokens, and train.sequence_length={sequence_length} needs "
            f"{sequence_length + 1}; set train.sequence_length={layout.row_tokens - 1}, or write the rows anew"
        )
    prints = [[part.path.name, sha256_of_file(part.path)] for part in layout.parts]
    return holding_out(data.heldout_rows, layout, fingerprint(prints), name=key)


def where(data: CorpusData | IndexedData) -> str:
    """The corpus as a message names it."""
    return f"data.repository={data.repository}" if isinstance(data, HubData) else f"data.path={data.path}"


def files(data: TextData | JsonlData) -> list[Path]:
    """The files of the corpus in the order of their names. Raises `DataError` where there are none."""
    suffixes = ("txt",) if isinstance(data, TextData) else ("jsonl", "json")
    path = Path(data.path).expanduser()
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"data.path={data.path}: no such file or folder")
    endings = tuple(ending for suffix in suffixes for ending in (f".{suffix}", f".{suffix}.gz"))
    found = sorted(p for p in path.rglob("*") if p.is_file() and p.name.endswith(endings))
    if not found:
        raise DataError(f"data.path={data.path}: no file that ends in {', '.join(endings)} below this folder")
    return found


def fingerprint_of(data: CorpusData) -> list[str]:
    """Identifies the text: the sha256 of every file, or of the texts of a hub data set."""
    if isinstance(data, HubData):
        digest = hashlib.sha256()
        for text in hub_documents(data):
            digest.update(f"{len(text)} ".encode() + text.encode())
        return [digest.hexdigest(), data.field]
    prints = [sha256_of_file(path) for path in files(data)]
    return [*prints, data.field] if isinstance(data, JsonlData) else prints


def documents(data: CorpusData) -> Iterator[str]:
    """The texts, one a document, in order. Raises `DataError` naming the file and line at fault."""
    if isinstance(data, HubData):
        yield from hub_documents(data)
        return
    for path in files(data):
        if isinstance(data, JsonlData):
            yield from jsonl_documents(path, data.field, key=f"data.field={data.field}")
            continue
        text = decoded(b"".join(lines(path)), path)
        if not text.strip():
            raise DataError(f"{path}: empty")
        yield text


def lines(path: Path) -> Iterator[bytes]:
    """Lines of a plain or gzipped file, as they are read. Raises `DataError` for a file that cannot be."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield from file
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None


def decoded(content: bytes, path: Path, *, before: int = 0) -> str:
    """UTF-8 as text. before: lines of the file in front of it. Raises `DataError` naming the first line at fault."""
    try:
        return content.decode("utf8")
    except UnicodeDecodeError as error:
        line = before + content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: not UTF-8 (byte 0x{content[error.start]:02x}); convert it, e.g. with "
            "iconv -f latin1 -t utf8"
        ) from None


def jsonl_documents(path: Path, field: str, *, key: str) -> Iterator[str]:
    """The value of `field` of every line. key: the setting that names the field, for messages."""
    empty = True
    for number, line in enumerate(lines(path), start=1):
        if not line.strip():
            continue
        empty = False
        try:
            value = json.loads(decoded(line, path, before=number - 1))
        except json.JSONDecodeError as error:
            raise DataError(f"{path}, line {number}: not JSON ({error.msg})") from None
        if not isinstance(value, dict) or not isinstance(value.get(field), str):
            found = sorted(cast(dict[str, Any], value)) if isinstance(value, dict) else type(value).__name__
            raise DataError(f"{path}, line {number}: no text under {key}; found {found}")
        yield value[field]
    if empty:
        raise DataError(f"{path}: empty")


def load_dataset(repository: str, config: str | None, *, split: str, revision: str | None = None) -> Any:
    """A data set of the hub, or of a local folder in its format. Errors are those of the library.

    A local folder is read anew each time: the library would take another folder of the same name, or this one before
    it was changed, from its cache.
    """
    import datasets

    folder = Path(repository).expanduser()
    mode, source = ("force_redownload", str(folder)) if folder.is_dir() else (None, repository)
    return datasets.load_dataset(source, config, split=split, revision=revision, download_mode=mode)


def load_hub(data: HubData) -> Any:
    """The data set. Raises `DataError` or `HubError` in the user's terms."""
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


def hub_documents(data: HubData) -> Iterator[str]:
    """The texts of a hub data set."""
    empty = True
    for text in load_hub(data)[data.field]:
        if text:
            empty = False
            yield text
    if empty:
        raise DataError(f"{where(data)}: no text in column {data.field}")


def token_stream(texts: Iterable[str], tokenizer: Tokenizer, end_of_text_id: int) -> Iterator[np.ndarray]:
    """Token ids of each document, the end-of-text token behind it."""
    iterator = iter(texts)
    while batch := list(islice(iterator, BATCH_DOCUMENTS)):
        for encoding in tokenizer.encode_batch(batch, add_special_tokens=False):
            yield np.asarray([*encoding.ids, end_of_text_id], dtype=np.int64)


def pack(pieces: Iterable[np.ndarray], sequence_length: int) -> Iterator[np.ndarray]:
    """Cuts a stream of tokens into rows (sequence_length + 1,), each beginning with the last token of the one before.

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
