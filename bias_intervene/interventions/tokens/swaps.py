"""Swaps of tokens as arrays, and their application to rows.

Input: the positions and ids that the rule found.
Output: rows.
Guarantees: only the listed tokens change, and the input rows are not written to, except by `write`.
"""

from dataclasses import dataclass, replace

import numpy as np

CHANGES_LENGTH = "changes the number of tokens"
"""The reason why a swap is left out of rows that keep their length."""


@dataclass(frozen=True)
class TokenSwaps:
    """Tokens to be replaced, in ascending order; arrays are int64 (swaps,)."""

    row: np.ndarray
    """Number of the row."""
    start: np.ndarray
    """Position of the first token in the row."""
    width: np.ndarray
    """Number of tokens."""
    name: np.ndarray
    """Index into `TokenSwap.names`, e.g. of "his -> hers"."""
    new: np.ndarray
    """The id that replaces one token; -1: `pieces` has the ids."""
    pieces: dict[int, tuple[int, ...]]
    """Number of a swap -> the ids that replace its tokens, unless one id replaces one token."""

    def __len__(self) -> int:
        return self.row.size

    def only(self, chosen: np.ndarray) -> "TokenSwaps":
        """The chosen swaps. chosen: bool (swaps,), or int64 indices, ascending."""
        kept = np.arange(len(self))[chosen]
        at = np.searchsorted(kept, list(self.pieces)).tolist()
        pieces = {
            number: ids
            for number, (old, ids) in zip(at, self.pieces.items(), strict=True)
            if number < kept.size and kept[number] == old
        }
        columns = (self.row, self.start, self.width, self.name, self.new)
        return TokenSwaps(*(column[kept] for column in columns), pieces=pieces)

    def growth(self) -> int:
        """By how many tokens the swaps lengthen their rows; negative if they shorten them."""
        return sum(len(ids) - int(self.width[swap]) for swap, ids in self.pieces.items())

    def changes_length(self) -> np.ndarray:
        """bool (swaps,): whether the number of tokens changes."""
        changed = np.zeros(len(self), dtype=bool)
        for swap, ids in self.pieces.items():
            changed[swap] = len(ids) != self.width[swap]
        return changed


def apply(rows: np.ndarray, swaps: TokenSwaps, *, out: np.ndarray | None = None) -> np.ndarray:
    """A copy of `rows` with the swaps applied, written to `out` if it is given.

    Raises `ValueError` for a swap that changes the number of tokens.
    """
    if out is None:
        out = np.empty_like(rows)
    np.copyto(out, rows)
    write(np.atleast_2d(out), swaps)
    return out


def write(rows: np.ndarray, swaps: TokenSwaps) -> None:
    """Applies swaps to `rows` (rows, tokens) in place. Raises `ValueError` if one changes the number of tokens."""
    single = swaps.new >= 0 if swaps.pieces else slice(None)
    rows[swaps.row[single], swaps.start[single]] = swaps.new[single]
    for number, ids in swaps.pieces.items():
        if len(ids) != swaps.width[number]:
            raise ValueError("a swap changes the number of tokens: use apply_shifted, or leave it out")
        rows[swaps.row[number], swaps.start[number] : swaps.start[number] + len(ids)] = ids


def apply_shifted(row: np.ndarray, swaps: TokenSwaps, *, padding_id: int) -> tuple[np.ndarray, int]:
    """(the row with swaps of any length, cut or padded to its length; the number of tokens before the padding).

    swaps: those of this row.
    """
    parts: list[np.ndarray] = []
    at = 0
    for number in range(len(swaps)):
        start, width = int(swaps.start[number]), int(swaps.width[number])
        ids = swaps.pieces.get(number, (int(swaps.new[number]),))
        parts += (row[at:start], np.asarray(ids, dtype=row.dtype))
        at = start + width
    changed = np.concatenate([*parts, row[at:]])
    out = np.full(row.shape, padding_id, dtype=row.dtype)
    count = min(changed.size, row.size)
    out[:count] = changed[:count]
    return out, count


def moved(swaps: TokenSwaps, rows: int) -> TokenSwaps:
    """The swaps of a block of rows, with row numbers of the array that the block begins in at row `rows`."""
    return replace(swaps, row=swaps.row + rows) if rows else swaps


def joined(parts: list[TokenSwaps]) -> TokenSwaps:
    """The swaps of several blocks, in their order."""
    if len(parts) == 1:
        return parts[0]
    names = ("row", "start", "width", "name", "new")
    empty = np.zeros(0, dtype=np.int64)
    columns = {name: np.concatenate([empty, *(getattr(part, name) for part in parts)]) for name in names}
    starts = np.cumsum([0, *(len(part) for part in parts)])
    pieces = {
        int(start) + at: ids for start, part in zip(starts, parts, strict=False) for at, ids in part.pieces.items()
    }
    return TokenSwaps(**columns, pieces=pieces)
