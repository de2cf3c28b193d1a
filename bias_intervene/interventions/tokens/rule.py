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
from bias_intervene.interventions.tokens.asking import TextJudge, Verdict
from bias_intervene.interventions.tokens.classes import MARGIN, TokenClasses, classes_of
from bias_intervene.interventions.tokens.forms import ROLE_NAMES, Forms, Hits
from bias_intervene.interventions.tokens.language import Language, languages
from bias_intervene.interventions.tokens.outcomes import ASK, NO_PRONOUN, OTHER_LANGUAGE, REASON, ROW_EDGE, Outcomes
from bias_intervene.interventions.tokens.roles import TokenRoles
from bias_intervene.interventions.tokens.swaps import CHANGES_LENGTH, TokenSwaps, joined, moved, write
from bias_intervene.interventions.tokens.vocabulary import Vocabulary, fingerprint_of

BLOCK_TOKENS = 1 << 21
"""Tokens looked at in one go: some MB, whatever the number of rows."""


@dataclass(frozen=True)
class SwappedRows:
    """Rows and what was done to them."""

    rows: np.ndarray
    rows_changed: int
    swaps: Counter[str]
    """By form, e.g. "his -> hers"."""
    skipped: Counter[str]
    """Pronouns of the direction left alone, by reason."""


