"""The ranks of an evaluation: which share of the work each has, and how the shares are put together.

Input: the variables that torch's launcher sets. Output: sums and decisions that are the same on every rank. Guarantees:
without a launcher everything here does nothing, so that code for one process is the same as for several.
"""

import datetime
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Ranks:
    """This process among `count`."""

    rank: int = 0
    count: int = 1

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Elementwise over the ranks, float64. Each rank left 0 where another one worked, so nothing is rounded."""
        if self.count == 1:
            return values
        import torch

        total = torch.from_numpy(np.ascontiguousarray(values))
        torch.distributed.all_reduce(total)
        return total.numpy()

    def gather(self, value: Any) -> list[Any]:
        """Every rank's value, in the order of the ranks."""
        if self.count == 1:
            return [value]
        import torch

        values: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(values, value)
        return values

    def first(self, value: Any) -> Any:
        """The first rank's value, on every rank."""
        return self.gather(value)[0]


ALONE = Ranks()


@contextmanager
def ranks() -> Iterator[Ranks]:
    """The ranks of this stage, joined while entered: by gloo, as what is exchanged are a few numbers an item."""
    if "RANK" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1:
        yield ALONE
        return
    import torch

    # What one rank does alone (a task of the harness) may take hours; the others wait.
    torch.distributed.init_process_group("gloo", timeout=datetime.timedelta(days=2))
    try:
        yield Ranks(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    finally:
        torch.distributed.destroy_process_group()
