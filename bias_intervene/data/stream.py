"""Step -> this rank's rows, the intervention applied.

Enters: prepared rows, the plan, a rank. Leaves: micro batches in the order they are trained on. Promised: which rows a
step reads depends on the plan alone; a rank, an accumulation step or a restart only decides who reads which of them.
Nothing swapped is stored.

For now a row is swapped as text: decode, swap, encode, fit to length. A row without a pronoun of the direction is
passed on untouched, token for token. A row that comes out longer is cut at its end, a shorter one padded; padding is
masked from the loss (`num_tokens`), but for the profiles of the literature, which trained on it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from bias_intervene.data.indexed import Rows
from bias_intervene.errors import DataError
from bias_intervene.interventions import profiles
from bias_intervene.interventions.audit import Audit
from bias_intervene.interventions.choice import chosen
from bias_intervene.interventions.text import Swapped, apply, swap_text
from bias_intervene.plan import Plan, rows_of_step
from bias_intervene.settings import InterventionSettings


@dataclass(frozen=True)
class MicroBatch:
    """rows_BS: int64 (rows, tokens); num_tokens_B: int64 (rows,), tokens before the padding; row_numbers: (rows,)."""

    rows_BS: np.ndarray
    num_tokens_B: np.ndarray
    row_numbers: list[int]


class RowOrder:
    """Position in the order of reading -> stored row.

    `seed` None: the stored order. Else a permutation of the training rows for each pass, drawn from (seed, pass).
    Without `allow_repeats`, positions beyond the corpus raise `DataError`.
    """

    def __init__(self, *, num_rows: int, seed: int | None, allow_repeats: bool):
        self.num_rows, self.seed, self.allow_repeats = num_rows, seed, allow_repeats
        self._permutation: tuple[int, np.ndarray] | None = None

    def check(self, end: int) -> None:
        """Refuses a window that ends beyond the corpus."""
        if end > self.num_rows and not self.allow_repeats:
            raise DataError(
                f"the run reads {end:,} rows and the corpus has {self.num_rows:,} to train on; give more text, train "
                "fewer steps (train.num_steps), or set data.allow_repeats=true to read it again"
            )

    def __getitem__(self, position: int) -> int:
        turn, at = divmod(position, self.num_rows)
        if turn:
            self.check(position + 1)
        if self.seed is None:
            return at
        if self._permutation is None or self._permutation[0] != turn:
            generator = np.random.Generator(np.random.PCG64([self.seed, turn]))
            self._permutation = (turn, generator.permutation(self.num_rows))
        return int(self._permutation[1][at])


class RowSwap:
    """Applies the intervention to one row and counts it in `audit`.

    seed: of the run, for the share of rows or pronouns that is altered. padding_id: fills rows that became shorter.
    """

    def __init__(self, settings: InterventionSettings, tokenizer: Tokenizer, *, seed: int, padding_id: int):
        self.settings, self.tokenizer, self.seed, self.padding_id = settings, tokenizer, seed, padding_id
        self.of_literature = settings.name.startswith("pythia_")
        self.audit = Audit()
        if settings.name == "pythia_token_map":
            profiles.check_token_map(tokenizer)

    def __call__(self, number: int, row: np.ndarray) -> tuple[np.ndarray, int]:
        """(row of the same length as int64, tokens before the padding). row: (tokens,), never written to."""
        if self.settings.name == "pythia_token_map":
            return self.map_tokens(number, row)
        text = self.tokenizer.decode(row.tolist(), skip_special_tokens=False)
        swapped = self.draw(number, text, self.swap(text))
        self.audit.add(number, text, swapped)
        if not swapped.swaps and self.settings.name not in {"retokenize", "pythia_pushed", "pythia_replace"}:
            return row.astype(np.int64), row.shape[0]
        return self.fit(self.tokenizer.encode(swapped.text, add_special_tokens=False).ids, row.shape[0])

    def swap(self, text: str) -> Swapped:
        """What the intervention makes of a text."""
        match self.settings.name:
            case "retokenize" | "pythia_pushed":
                return profiles.unchanged(text)
            case "pythia_replace":
                return profiles.replace_text(text)
            case direction:
                return swap_text(text, direction)

    def draw(self, number: int, text: str, swapped: Swapped) -> Swapped:
        """Keeps the swaps that were drawn; the others count as skipped."""
        if self.settings.probability >= 1:
            return swapped
        keep = self.chosen(number, len(swapped.swaps))
        kept = [swap for swap, drawn in zip(swapped.swaps, keep, strict=True) if drawn]
        skipped = Counter(swapped.skipped)
        skipped["not drawn"] += len(swapped.swaps) - len(kept)
        return Swapped(text=apply(text, kept), swaps=kept, skipped=+skipped)

    def chosen(self, number: int, count: int) -> list[bool]:
        """Which of a row's pronouns are altered."""
        asked = self.settings
        return chosen(seed=self.seed, row=number, count=count, probability=asked.probability, unit=asked.unit)

    def map_tokens(self, number: int, row: np.ndarray) -> tuple[np.ndarray, int]:
        """The profile over token ids."""
        mapped, counts = profiles.map_tokens(row, self.tokenizer)
        changed = np.flatnonzero(mapped != row)
        for at, drawn in zip(changed, self.chosen(number, changed.size), strict=True):
            if not drawn:
                mapped[at] = row[at]
        if self.settings.probability < 1:
            _, counts = profiles.map_tokens(row[changed][mapped[changed] != row[changed]], self.tokenizer)
        self.audit.add_counts(counts)
        return mapped, row.shape[0]

    def fit(self, ids: list[int], size: int) -> tuple[np.ndarray, int]:
        """Cuts or pads to `size`."""
        self.audit.rows_cut += len(ids) > size
        self.audit.rows_padded += len(ids) < size
        fitted = np.full(size, self.padding_id, dtype=np.int64)
        kept = ids[:size]
        fitted[: len(kept)] = kept
        return fitted, size if self.of_literature else len(kept)


