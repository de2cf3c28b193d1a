"""Locates the rows of a corpus on this machine: one `.bin` or its shards, with an index or without.

Shards are pieces of one stream of bytes, cut without regard to rows; all but the last have the same size.

Input: a path.
Output: a `Layout`.
Guarantees: only the files that hold the requested rows need to exist. The bytes of each shard are derived from the
sizes of the files present; if these disagree, or a necessary file is missing, the error names it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bias_intervene.data.indexed import Index, Layout, Part
from bias_intervene.errors import DataError

SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<last>\d{5})\.bin")


@dataclass(frozen=True)
class Expected:
    """What is assumed where the files do not state it."""

    row_tokens: int
    dtype: str = "uint16"
    num_rows: int | None = None
    """Rows of the whole corpus; None: computed from the number of bytes."""
    shard_bytes: int | None = None
    """Bytes of every shard but the last, for a folder that holds only the last one."""


def local_layout(path: Path, *, expected: Expected, key: str, rows: range | None = None) -> Layout:
    """The layout of `path`: a folder, a `.bin`, or their common prefix. rows: those that will be read; None: all.

    key: the setting, as messages name it. Raises `DataError`.
    """
    stem, files = bins(path, key=key)
    index_path = stem.with_name(stem.name + ".idx")
    index = Index.open(index_path) if index_path.is_file() else None
    dtype = index.dtype.name if index else expected.dtype
    window = rows if rows is not None else range(0)
    parts = _shard_parts(files, shard_bytes=expected.shard_bytes) if None not in files else _whole_part(files)
    row_tokens = expected.row_tokens
    if index is not None:
        if window and window.stop > len(index):
            raise DataError(f"{key}: rows up to {window.stop:,} are needed and {index_path} names {len(index):,}")
        row_tokens = index.row_tokens(window.start, window.stop) if window else index.row_tokens()
    row_bytes = row_tokens * np.dtype(dtype).itemsize
    complete = None in files or _is_complete(files)
    held = max(part.end for part in parts)
    if complete and held % row_bytes:
        raise DataError(
            f"{key}: {held:,} bytes are no whole number of rows of {row_tokens} {dtype} tokens; truncated, or rows of "
            "another length"
        )
    if index is not None and complete and held != len(index) * row_bytes:
        raise DataError(
            f"{key}: {held:,} bytes, and {index_path.name} asks for {len(index) * row_bytes:,}; truncated or altered"
        )
    num_rows = len(index) if index is not None else held // row_bytes if complete else expected.num_rows
    if num_rows is None:
        raise DataError(
            f"{key}: shards are missing and no .idx says how many rows there are; found {_file_names(parts)}"
        )
    layout = Layout(tuple(parts), row_tokens, dtype, num_rows)
    check_covered(layout, window if rows is not None else range(num_rows), key=key)
    return layout


def bins(path: Path, *, key: str) -> tuple[Path, dict[int | None, Path]]:
    """(path without suffix, files by shard number; the number is None for an unsharded file). Raises `DataError`."""
    if path.is_file() and path.suffix == ".bin":
        candidates = [path]
    elif path.is_dir():
        candidates = sorted(path.glob("*.bin"))
    else:
        candidates = sorted(path.parent.glob(f"{path.name}.bin")) or sorted(path.parent.glob(f"{path.name}-*-of-*.bin"))
    if not candidates:
        raise DataError(
            f"{key}: no .bin in {path}; give a folder that holds document.bin or its shards "
            "document-00000-of-00020.bin ..., or such a file"
        )
    groups: dict[Path, dict[int | None, Path]] = {}
    for file in candidates:
        match = SHARD.fullmatch(file.name)
        stem, number = (match["stem"], int(match["number"])) if match else (file.stem, None)
        groups.setdefault(file.with_name(stem), {})[number] = file
    if len(groups) > 1:
        listed = ", ".join(sorted(stem.name for stem in groups))
        raise DataError(f"{key}: {path} holds several corpora ({listed}); name one of them")
    stem, files = next(iter(groups.items()))
    return stem, {None: files[None]} if None in files else files


def _last_number(files: dict[int | None, Path]) -> int:
    """The number of the last shard, which all file names must agree on. Raises `DataError`."""
    numbers = {int(match["last"]) for file in files.values() if (match := SHARD.fullmatch(file.name))}
    if len(numbers) > 1:
        raise DataError(f"{next(iter(files.values())).parent}: shards of {sorted(numbers)} in one folder; keep one set")
    return numbers.pop()


def _is_complete(files: dict[int | None, Path]) -> bool:
    """Whether no shard is missing."""
    return len(files) == _last_number(files) + 1


def _whole_part(files: dict[int | None, Path]) -> list[Part]:
    """The one part of an unsharded `.bin`."""
    return [Part(files[None], 0, files[None].stat().st_size)]


def _shard_parts(files: dict[int | None, Path], *, shard_bytes: int | None) -> list[Part]:
    """One part per shard present. Raises `DataError` if the sizes disagree."""
    last = _last_number(files)
    sizes = {number: file.stat().st_size for number, file in files.items() if number is not None}
    inner = {size for number, size in sizes.items() if number != last}
    if len(inner) > 1:
        odd = ", ".join(f"{files[number].name}: {size:,}" for number, size in sorted(sizes.items()) if number != last)
        raise DataError(f"shards differ in size, one is truncated or altered (bytes): {odd}")
    each = inner.pop() if inner else shard_bytes
    if each is None:
        if last:
            raise DataError(f"{files[last]}: where the last shard begins cannot be told without another one beside it")
        each = sizes[0]
    if sizes.get(last, 0) > each:
        raise DataError(f"{files[last]}: {sizes[last]:,} bytes, more than the {each:,} of the shards before it")
    return [Part(files[number], number * each, number * each + size) for number, size in sorted(sizes.items())]


def _file_names(parts: Iterable[Part]) -> str:
    """The file names, for messages."""
    return ", ".join(part.path.name for part in parts) or "none"


def check_covered(layout: Layout, rows: range, *, key: str) -> None:
    """Raises `DataError` if the parts do not hold all of `rows`, naming the first missing byte."""
    if not rows:
        return
    row_bytes = layout.row_tokens * np.dtype(layout.dtype).itemsize
    at, end = rows.start * row_bytes, rows.stop * row_bytes
    for part in sorted(layout.parts, key=lambda part: part.first):
        if part.first <= at < part.end:
            at = part.end
    if at < end:
        raise DataError(
            f"{key}: rows {rows.start:,} to {rows.stop - 1:,} are needed, and byte {at:,} (row {at // row_bytes:,}) is "
            f"in no file; found {_file_names(layout.parts)}"
        )