class TokenSwap:
    """The swap of one direction for one tokenizer.

    possessives: decides between her and hers, his and him. Raises `DataError` for a tokenizer that is not byte-level
    BPE, or splits words otherwise than GPT-2 does.

    `swap(rows)` gives new rows and counts; `find` and `swaps.apply` are its halves, for those who want the places.
    """

    def __init__(self, tokenizer: Tokenizer, direction: str, possessives: Possessives = WORD_LISTS):
        self.vocabulary, self.classes = compiled(tokenizer)
        self.direction, self.possessives = direction, possessives
        self.forms = Forms(self.vocabulary, self.classes, direction)
        self.roles = TokenRoles(self.vocabulary, self.classes, possessives)
        self.judge = TextJudge(self.vocabulary, self.classes, direction, possessives)
        self.outcomes = Outcomes(self.vocabulary, self.classes, self.forms, self.roles, direction, possessives.margin)
        self.kept: dict[str, np.ndarray] = {}

    @property
    def names(self) -> list[str]:
        """What swaps are counted under, e.g. "his -> hers"; `TokenSwaps.name` points into it."""
        return self.forms.names

    def __call__(self, rows: np.ndarray, *, out: np.ndarray | None = None, is_cut: bool = False) -> SwappedRows:
        """New rows, of the same type and shape, their length kept; see `find`. out: written instead of a new array."""
        check(rows)
        out = np.empty(rows.shape, dtype=rows.dtype) if out is None else out
        grid, grid_out = np.atleast_2d(rows), np.atleast_2d(out)
        # Swaps by name, and at last those that would change the length.
        counts, is_changed = np.zeros(len(self.names) + 1, dtype=np.int64), np.zeros(len(grid), dtype=bool)
        skipped: Counter[str] = Counter()
        for found, left in self.copied(grid, grid_out, is_cut=is_cut):
            changes_length = found.changes_length()
            if changes_length.any():
                counts[-1] += changes_length.sum()
                found = found.only(~changes_length)
            write(grid_out, found)
            is_changed[found.row] = True
            counts[:-1] += self.counts_of(found)
            skipped += left
        skipped += Counter({CHANGES_LENGTH: int(counts[-1])})
        swaps = self.named(counts[:-1])
        return SwappedRows(rows=out, rows_changed=int(is_changed.sum()), swaps=swaps, skipped=skipped)

    def copied(self, rows: np.ndarray, out: np.ndarray, *, is_cut: bool) -> Iterator[tuple[TokenSwaps, Counter[str]]]:
        """As `find`, a block at a time of rows (rows, tokens), which are copied to `out`."""
        for block in _blocks(*rows.shape):
            np.copyto(out[block], rows[block])
            yield self.found_in(rows, block, is_cut=is_cut)

    def counted(self, swaps: TokenSwaps) -> Counter[str]:
        """Swaps by form."""
        return self.named(self.counts_of(swaps))

    def counts_of(self, swaps: TokenSwaps) -> np.ndarray:
        """int64: the number of swaps of each of `names`."""
        return np.bincount(swaps.name, minlength=len(self.names))

    def named(self, counts: np.ndarray) -> Counter[str]:
        """Numbers of swaps as they stand in `names`, by form."""
        found: Counter[str] = Counter()
        for name, count in zip(self.names, counts.tolist(), strict=True):
            found[name] += count
        return +found

    def find(self, rows: np.ndarray, *, is_cut: bool = False) -> tuple[TokenSwaps, Counter[str]]:
        """The swaps of rows (rows, tokens) or (tokens,) of any integer type, and the pronouns left alone by reason.

        is_cut: rows were cut from a longer text, so a pronoun that begins one may be the tail of a word and is left.
        Raises `DataError` for ids that are no integers.
        """
        check(rows)
        grid = np.atleast_2d(rows)
        parts = [self.found_in(grid, block, is_cut=is_cut) for block in _blocks(*grid.shape)]
        return joined([found for found, _ in parts]), sum((left for _, left in parts), Counter[str]())

    def found_in(self, rows: np.ndarray, block: slice, *, is_cut: bool) -> tuple[TokenSwaps, Counter[str]]:
        """As `find`, for a block of `rows` (rows, tokens)."""
        flat = self.laid_out(rows[block])
        found, left = self.decided(flat, *self.scanned(flat), rows.shape[1], is_cut=is_cut)
        return moved(found, block.start), left

    def laid_out(self, rows: np.ndarray) -> np.ndarray:
        """Flat ids of rows (rows, tokens) with MARGIN of `outside` before, between and behind them.

        Ids without a token become `outside` too, so no look at a neighbour needs to ask where a row ends.
        """
        outside, (count, size) = self.classes.outside, rows.shape
        dtype = np.dtype(np.uint16 if rows.dtype == np.uint16 and outside < 1 << 16 else np.int64)
        flat = self.room("flat", count * (size + MARGIN) + MARGIN, dtype)
        flat[:MARGIN] = outside
        grid = flat[MARGIN:].reshape(count, size + MARGIN)
        grid[:, size:] = outside
        inner = grid[:, :size]
        np.copyto(inner, rows, casting="unsafe")
        if rows.max() > outside or (rows.dtype.kind == "i" and rows.min() < 0):
            inner[(rows > outside) | (rows < 0)] = outside
        return flat

    def room(self, name: str, size: int, dtype: np.dtype) -> np.ndarray:
        """An array to be filled, kept between calls: the first touch of a page costs more than what is done with it."""
        if name not in self.kept or self.kept[name].size < size or self.kept[name].dtype != dtype:
            self.kept[name] = np.empty(size, dtype=dtype)
        return self.kept[name][:size]

    def scanned(self, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(places of tokens that forms begin with, the `Code`s of all)."""
        codes = self.forms.codes.take(flat, out=self.room("codes", flat.size, np.dtype(np.uint8)), mode="wrap")
        return np.flatnonzero(codes.view(np.int8) < 0), codes  # The sign is the bit FORM.

    def decided(
        self, flat: np.ndarray, places: np.ndarray, codes: np.ndarray, size: int, *, is_cut: bool
    ) -> tuple[TokenSwaps, Counter[str]]:
        """The swaps of the forms at `places` in rows of `size` tokens, and those left alone by reason.

        codes: those of `flat`.
        """
        skipped: Counter[str] = Counter()
        hits, outcome = self.outcomes(flat, self.forms.find(flat, places))
        first = np.flatnonzero(flat.take(hits.start - 1) == self.classes.outside) if is_cut else np.zeros(0, np.int64)
        first = first[(hits.start[first] - MARGIN) % (size + MARGIN) == 0]
        edge = first[self.forms.unspaced.take(hits.form[first]) & (outcome[first] != ASK)]
        outcome[edge] = ROW_EDGE
        language = languages(self.classes, flat, hits.start, hits.end, codes)
        outcome[(language == Language.OTHER) & (outcome >= 0)] = OTHER_LANGUAGE
        outcome[(language == Language.ASK) & (outcome >= 0)] = ASK
        verdicts: dict[int, Verdict] = {}
        for at in np.flatnonzero(outcome == ASK).tolist():
            start, end = int(hits.start[at]), int(hits.end[at])
            verdict = self.judge.ask(flat, start, end, language=int(language[at]), is_first=at in first)
            if verdict.ids:
                verdicts[at] = verdict
            elif verdict.reason:
                skipped[verdict.reason] += 1
            outcome[at] = 0 if verdict.ids else NO_PRONOUN
        left = np.flatnonzero(outcome < 0)
        skipped.update(REASON[reason] for reason in outcome[left].tolist() if reason != NO_PRONOUN)
        kept = np.flatnonzero(outcome >= 0)
        by_text = dict(zip(np.searchsorted(kept, list(verdicts)).tolist(), verdicts.values(), strict=True))
        return self.swaps_of(hits.only(kept), outcome[kept], by_text, size), skipped

    def swaps_of(self, hits: Hits, role: np.ndarray, verdicts: dict[int, Verdict], size: int) -> TokenSwaps:
        """The swaps of the hits in these roles, or as the text says. verdicts: by number of the hit."""
        form, place, width = hits.form, hits.start, hits.end - hits.start
        name = self.forms.word.take(form) * len(ROLE_NAMES) + role
        new = self.forms.new.take(form * len(ROLE_NAMES) + role)
        new[list(verdicts)] = -1
        pieces = {
            number: self.forms.replacements[int(form[number])][int(role[number])]
            for number in np.flatnonzero(new < 0).tolist()
        }
        for number, verdict in verdicts.items():
            place[number], width[number] = verdict.start, verdict.width
            name[number], pieces[number] = self.names.index(verdict.name), verdict.ids
        row, start = np.divmod(place - MARGIN, size + MARGIN)
        return TokenSwaps(row=row, start=start, width=width, name=name, new=new, pieces=pieces)

    def as_text(self, row: np.ndarray, swaps: TokenSwaps) -> tuple[str, list[Swap]]:
        """The text of a row (tokens,) and its swaps in characters."""
        decode = self.vocabulary.tokenizer.decode
        parts: list[str] = []
        found: list[Swap] = []
        length = at = 0
        for number in range(len(swaps)):
            start, end = int(swaps.start[number]), int(swaps.start[number] + swaps.width[number])
            ids = swaps.pieces.get(number, (int(swaps.new[number]),))
            before, after = self.vocabulary.text(row[start:end].tolist()), self.vocabulary.text(ids)
            parts.append(decode(row[at:start].tolist(), skip_special_tokens=False))
            length += len(parts[-1])
            lead = before[0] in " '" and before[0] == after[0]
            found.append(Swap(length + lead, length + len(before), before[lead:], after[lead:]))
            parts.append(before)
            length, at = length + len(before), end
        return "".join([*parts, decode(row[at:].tolist(), skip_special_tokens=False)]), found


def check(rows: np.ndarray) -> None:
    """Raises `DataError` for what are no rows of ids."""
    if rows.dtype.kind not in "iu" or rows.ndim not in (1, 2):
        raise DataError(f"token ids: found {rows.dtype} in {rows.ndim} dimensions; integers in 1 or 2 are needed")


def _blocks(count: int, size: int) -> Iterator[slice]:
    """Which of `count` rows of `size` tokens to look at in one go."""
    step = max(1, BLOCK_TOKENS // max(1, size))
    for at in range(0, count if size else 0, step):
        yield slice(at, min(at + step, count))


_COMPILED: dict[str, tuple[Vocabulary, TokenClasses]] = {}


def compiled(tokenizer: Tokenizer) -> tuple[Vocabulary, TokenClasses]:
    """The tables of a tokenizer; made once for all tokenizers that do the same."""
    fingerprint = fingerprint_of(tokenizer)
    if fingerprint not in _COMPILED:
        vocabulary = Vocabulary.of(tokenizer)
        _COMPILED[fingerprint] = (vocabulary, classes_of(vocabulary))
    return _COMPILED[fingerprint]