class RowStream:
    """The micro batches of a step for one rank of `plan.num_ranks`."""

    def __init__(self, *, rows: Rows, order: RowOrder, plan: Plan, rank: int, swap: RowSwap | None):
        order.check(plan.rows[1])
        self.rows, self.order, self.plan, self.rank, self.swap = rows, order, plan, rank, swap

    def micro_batches(self, step: int) -> Iterator[MicroBatch]:
        """`plan.accumulation_steps` micro batches. Warm-up steps (before start_step) read their rows unaltered."""
        altered = step >= self.plan.start_step
        for numbers in share_of_rank(rows_of_step(self.plan, step), plan=self.plan, rank=self.rank):
            made = [self.row(number, altered=altered) for number in numbers]
            yield MicroBatch(
                rows_BS=np.stack([row for row, _ in made]),
                num_tokens_B=np.asarray([count for _, count in made], dtype=np.int64),
                row_numbers=list(numbers),
            )

    def row(self, number: int, *, altered: bool) -> tuple[np.ndarray, int]:
        """One row as it is read."""
        row = self.rows[self.order[number]]
        if self.swap is None or not altered:
            return row.astype(np.int64), row.shape[0]
        return self.swap(number, row)


def share_of_rank(rows: Sequence[int], *, plan: Plan, rank: int) -> Iterator[Sequence[int]]:
    """The rows of a step that a rank reads, one micro batch at a time: accumulation, then rank, then row.

    With 8 rows, micro batches of 2 and 2 ranks, rank 0 reads 0 1, then 4 5.
    """
    micro, ranks = plan.micro_batch_rows, plan.num_ranks
    for first in range(rank * micro, len(rows), ranks * micro):
        yield rows[first : first + micro]
