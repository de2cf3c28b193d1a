"""The ranks of an evaluation: each scores a share of the items, and the shares are combined.

Input: the environment variables that torch's launcher sets.
Output: sums and lists of values that are the same on every rank.
Guarantees: without a launcher there is one rank, and the same calls return the value that they are given.
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
    """The rank of this process, from 0, and the number of ranks."""

    rank: int = 0
    count: int = 1

    def sum(self, values: np.ndarray) -> np.ndarray:
        """The elementwise sum over the ranks, float64, on every rank.

        It is exact where all ranks but one hold 0, as after each scored its own items.
        """
        if self.count == 1:
            return values
        import torch

        total = torch.from_numpy(np.ascontiguousarray(values))
        torch.distributed.all_reduce(total)
        return total.numpy()

    def gather(self, value: Any) -> list[Any]:
        """The values of all ranks, in their order, on every rank."""
        if self.count == 1:
            return [value]
        import torch

        values: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(values, value)
        return values

    def first(self, value: Any) -> Any:
        """The first rank's value, on every rank."""
        return self.gather(value)[0]


SINGLE_RANK = Ranks()


@contextmanager
def ranks() -> Iterator[Ranks]:
    """The ranks of this stage, connected inside the block by gloo, because little is sent."""
    if "RANK" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1:
        yield SINGLE_RANK
        return
    import torch

    # The tasks of lm-evaluation-harness run on the first rank and may take hours, for which the others wait.
    torch.distributed.init_process_group("gloo", timeout=datetime.timedelta(days=2))
    try:
        yield Ranks(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    finally:
        torch.distributed.destroy_process_group()
