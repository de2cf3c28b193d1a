"""Rows in Megatron's `.bin`/`.idx` format: one file of tokens, one index, read through a memory map.

Enters: token ids, a row at a time. Leaves: rows by number, without copying. Promised: a reader touches only the pages
of the rows it is asked for; a file whose sizes do not fit its index is refused, so a truncated one is never read.

The index, little-endian: 9 bytes `MMIDIDX\\0\\0`, version u64 = 1, dtype code u8 (8 = uint16, 4 = int32), number of
sequences u64, number of documents u64, sizes int32[n], pointers int64[n] in bytes, document index int64[].
"""

import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from bias_intervene.errors import DataError

MAGIC = b"MMIDIDX\x00\x00"
DTYPES: dict[int, type[np.generic]] = {8: np.uint16, 4: np.int32}
HEADER = struct.Struct("<9sQBQQ")


def token_dtype(vocabulary_size: int) -> type[np.generic]:
    """The smallest stored type that holds every id."""
    return np.uint16 if vocabulary_size <= 1 << 16 else np.int32


def write_rows(prefix: Path, rows: Iterable[np.ndarray], *, row_tokens: int, dtype: type[np.generic]) -> int:
    """Writes rows of equal length to `prefix`.bin and .idx; returns how many.

    rows: arrays (row_tokens,). The caller makes the pair appear whole (`record.whole_folder`).
    """
    count = 0
    with prefix.with_suffix(".bin").open("wb") as file:
        for row in rows:
            if row.shape != (row_tokens,):
                raise ValueError(f"row {count} has shape {row.shape}, not ({row_tokens},)")
            file.write(row.astype(dtype).tobytes())
            count += 1
    code = next(code for code, kind in DTYPES.items() if kind is dtype)
    pointers = np.arange(count, dtype=np.int64) * (row_tokens * np.dtype(dtype).itemsize)
    with prefix.with_suffix(".idx").open("wb") as file:
        file.write(HEADER.pack(MAGIC, 1, code, count, count + 1))
        file.write(np.full(count, row_tokens, dtype="<i4").tobytes())
        file.write(pointers.astype("<i8").tobytes())
        file.write(np.arange(count + 1, dtype="<i8").tobytes())
    return count


class Rows:
    """Rows of one `.bin`/`.idx` pair, all of one length.

    `rows[i]` is a read-only view (row_tokens,) of the memory map. Raises `DataError` for files that are not a pair of
    this format or do not fit each other.
    """

    def __init__(self, prefix: Path):
        self.bin_path = prefix.with_suffix(".bin")
        idx_path = prefix.with_suffix(".idx")
        for path in (self.bin_path, idx_path):
            if not path.is_file():
                raise DataError(f"{path}: no such file; a corpus is a pair of .bin and .idx")
        with idx_path.open("rb") as file:
            head = file.read(HEADER.size)
            if len(head) < HEADER.size or head[:9] != MAGIC:
                raise DataError(f"{idx_path}: not a Megatron index (it does not begin with MMIDIDX)")
            _, version, code, count, _ = HEADER.unpack(head)
            if version != 1 or code not in DTYPES:
                raise DataError(
                    f"{idx_path}: version {version}, dtype code {code}; readable: version 1, 8 (uint16), 4 (int32)"
                )
            held = file.read(4 * count)
            sizes = np.frombuffer(held[: len(held) // 4 * 4], dtype="<i4")
        if sizes.size != count:
            raise DataError(f"{idx_path}: truncated; it names {count} rows and holds the sizes of {sizes.size}")
        if count == 0:
            raise DataError(f"{idx_path}: holds no rows")
        lengths = np.unique(sizes)
        if lengths.size != 1:
            raise DataError(
                f"{idx_path}: rows of {lengths.size} lengths ({lengths[0]} to {lengths[-1]} tokens); one is needed"
            )
        self.row_tokens = int(lengths[0])
        self.dtype = np.dtype(DTYPES[code])
        expected = count * self.row_tokens * self.dtype.itemsize
        found = self.bin_path.stat().st_size
        if found != expected:
            raise DataError(
                f"{self.bin_path}: {found:,} bytes, and its index asks for {expected:,}; truncated or altered"
            )
        self._map = np.memmap(self.bin_path, dtype=self.dtype, mode="r", shape=(count, self.row_tokens))

    def __len__(self) -> int:
        return self._map.shape[0]

    def __getitem__(self, row: int) -> np.ndarray:
        return self._map[row]
