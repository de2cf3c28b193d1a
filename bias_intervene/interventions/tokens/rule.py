"""The swap over token ids: the rule of `text`, compiled for one tokenizer.

One pass looks up a byte for each id and keeps the few that are pronouns. What the rule needs to know of their
neighbours is a table over the vocabulary (`outcomes`); `language` and `roles` decide the two questions that reach
further. About one pronoun in a thousand is not decidable from tokens (an acronym, a quote, half a character beside it)
and is passed to the text rule on a decoded window.

Input: rows of ids, each a text of its own.
Output: new rows, every swap with its position, and the pronouns that were not swapped, counted by reason.
Guarantees: for a row that decode and encode reproduce, the ids are those of encode(swap_text(decode(row))). For any
row, only the tokens of swapped pronouns change, the input is never written to, and ids without a token are kept and
separate words. The length is kept: a swap that would change the number of tokens is left out and counted, or, with
length="shift", the rest of the row is moved and its end padded or cut.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from bias_intervene.errors import DataError
from bias_intervene.interventions.possessive import WORD_LISTS, Possessives
from bias_intervene.interventions.text import Swap
from bias_intervene.interventions.tokens.classes import ROW_GAP, TokenClasses, classes_of
from bias_intervene.interventions.tokens.fallback import TextDecision, TextFallback
from bias_intervene.interventions.tokens.forms import ROLE_NAMES, Forms, Hits
from bias_intervene.interventions.tokens.language import LanguageDecision, languages
from bias_intervene.interventions.tokens.outcomes import (
    NO_PRONOUN,
    OTHER_LANGUAGE,
    REASONS,
    ROW_EDGE,
    UNDECIDED,
    Outcomes,
)
from bias_intervene.interventions.tokens.roles import TokenRoles
from bias_intervene.interventions.tokens.swaps import CHANGES_LENGTH, TokenSwaps, joined, moved, write
from bias_intervene.interventions.tokens.vocabulary import Vocabulary, fingerprint_of

BLOCK_TOKENS = 1 << 21
"""Tokens processed at a time, which bounds the memory to a few MB for any number of rows."""


@dataclass(frozen=True)
class SwappedRows:
    """Rows with their swaps applied, and the counts."""

    rows: np.ndarray
    rows_changed: int
    """Number of rows with a swap."""
    swaps: Counter[str]
    """By form, e.g. "his -> hers"."""
    skipped: Counter[str]
    """Pronouns of the direction that were not swapped, by reason."""


class TokenSwap:
    """The swap of one direction for one tokenizer.

    possessives: decides between her and hers, his and him. Raises `DataError` for a tokenizer that is not byte-level
    BPE, or splits words differently from GPT-2.

    Calling it gives new rows and counts. `find` gives the swaps with their positions, which `swaps.apply` applies.
    """

    def __init__(self, tokenizer: Tokenizer, direction: str, possessives: Possessives = WORD_LISTS):
        self.vocabulary, self.classes = compiled(tokenizer)
        self.direction, self.possessives = direction, possessives
        self.forms = Forms(self.vocabulary, self.classes, direction)
        self.roles = TokenRoles(self.vocabulary, self.classes, possessives)
        self.fallback = TextFallback(self.vocabulary, self.classes, direction, possessives)
        self.outcomes = Outcomes(self.vocabulary, self.classes, self.forms, self.roles, direction, possessives.margin)
        self.buffers: dict[str, np.ndarray] = {}
        """Arrays that are reused between calls."""

    @property
    def names(self) -> list[str]:
        """Names under which swaps are counted, e.g. "his -> hers"; `TokenSwaps.name` is an index into them."""
        return self.forms.names

    def __call__(self, rows: np.ndarray, *, out: np.ndarray | None = None, is_cut: bool = False) -> SwappedRows:
        """New rows of the same type and shape. out: an array to write them to. rows, is_cut: see `find`."""
        check(rows)
        out = np.empty(rows.shape, dtype=rows.dtype) if out is None else out
        grid, grid_out = np.atleast_2d(rows), np.atleast_2d(out)
        # Swaps by name; the last entry counts those that would change the length.
        counts, is_changed = np.zeros(len(self.names) + 1, dtype=np.int64), np.zeros(len(grid), dtype=bool)
        skipped: Counter[str] = Counter()
        for swaps, skipped_in_block in self.copy_and_find(grid, grid_out, is_cut=is_cut):
            changes_length = swaps.changes_length()
            if changes_length.any():
                counts[-1] += changes_length.sum()
                swaps = swaps.only(~changes_length)
            write(grid_out, swaps)
            is_changed[swaps.row] = True
            counts[:-1] += self.count_by_name(swaps)
            skipped += skipped_in_block
        skipped += Counter({CHANGES_LENGTH: int(counts[-1])})
        return SwappedRows(
            rows=out, rows_changed=int(is_changed.sum()), swaps=self.by_form(counts[:-1]), skipped=skipped
        )

    def copy_and_find(
        self, rows: np.ndarray, out: np.ndarray, *, is_cut: bool
    ) -> Iterator[tuple[TokenSwaps, Counter[str]]]:
        """As `find`, one block of `rows` (rows, tokens) at a time, after copying the block to `out`."""
        for block in _blocks(*rows.shape):
            np.copyto(out[block], rows[block])
            yield self.find_in_block(rows, block, is_cut=is_cut)

    def count_by_form(self, swaps: TokenSwaps) -> Counter[str]:
        """Number of swaps of each form, e.g. "his -> hers"."""
        return self.by_form(self.count_by_name(swaps))

    def count_by_name(self, swaps: TokenSwaps) -> np.ndarray:
        """int64 (names,): number of swaps of each of `names`."""
        return np.bincount(swaps.name, minlength=len(self.names))

    def by_form(self, counts: np.ndarray) -> Counter[str]:
        """Number of swaps of each form. counts: as `count_by_name` gives them; a name may occur more than once."""
        totals: Counter[str] = Counter()
        for name, count in zip(self.names, counts.tolist(), strict=True):
            totals[name] += count
        return +totals

    def find(self, rows: np.ndarray, *, is_cut: bool = False) -> tuple[TokenSwaps, Counter[str]]:
        """(the swaps, the number of pronouns that are not swapped by reason).

        rows: (rows, tokens) or (tokens,), of any integer type. is_cut: whether the rows were cut from a longer text, so
        that a pronoun at the beginning of one may be the end of a word; it is not swapped. Raises `DataError` for ids
        that are no integers.
        """
        check(rows)
        grid = np.atleast_2d(rows)
        parts = [self.find_in_block(grid, block, is_cut=is_cut) for block in _blocks(*grid.shape)]
        return joined([swaps for swaps, _ in parts]), sum((skipped for _, skipped in parts), Counter[str]())

    def find_in_block(self, rows: np.ndarray, block: slice, *, is_cut: bool) -> tuple[TokenSwaps, Counter[str]]:
        """As `find`, for a block of `rows` (rows, tokens)."""
        flat = self.flatten(rows[block])
        swaps, skipped = self.decide_all(flat, *self.scan(flat), rows.shape[1], is_cut=is_cut)
        return moved(swaps, block.start), skipped

    def flatten(self, rows: np.ndarray) -> np.ndarray:
        """The ids of rows (rows, tokens) as one array, with ROW_GAP entries `outside` before, between and after.

        Ids without a token become `outside` too, so that reading a neighbour needs no check for the end of a row.
        """
        outside, (count, size) = self.classes.outside, rows.shape
        dtype = np.dtype(np.uint16 if rows.dtype == np.uint16 and outside < 1 << 16 else np.int64)
        flat = self.buffer("flat", count * (size + ROW_GAP) + ROW_GAP, dtype)
        flat[:ROW_GAP] = outside
        grid = flat[ROW_GAP:].reshape(count, size + ROW_GAP)
        grid[:, size:] = outside
        inner = grid[:, :size]
        np.copyto(inner, rows, casting="unsafe")
        if rows.max() > outside or (rows.dtype.kind == "i" and rows.min() < 0):
            inner[(rows > outside) | (rows < 0)] = outside
        return flat

    def buffer(self, name: str, size: int, dtype: np.dtype) -> np.ndarray:
        """An uninitialized array, reused between calls, because new memory pages cost more time than the swap."""
        if name not in self.buffers or self.buffers[name].size < size or self.buffers[name].dtype != dtype:
            self.buffers[name] = np.empty(size, dtype=dtype)
        return self.buffers[name][:size]

    def scan(self, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(positions of the tokens that a form begins with, the `ScanFlag`s of all tokens)."""
        flags = self.forms.flags.take(flat, out=self.buffer("flags", flat.size, np.dtype(np.uint8)), mode="wrap")
        return np.flatnonzero(flags.view(np.int8) < 0), flags  # FORM is the sign bit of int8.

    def decide_all(
        self, flat: np.ndarray, places: np.ndarray, flags: np.ndarray, size: int, *, is_cut: bool
    ) -> tuple[TokenSwaps, Counter[str]]:
        """(the swaps of the forms at positions `places`, the number of those that are not swapped by reason).

        flat: rows of `size` tokens as `flatten` arranges them. flags: uint8, those of `flat`.
        """
        skipped: Counter[str] = Counter()
        hits, outcome = self.outcomes(flat, self.forms.find(flat, places))
        first = np.flatnonzero(flat.take(hits.start - 1) == self.classes.outside) if is_cut else np.zeros(0, np.int64)
        first = first[(hits.start[first] - ROW_GAP) % (size + ROW_GAP) == 0]
        edge = first[self.forms.unspaced.take(hits.form[first]) & (outcome[first] != UNDECIDED)]
        outcome[edge] = ROW_EDGE
        language = languages(self.classes, flat, hits.start, hits.end, flags)
        outcome[(language == LanguageDecision.OTHER) & (outcome >= 0)] = OTHER_LANGUAGE
        outcome[(language == LanguageDecision.UNDECIDED) & (outcome >= 0)] = UNDECIDED
        text_decisions: dict[int, TextDecision] = {}
        for at in np.flatnonzero(outcome == UNDECIDED).tolist():
            start, end = int(hits.start[at]), int(hits.end[at])
            decision = self.fallback.decide(flat, start, end, language=int(language[at]), is_first=at in first)
            if decision.ids:
                text_decisions[at] = decision
            elif decision.reason:
                skipped[decision.reason] += 1
            outcome[at] = 0 if decision.ids else NO_PRONOUN
        not_swapped = np.flatnonzero(outcome < 0)
        skipped.update(REASONS[reason] for reason in outcome[not_swapped].tolist() if reason != NO_PRONOUN)
        swapped = np.flatnonzero(outcome >= 0)
        numbers = np.searchsorted(swapped, list(text_decisions)).tolist()
        by_text = dict(zip(numbers, text_decisions.values(), strict=True))
        return self.swaps_of(hits.only(swapped), outcome[swapped], by_text, size), skipped

    def swaps_of(self, hits: Hits, role: np.ndarray, text_decisions: dict[int, TextDecision], size: int) -> TokenSwaps:
        """The swaps of hits in rows of `size` tokens. role: (hits,). text_decisions: by number of the hit."""
        form, place, width = hits.form, hits.start, hits.end - hits.start
        name = self.forms.word.take(form) * len(ROLE_NAMES) + role
        new = self.forms.new.take(form * len(ROLE_NAMES) + role)
        new[list(text_decisions)] = -1
        pieces = {
            number: self.forms.replacements[int(form[number])][int(role[number])]
            for number in np.flatnonzero(new < 0).tolist()
        }
        for number, decision in text_decisions.items():
            place[number], width[number] = decision.start, decision.width
            name[number], pieces[number] = self.names.index(decision.name), decision.ids
        row, start = np.divmod(place - ROW_GAP, size + ROW_GAP)
        return TokenSwaps(row=row, start=start, width=width, name=name, new=new, pieces=pieces)

    def as_text(self, row: np.ndarray, swaps: TokenSwaps) -> tuple[str, list[Swap]]:
        """(the text of a row (tokens,), its swaps as ranges of characters)."""
        decode = self.vocabulary.tokenizer.decode
        parts: list[str] = []
        text_swaps: list[Swap] = []
        length = at = 0
        for number in range(len(swaps)):
            start, end = int(swaps.start[number]), int(swaps.start[number] + swaps.width[number])
            ids = swaps.pieces.get(number, (int(swaps.new[number]),))
            before, after = self.vocabulary.text(row[start:end].tolist()), self.vocabulary.text(ids)
            parts.append(decode(row[at:start].tolist(), skip_special_tokens=False))
            length += len(parts[-1])
            lead = before[0] in " '" and before[0] == after[0]
            text_swaps.append(Swap(length + lead, length + len(before), before[lead:], after[lead:]))
            parts.append(before)
            length, at = length + len(before), end
        return "".join([*parts, decode(row[at:].tolist(), skip_special_tokens=False)]), text_swaps


def check(rows: np.ndarray) -> None:
    """Raises `DataError` unless `rows` is an array of integers in one or two dimensions."""
    if rows.dtype.kind not in "iu" or rows.ndim not in (1, 2):
        raise DataError(f"token ids: found {rows.dtype} in {rows.ndim} dimensions; integers in 1 or 2 are needed")


def _blocks(count: int, size: int) -> Iterator[slice]:
    """Slices of `count` rows of `size` tokens that have about BLOCK_TOKENS tokens each."""
    step = max(1, BLOCK_TOKENS // max(1, size))
    for at in range(0, count if size else 0, step):
        yield slice(at, min(at + step, count))


_COMPILED: dict[str, tuple[Vocabulary, TokenClasses]] = {}


def compiled(tokenizer: Tokenizer) -> tuple[Vocabulary, TokenClasses]:
    """The vocabulary and token tables of a tokenizer, computed once for all equal tokenizers."""
    fingerprint = fingerprint_of(tokenizer)
    if fingerprint not in _COMPILED:
        vocabulary = Vocabulary.of(tokenizer)
        _COMPILED[fingerprint] = (vocabulary, classes_of(vocabulary))
    return _COMPILED[fingerprint]
