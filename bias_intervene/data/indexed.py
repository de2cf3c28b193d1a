"""Rows in Megatron's `.bin`/`.idx` format, read through memory maps: one file, shards, or files without an index.

A corpus is one stream of bytes in which row r occupies bytes [r x row, (r + 1) x row). A `Part` is a file that holds a
piece of that stream: the whole `.bin`, one of its shards, or a range of a shard that was downloaded. A row that spans
two shards is joined from both.

Input: token ids, one row at a time (writing); a `Layout` (reading).
Output: a pair of files; rows by number.
Guarantees: reading touches only the pages of the requested rows and releases them every `_RELEASE_BYTES`, so that
memory does not grow with the file. Offsets are Python integers and cannot overflow. Files whose sizes do not match are
refused, so a truncated file is never read.

The index, little-endian: 9 bytes `MMIDIDX\\0\\0`, version u64 = 1, dtype code u8 (8 = uint16, 4 = int32), number of
sequences u64, number of documents u64, sizes int32[n], pointers int64[n] in bytes, document index int64[]. Rows of
equal length can be read without an index: the offset follows from the row number.
"""

import mmap
import struct
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bias_intervene.errors import DataError

_MAGIC = b"MMIDIDX\x00\x00"
_DTYPES: dict[int, type[np.generic]] = {8: np.uint16, 4: np.int32}
HEADER = struct.Struct("<9sQBQQ")
_RELEASE_BYTES = 64 << 20
"""Bytes of rows read before their pages are released to the operating system."""
_INDEX_CHUNK = 1 << 22
"""Entries of an index checked at a time."""


def token_dtype(vocabulary_size: int) -> type[np.generic]:
    """The smallest type of the format that holds every id."""
    return np.uint16 if vocabulary_size <= 1 << 16 else np.int32


def write_rows(prefix: Path, rows: Iterable[np.ndarray], *, row_tokens: int, dtype: type[np.generic]) -> int:
    """Writes rows of equal length to `prefix`.bin and .idx; returns their number.

    rows: arrays (row_tokens,). The caller makes the writing atomic (`record.whole_folder`).
    """
    count = 0
    with prefix.with_suffix(".bin").open("wb") as file:
        for row in rows:
            if row.shape != (row_tokens,):
                raise ValueError(f"row {count} has shape {row.shape}, not ({row_tokens},)")
            file.write(row.astype(dtype).tobytes())
            count += 1
    code = next(code for code, kind in _DTYPES.items() if kind is dtype)
    pointers = np.arange(count, dtype=np.int64) * (row_tokens * np.dtype(dtype).itemsize)
    with prefix.with_suffix(".idx").open("wb") as file:
        file.write(HEADER.pack(_MAGIC, 1, code, count, count + 1))
        file.write(np.full(count, row_tokens, dtype="<i4").tobytes())
        file.write(pointers.astype("<i8").tobytes())
        file.write(np.arange(count + 1, dtype="<i8").tobytes())
    return count


# --- the index -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Index:
    """The content of an `.idx`. The arrays are memory-mapped: that of the Pile takes 2.9 GB."""

    path: Path
    dtype: np.dtype[Any]
    sizes: np.ndarray
    """int32 (rows,): tokens of each row."""
    pointers: np.ndarray
    """int64 (rows,): first byte of each row."""

    @classmethod
    def open(cls, path: Path) -> "Index":
        """Raises `DataError` for a file that is no index, or is truncated."""
        if not path.is_file():
            raise DataError(f"{path}: no such file; a corpus is a pair of .bin and .idx")
        with path.open("rb") as file:
            head = file.read(HEADER.size)
        if len(head) < HEADER.size or head[:9] != _MAGIC:
            raise DataError(f"{path}: not a Megatron index (it does not begin with MMIDIDX)")
        _, version, code, count, num_documents = HEADER.unpack(head)
        if version != 1 or code not in _DTYPES:
            raise DataError(f"{path}: version {version}, dtype code {code}; readable: version 1, 8 (uint16), 4 (int32)")
        if count == 0:
            raise DataError(f"{path}: holds no rows")
        expected, found = HEADER.size + 12 * count + 8 * num_documents, path.stat().st_size
        if found < expected:
            raise DataError(
                f"{path}: truncated; it names {count:,} rows, which take {expected:,} bytes, and holds {found:,}"
            )
        sizes = np.memmap(path, dtype="<i4", mode="r", offset=HEADER.size, shape=(count,))
        pointers = np.memmap(path, dtype="<i8", mode="r", offset=HEADER.size + 4 * count, shape=(count,))
        return cls(path, np.dtype(_DTYPES[code]), sizes, pointers)

    def __len__(self) -> int:
        return self.sizes.shape[0]

    def row_tokens(self, first: int = 0, end: int | None = None) -> int:
        """The common length of rows [first, end), which must be contiguous. Raises `DataError`."""
        end = len(self) if end is None else end
        tokens = int(self.sizes[first])
        row_bytes = tokens * self.dtype.itemsize
        for low in range(first, end, _INDEX_CHUNK):
            high = min(end, low + _INDEX_CHUNK)
            sizes = np.asarray(self.sizes[low:high])
            if (sizes != tokens).any():
                other = low + int(np.argmax(sizes != tokens))
                raise DataError(
                    f"{self.path}: row {first} has {tokens} tokens and row {other} has {int(self.sizes[other])}; rows "
                    "of one length are needed (`python -m bias_intervene.data write` packs text into such rows)"
                )
            expected = np.arange(low, high, dtype=np.int64) * row_bytes
            wrong = np.asarray(self.pointers[low:high]) != expected
            if wrong.any():
                other = low + int(np.argmax(wrong))
                raise DataError(
                    f"{self.path}: row {other} begins at byte {int(self.pointers[other]):,}, not "
                    f"{other * row_bytes:,}; rows must lie one behind the other"
                )
        return tokens


