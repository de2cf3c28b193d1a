"""The intervention applied to rows on their way to the model.

Enters: stored rows and their numbers. Leaves: the rows as they are trained on, and an audit of what was changed.
Promised: rows of token ids in, rows of token ids out, without decoding a row that is not sampled for the audit; a row's
result depends on the row, its number and the settings alone, so any rank or restart makes the same.

The directions go by `interventions.tokens`. The profiles of the literature and the control `retokenize` decode, replace
and encode, because that is what they are. Rows are cut from a stream of text, so a pronoun that begins one may be the
tail of a word: it is left, and counted.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from tokenizers import Tokenizer

from bias_intervene.interventions import profiles
from bias_intervene.interventions.audit import Audit
from bias_intervene.interventions.lexicon import DIRECTIONS
from bias_intervene.interventions.possessive import WORD_LISTS, Possessives
from bias_intervene.interventions.possessive_fit import fit
from bias_intervene.interventions.text_swap import TextSwap
from bias_intervene.interventions.tokens import CHANGES_LENGTH, TokenSwap, TokenSwaps, apply_shifted
from bias_intervene.interventions.tokens import apply as apply_tokens
from bias_intervene.settings import InterventionSettings

FIT_TOKENS = 2_000_000
"""Tokens the role of `her` and `his` is fitted on: more change little and take longer."""


class RowSwap:
    """Applies the intervention to rows and counts it in `audit`.

    seed: of the run, for the share of rows or pronouns that is altered. padding_id: fills rows that became shorter.
    possessives: decides between her and hers, his and him. is_cut: a row may begin within a word.
    """

    def __init__(
        self,
        settings: InterventionSettings,
        tokenizer: Tokenizer,
        *,
        seed: int,
        padding_id: int,
        possessives: Possessives = WORD_LISTS,
        is_cut: bool = True,
    ):
        self.settings, self.tokenizer, self.padding_id = settings, tokenizer, padding_id
        self.of_literature = settings.name.startswith("pythia_")
        self.audit = Audit()
        self.texts = TextSwap(settings, seed=seed, possessives=possessives)
        self.is_cut = is_cut
        self.tokens: TokenSwap | None = None
        if settings.name in DIRECTIONS:
            self.tokens = TokenSwap(tokenizer, settings.name, self.texts.possessives)
        self.token_map = profiles.token_map(tokenizer) if settings.name == "pythia_token_map" else None

    def __call__(self, numbers: Sequence[int], rows_BS: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(rows of the same shape as int64, tokens of each before its padding). rows_BS is never written to."""
        if self.tokens is not None:
            return self.swap_tokens(self.tokens, numbers, rows_BS)
        made = [
            self.swap_text(number, row) if self.token_map is None else self.map_tokens(self.token_map, number, row)
            for number, row in zip(numbers, rows_BS, strict=True)
        ]
        return np.stack([row for row, _ in made]), np.array([count for _, count in made], dtype=np.int64)

    # --- over token ids ----------------------------------------------------------------------------------------

    def swap_tokens(
        self, swap: TokenSwap, numbers: Sequence[int], rows_BS: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The rule, on ids."""
        found, skipped = swap.find(rows_BS, is_cut=self.is_cut)
        found = self.drawn(numbers, found, skipped)
        changes = found.changes_length()
        out, counts = np.empty(rows_BS.shape, np.int64), np.full(len(rows_BS), rows_BS.shape[1], dtype=np.int64)
        if self.settings.length == "keep":
            skipped[CHANGES_LENGTH] += int(changes.sum())
            found = found.only(~changes)
            apply_tokens(rows_BS, found, out=out)
        else:
            np.copyto(out, rows_BS)
            for row in np.unique(found.row):
                own = found.only(found.row == row)
                out[row], counts[row] = apply_shifted(out[row], own, padding_id=self.padding_id)
                growth = own.growth()
                self.audit.rows_cut += growth > 0
                self.audit.rows_padded += growth < 0
        self.count(swap, numbers, rows_BS, found, +skipped)
        return out, counts

    def drawn(self, numbers: Sequence[int], found: TokenSwaps, skipped: Counter[str]) -> TokenSwaps:
        """The swaps that were drawn; the others count as skipped."""
        if self.settings.probability >= 1 or not len(found):
            return found
        rows, counts = np.unique(found.row, return_counts=True)
        keep = [
            drawn
            for row, count in zip(map(int, rows), map(int, counts), strict=True)
            for drawn in self.texts.chosen(numbers[row], count)
        ]
        skipped["not drawn"] += len(keep) - sum(keep)
        return found.only(np.array(keep))

    def count(
        self, swap: TokenSwap, numbers: Sequence[int], rows_BS: np.ndarray, found: TokenSwaps, skipped: Counter[str]
    ) -> None:
        """Adds to the audit; decodes the rows it keeps."""
        rows, counts = np.unique(found.row, return_counts=True)
        at_end = int((found.start + found.width == rows_BS.shape[1]).sum())
        self.audit.count(
            rows=len(rows_BS),
            rows_changed=rows.size,
            swaps=swap.counted(found),
            skipped=skipped,
            swaps_at_row_end=at_end,
        )
        for row, count in zip(map(int, rows), map(int, counts), strict=True):
            if self.audit.wants(numbers[row], count):
                self.audit.keep(numbers[row], *swap.as_text(rows_BS[row], found.only(found.row == row)))

    # --- as the literature does --------------------------------------------------------------------------------

    def swap_text(self, number: int, row: np.ndarray) -> tuple[np.ndarray, int]:
        """Decode, replace, encode, fit to length."""
        text = self.tokenizer.decode(row.tolist(), skip_special_tokens=False)
        swapped = self.texts(number, text)
        self.audit.add(number, text, swapped)
        return self.fitted(self.tokenizer.encode(swapped.text, add_special_tokens=False).ids, row.shape[0])

    def map_tokens(self, token_map: profiles.TokenMap, number: int, row: np.ndarray) -> tuple[np.ndarray, int]:
        """The profile over token ids."""
        mapped, counts = token_map(row)
        changed = np.flatnonzero(mapped != row)
        for at, drawn in zip(changed, self.texts.chosen(number, changed.size), strict=True):
            if not drawn:
                mapped[at] = row[at]
        if self.settings.probability < 1:
            _, counts = token_map(row[changed][mapped[changed] != row[changed]])
        self.audit.count(rows=1, rows_changed=int(bool(counts)), swaps=counts, skipped=Counter())
        return mapped, row.shape[0]

    def fitted(self, ids: list[int], size: int) -> tuple[np.ndarray, int]:
        """Cuts or pads to `size`."""
        self.audit.rows_cut += len(ids) > size
        self.audit.rows_padded += len(ids) < size
        row = np.full(size, self.padding_id, dtype=np.int64)
        kept = ids[:size]
        row[: len(kept)] = kept
        return row, size if self.of_literature else len(kept)


class StoredRows(Protocol):
    """Rows of token ids by their number, as `data.indexed.Rows` reads them."""

    @property
    def row_tokens(self) -> int:
        """Tokens a row."""
        ...

    def __getitem__(self, row: int) -> np.ndarray:
        """(row_tokens,) ids."""
        ...


def fit_to_rows(rows: StoredRows, window: range, tokenizer: Tokenizer) -> Possessives:
    """Possessives fitted on rows evenly spread over `window`, FIT_TOKENS of them at most."""
    count = min(len(window), max(1, FIT_TOKENS // rows.row_tokens))
    numbers = np.linspace(window.start, window.stop - 1, count, dtype=np.int64).tolist()
    return fit(tokenizer.decode(rows[number].tolist(), skip_special_tokens=True) for number in numbers)
