"""The intervention as it is set, applied to texts and to rows on their way to the model.

Input: texts or stored rows, and their numbers. Output: the same as they are trained on, and an audit of what was
changed. Guarantees: rows of token ids come in and rows of the same length go out; a rule over words decodes no row that
the audit does not keep; the result for a row depends on the row, its number and the settings alone, so every rank and
every restart has the same.

Rules over words are applied by `interventions.tokens`. Interventions that rewrite text decode a row, rewrite it and
encode it again, because that is what they are; those that map token ids look at nothing else. Rows are cut from a
stream of text, so a pronoun that begins one may be the tail of a word: it is left alone, and counted.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from tokenizers import Tokenizer

from bias_intervene.interventions.audit import Audit
from bias_intervene.interventions.choice import NOT_DRAWN, chosen
from bias_intervene.interventions.possessive import WORD_LISTS, Possessives
from bias_intervene.interventions.profiles import TokenMap
from bias_intervene.interventions.registry import INTERVENTIONS
from bias_intervene.interventions.text import Swapped, apply, num_pronouns, swap_text
from bias_intervene.interventions.tokens import CHANGES_LENGTH, TokenSwap, TokenSwaps, apply_shifted
from bias_intervene.interventions.tokens import apply as apply_tokens
from bias_intervene.settings import InterventionSettings

_NOT_REPLACED = "not replaced by it"
"""Why a pronoun was left alone that an intervention of the literature has no replacement for, or not at this place."""


class TextSwap:
    """One intervention for many texts.

    seed: of the run, for the share of texts or pronouns that is altered. possessives: decides between her and hers, his
    and him. An intervention over token ids alone has no form for text: see `registry.Intervention.token_map`.
    """

    def __init__(self, settings: InterventionSettings, *, seed: int, possessives: Possessives = WORD_LISTS):
        self.intervention = INTERVENTIONS[settings.name]
        self.seed, self.probability, self.unit = seed, settings.probability, settings.unit
        self.possessives = replace(possessives, margin=settings.margin)
        make_rewrite = self.intervention.rewrite
        self._rewrite = None if make_rewrite is None else make_rewrite(settings)

    def __call__(self, number: int, text: str) -> Swapped:
        """The text after the intervention. number: that of the text, e.g. of its row; it decides what is drawn."""
        swapped = self._without_draw(text)
        if self.probability >= 1 or not swapped.swaps:
            return swapped
        is_drawn = self.drawn(number, len(swapped.swaps))
        swaps = [swap for swap, drawn in zip(swapped.swaps, is_drawn, strict=True) if drawn]
        skipped = swapped.skipped + Counter({NOT_DRAWN: len(swapped.swaps) - len(swaps)})
        return Swapped(text=apply(text, swaps), swaps=swaps, skipped=skipped)

    def drawn(self, number: int, count: int) -> list[bool]:
        """Which of the `count` pronouns of a text are altered."""
        return chosen(seed=self.seed, row=number, count=count, probability=self.probability, unit=self.unit)

    def _without_draw(self, text: str) -> Swapped:
        """The text with everything altered that the intervention alters."""
        if self.intervention.direction is not None:
            return swap_text(text, self.intervention.direction, self.possessives)
        assert self._rewrite is not None, f"{self.intervention.name} is defined over token ids alone"
        swapped = self._rewrite(text)
        counted = self.intervention.pronouns_of
        left = num_pronouns(text, counted) - len(swapped.swaps) if counted is not None else 0
        return replace(swapped, skipped=+Counter({_NOT_REPLACED: left}))


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
        self.intervention = INTERVENTIONS[settings.name]
        self.tokenizer, self.padding_id, self.is_cut = tokenizer, padding_id, is_cut
        self.probability, self.keeps_length = settings.probability, settings.length == "keep"
        self.audit = Audit()
        self._texts = TextSwap(settings, seed=seed, possessives=possessives)
        self._token_swap: TokenSwap | None = None
        if self.intervention.direction is not None:
            self._token_swap = TokenSwap(tokenizer, self.intervention.direction, self._texts.possessives)
        make_map = self.intervention.token_map
        self._token_map = None if make_map is None else make_map(tokenizer)

    def __call__(self, numbers: Sequence[int], rows_BS: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(rows of the same shape as int64, tokens of each before its padding). rows_BS is never written to."""
        if self._token_swap is not None:
            return self._by_rule(self._token_swap, numbers, rows_BS)
        rows_and_counts = [
            self._by_text(number, row) if self._token_map is None else self._by_map(self._token_map, number, row)
            for number, row in zip(numbers, rows_BS, strict=True)
        ]
        return np.stack([row for row, _ in rows_and_counts]), np.array([n for _, n in rows_and_counts], dtype=np.int64)

    # --- by a rule over words, over token ids --------------------------------------------------------------------

    def _by_rule(
        self, token_swap: TokenSwap, numbers: Sequence[int], rows_BS: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The rule over words, applied to ids."""
        swaps, skipped = token_swap.find(rows_BS, is_cut=self.is_cut)
        swaps = self._only_drawn(numbers, swaps, skipped)
        changes = swaps.changes_length()
        out, counts = np.empty(rows_BS.shape, np.int64), np.full(len(rows_BS), rows_BS.shape[1], dtype=np.int64)
        if self.keeps_length:
            skipped[CHANGES_LENGTH] += int(changes.sum())
            swaps = swaps.only(~changes)
            apply_tokens(rows_BS, swaps, out=out)
        else:
            np.copyto(out, rows_BS)
            for row in np.unique(swaps.row):
                own = swaps.only(swaps.row == row)
                out[row], counts[row] = apply_shifted(out[row], own, padding_id=self.padding_id)
                growth = own.growth()
                self.audit.rows_cut += growth > 0
                self.audit.rows_padded += growth < 0
        self._count(token_swap, numbers, rows_BS, swaps, +skipped)
        return out, counts

    def _only_drawn(self, numbers: Sequence[int], swaps: TokenSwaps, skipped: Counter[str]) -> TokenSwaps:
        """The swaps that were drawn; the others are added to `skipped`."""
        if self.probability >= 1 or not len(swaps):
            return swaps
        rows, counts = np.unique(swaps.row, return_counts=True)
        is_drawn = [
            drawn
            for row, count in zip(map(int, rows), map(int, counts), strict=True)
            for drawn in self._texts.drawn(numbers[row], count)
        ]
        skipped[NOT_DRAWN] += len(is_drawn) - sum(is_drawn)
        return swaps.only(np.array(is_drawn))

    def _count(
        self,
        token_swap: TokenSwap,
        numbers: Sequence[int],
        rows_BS: np.ndarray,
        swaps: TokenSwaps,
        skipped: Counter[str],
    ) -> None:
        """Adds to the audit; decodes the rows that the audit keeps."""
        rows, counts = np.unique(swaps.row, return_counts=True)
        self.audit.count(
            rows=len(rows_BS),
            rows_changed=rows.size,
            swaps=token_swap.count_by_form(swaps),
            skipped=skipped,
            swaps_at_row_end=int((swaps.start + swaps.width == rows_BS.shape[1]).sum()),
        )
        for row, count in zip(map(int, rows), map(int, counts), strict=True):
            if self.audit.wants(numbers[row], count):
                self.audit.keep(numbers[row], *token_swap.as_text(rows_BS[row], swaps.only(swaps.row == row)))

    # --- by rewriting text, or by a map over ids -----------------------------------------------------------------

    def _by_text(self, number: int, row: np.ndarray) -> tuple[np.ndarray, int]:
        """(the row decoded, rewritten, encoded and fitted to its length, tokens before its padding)."""
        text = self.tokenizer.decode(row.tolist(), skip_special_tokens=False)
        swapped = self._texts(number, text)
        self.audit.add(number, text, swapped)
        ids, size = self.tokenizer.encode(swapped.text, add_special_tokens=False).ids, row.shape[0]
        self.audit.rows_cut += len(ids) > size
        self.audit.rows_padded += len(ids) < size
        fitted = np.full(size, self.padding_id, dtype=np.int64)
        num_tokens = min(len(ids), size)
        fitted[:num_tokens] = ids[:num_tokens]
        return fitted, size if self.intervention.trains_on_padding else num_tokens

    def _by_map(self, token_map: TokenMap, number: int, row: np.ndarray) -> tuple[np.ndarray, int]:
        """(the row with its ids mapped, its tokens)."""
        mapped, counts = token_map(row)
        left_by_map = self._num_pronouns(mapped)
        changed = np.flatnonzero(mapped != row)
        for at, drawn in zip(changed, self._texts.drawn(number, changed.size), strict=True):
            if not drawn:
                mapped[at] = row[at]
        if self.probability < 1:
            _, counts = token_map(row[changed][mapped[changed] != row[changed]])
        # What is replaced may be a piece of another word. A pronoun is one that is there before and not after.
        before, left = self._num_pronouns(row), self._num_pronouns(mapped)
        self.audit.swaps_in_words += counts.total() - (before - left)
        skipped = +Counter({_NOT_REPLACED: left_by_map, NOT_DRAWN: left - left_by_map})
        self.audit.count(rows=1, rows_changed=int(bool(counts)), swaps=counts, skipped=skipped)
        return mapped, row.shape[0]

    def _num_pronouns(self, row: np.ndarray) -> int:
        """Number of pronouns in a row, of the direction that the intervention is counted by."""
        assert self.intervention.pronouns_of is not None
        text = self.tokenizer.decode(row.tolist(), skip_special_tokens=False)
        return num_pronouns(text, self.intervention.pronouns_of)
