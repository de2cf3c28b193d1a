"""The rows of a training step for one rank, with the intervention applied.

A thread reads one step ahead of training. Every step carries the audit as it stands after that step, so that a
checkpoint never counts rows that were read but not trained on. A row that the intervention shortens is padded, and the
padding is masked from the loss (`num_tokens_B`), except under the profiles of the literature, which trained on it.

Input: prepared rows, the plan, a rank.
Output: micro batches in the order in which they are trained on.
Guarantees: which rows a step reads depends on the plan alone; the rank, the accumulation step and restarts only divide
them. Swapped rows are never stored.
"""

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from bias_intervene.data.indexed import Rows, check_ids
from bias_intervene.errors import DataError
from bias_intervene.interventions.audit import Audit
from bias_intervene.interventions.row_swap import RowSwap
from bias_intervene.plan import Plan, rows_of_step
from bias_intervene.settings import DataSettings, PileData, WorldData


@dataclass(frozen=True)
class MicroBatch:
    """rows_BS: int64 (rows, tokens); num_tokens_B: int64 (rows,), tokens before the padding; row_numbers: (rows,)."""

    rows_BS: np.ndarray
    num_tokens_B: np.ndarray
    row_numbers: list[int]


@dataclass(frozen=True)
class Step:
    """What one rank reads for one update. audit: covers every row up to and including this step."""

    number: int
    batches: list[MicroBatch]
    audit: Audit


class RowOrder:
    """Maps a position in the order of reading to the number of a stored row.

    `seed` None: the stored order. Otherwise one permutation per pass over the corpus, drawn from (seed, pass), which
    permutes the rows of `window` among themselves, or all training rows if `window` is None. Without `allow_repeats`,
    a position beyond the corpus raises `DataError`.
    """

    def __init__(self, *, num_rows: int, seed: int | None, allow_repeats: bool, window: range | None = None):
        self.num_rows, self.seed, self.allow_repeats = num_rows, seed, allow_repeats
        self.window = range(num_rows) if window is None else window
        self._permutation: tuple[int, np.ndarray] | None = None

    def check(self, end: int) -> None:
        """Raises `DataError` for a window that ends beyond the corpus, unless rows may be repeated."""
        if end > self.num_rows and not self.allow_repeats:
            raise DataError(
                f"the run reads {end:,} rows and the corpus has {self.num_rows:,} to train on; give more text, train "
                "fewer steps (train.num_steps), or set data.allow_repeats=true to read it again"
            )

    def __getitem__(self, position: int) -> int:
        pass_number, at = divmod(position, self.num_rows)
        if pass_number:
            self.check(position + 1)
        if self.seed is None or at not in self.window:
            return at
        if self._permutation is None or self._permutation[0] != pass_number:
            generator = np.random.Generator(np.random.PCG64([self.seed, pass_number]))
            self._permutation = (pass_number, generator.permutation(len(self.window)))
        return self.window[int(self._permutation[1][self.window.index(at)])]


def row_order(data: DataSettings, *, seed: int, num_rows: int, window: range) -> RowOrder:
    """The order of a corpus. Shuffling permutes the rows of the window (the Pile, the world), or all rows (own)."""
    order_seed = seed if data.shuffle else None
    if isinstance(data, WorldData | PileData):
        return RowOrder(num_rows=num_rows, seed=order_seed, allow_repeats=False, window=window)
    return RowOrder(num_rows=num_rows, seed=order_seed, allow_repeats=data.allow_repeats)


class RowStream:
    """The micro batches of each step for one rank. vocabulary_size: number of ids that the model has embeddings for."""

    def __init__(
        self, *, rows: Rows, order: RowOrder, plan: Plan, rank: int, swap: RowSwap | None, vocabulary_size: int
    ):
        order.check(plan.rows[1])
        self.rows, self.order, self.plan, self.rank, self.swap = rows, order, plan, rank, swap
        self.vocabulary_size = vocabulary_size

    def steps(self, first: int, end: int) -> Generator[Step]:
        """Steps [first, end) in turn; a thread prepares the next one while the current one is trained on."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="rows") as thread:
            ready = thread.submit(self.step, first) if first < end else None
            for number in range(first, end):
                assert ready is not None
                step = ready.result()
                ready = thread.submit(self.step, number + 1) if number + 1 < end else None
                yield step

    def step(self, number: int) -> Step:
        """One step. Steps must be requested in order, because the audit accumulates."""
        batches = list(self.micro_batches(number))
        return Step(number, batches, self.swap.audit.copy() if self.swap is not None else Audit())

    def micro_batches(self, step: int) -> Iterator[MicroBatch]:
        """`plan.accumulation_steps` micro batches. Optimizer warm-up steps (before start_step) read unaltered rows."""
        altered = self.swap is not None and step >= self.plan.start_step
        for numbers in share_of_rank(rows_of_step(self.plan, step), plan=self.plan, rank=self.rank):
            stored = self.rows.stack([self.order[number] for number in numbers])
            check_ids(stored, numbers, vocabulary_size=self.vocabulary_size)
            if altered and self.swap is not None:
                rows, num_tokens = self.swap(numbers, stored)
            else:
                rows, num_tokens = stored.astype(np.int64), np.full(len(stored), stored.shape[1], dtype=np.int64)
            yield MicroBatch(rows_BS=rows, num_tokens_B=num_tokens, row_numbers=list(numbers))


def share_of_rank(rows: Sequence[int], *, plan: Plan, rank: int) -> Iterator[Sequence[int]]:
    """The rows of a step that a rank reads, one micro batch at a time: accumulation, then rank, then row.

    With 8 rows, micro batches of 2 and 2 ranks, rank 0 reads 0 1, then 4 5.
    """
    micro, ranks = plan.micro_batch_rows, plan.num_ranks
    for first in range(rank * micro, len(rows), ranks * micro):
        yield rows[first : first + micro]