# --- the rows --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """A file that holds bytes [first, end) of the corpus, from its byte `offset` on."""

    path: Path
    first: int
    end: int
    offset: int = 0


@dataclass(frozen=True)
class Layout:
    """Where the rows of a corpus are stored: all that `Rows` needs, as kept in inputs.json."""

    parts: tuple[Part, ...]
    row_tokens: int
    dtype: str
    num_rows: int
    """Rows of the whole corpus; the parts may hold a window of it."""

    def to_json(self) -> dict[str, Any]:
        """As inputs.json holds it."""
        parts = [{"path": str(p.path), "first": p.first, "end": p.end, "offset": p.offset} for p in self.parts]
        return {"parts": parts, "row_tokens": self.row_tokens, "dtype": self.dtype, "num_rows": self.num_rows}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Layout":
        """The inverse of `to_json`."""
        parts = tuple(Part(**{**part, "path": Path(part["path"])}) for part in values["parts"])
        return cls(parts, values["row_tokens"], values["dtype"], values["num_rows"])

    @classmethod
    def of_pair(cls, prefix: Path) -> "Layout":
        """A `.bin` with its `.idx`. Raises `DataError` where they do not fit each other."""
        bin_path = prefix.with_suffix(".bin")
        if not bin_path.is_file():
            raise DataError(f"{bin_path}: no such file; a corpus is a pair of .bin and .idx")
        index = Index.open(prefix.with_suffix(".idx"))
        row_tokens = index.row_tokens()
        expected = len(index) * row_tokens * index.dtype.itemsize
        found = bin_path.stat().st_size
        if found != expected:
            raise DataError(f"{bin_path}: {found:,} bytes, and its index asks for {expected:,}; truncated or altered")
        return cls((Part(bin_path, 0, found),), row_tokens, index.dtype.name, len(index))


class Rows:
    """Rows by number: `rows[i]` is a read-only array (row_tokens,), a view of the map unless the row spans two files.

    Raises `DataError` for a row that no part holds, and for a file shorter than its part.
    """

    def __init__(self, layout: Layout):
        self.layout, self.row_tokens, self.dtype = layout, layout.row_tokens, np.dtype(layout.dtype)
        self.row_bytes = self.row_tokens * self.dtype.itemsize
        self._parts = sorted(layout.parts, key=lambda part: part.first)
        self._firsts = [part.first for part in self._parts]
        self._maps: dict[int, mmap.mmap] = {}
        self._served = 0

    @classmethod
    def open(cls, prefix: Path) -> "Rows":
        """The rows of one `.bin`/`.idx` pair."""
        return cls(Layout.of_pair(prefix))

    def __len__(self) -> int:
        return self.layout.num_rows

    def __getitem__(self, row: int) -> np.ndarray:
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        first, end = row * self.row_bytes, (row + 1) * self.row_bytes
        pieces: list[np.ndarray] = []
        at = first
        while at < end:
            number = bisect_right(self._firsts, at) - 1
            if number < 0 or self._parts[number].end <= at:
                raise DataError(f"row {row}: byte {at:,} of the corpus is in none of its files ({self.held()})")
            part = self._parts[number]
            stop = min(end, part.end)
            begin = part.offset + at - part.first
            pieces.append(np.frombuffer(self._mapped(number), np.uint8, stop - at, begin))
            at = stop
        self._release(self.row_bytes)
        joined = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        row_ids = joined.view(self.dtype)
        row_ids.flags.writeable = False
        return row_ids

    def stack(self, numbers: Sequence[int]) -> np.ndarray:
        """A copy of the rows, (len(numbers), row_tokens)."""
        out = np.empty((len(numbers), self.row_tokens), self.dtype)
        for at, number in enumerate(numbers):
            out[at] = self[number]
        return out

    def held(self) -> str:
        """The rows that the parts hold, for messages."""
        names = [
            f"{part.path.name}: rows {-(-part.first // self.row_bytes):,} to {part.end // self.row_bytes - 1:,}"
            for part in self._parts
        ]
        return "; ".join(names) or "there are none"

    def _mapped(self, number: int) -> mmap.mmap:
        """The memory map of a part, opened at its first use."""
        if number not in self._maps:
            part = self._parts[number]
            needed = part.offset + part.end - part.first
            with part.path.open("rb") as file:
                found = part.path.stat().st_size
                if found < needed:
                    raise DataError(f"{part.path}: {found:,} bytes, and {needed:,} are needed; truncated or altered")
                self._maps[number] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return self._maps[number]

    def _release(self, num_bytes: int) -> None:
        """Releases the pages read so far, once `_RELEASE_BYTES` have been read; the system reloads them when needed."""
        self._served += num_bytes
        if self._served >= _RELEASE_BYTES and hasattr(mmap, "MADV_DONTNEED"):
            for mapped in self._maps.values():
                mapped.madvise(mmap.MADV_DONTNEED)
            self._served = 0


def check_ids(rows_BS: np.ndarray, numbers: Sequence[int], *, vocabulary_size: int) -> None:
    """Raises `DataError` for an id that the model has no embedding for, naming the first row and position."""
    wrong = (rows_BS < 0) | (rows_BS >= vocabulary_size)
    if wrong.any():
        row, position = (int(at) for at in np.argwhere(wrong)[0])
        raise DataError(
            f"row {numbers[row]}, position {position}: token id {int(rows_BS[row, position])}; the model knows 0 to "
            f"{vocabulary_size - 1}; the rows were made with another tokenizer"
        )
