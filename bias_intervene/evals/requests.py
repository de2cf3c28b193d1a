"""What is to be scored, and how it becomes sequences and batches for the model to read.

Input: requests, each a context and a continuation. Output: passes (one sequence each, with the requests that are read
off it) in batches. Guarantees: no model and no torch is needed; the same requests give the same batches, so that all
ranks cut the work alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_LEAST_FILLED = 0.8
"""Shortest sequence of a batch, in lengths of its longest."""


@dataclass(frozen=True)
class Request:
    """One continuation to score. `item` names it in messages."""

    item: str
    context_ids: tuple[int, ...]
    continuation_ids: tuple[int, ...]

    @property
    def input_ids(self) -> tuple[int, ...]:
        """What the model reads: the last token is only predicted."""
        return self.context_ids + self.continuation_ids[:-1]

    @property
    def positions(self) -> range:
        """Where in `input_ids` the continuation is predicted."""
        first = len(self.context_ids) - 1
        return range(first, first + len(self.continuation_ids))


@dataclass(frozen=True)
class Pass:
    """One sequence to read, and the requests (by their numbers) that are read off it."""

    input_ids: tuple[int, ...]
    requests: tuple[int, ...]


def passes(requests: Sequence[Request]) -> list[Pass]:
    """The sequences that must be read so that every request can be read off one; longest first.

    >>> [len(one.requests) for one in passes([Request("a", (1, 2), (7,)), Request("b", (1,), (2, 3))])]
    [2]
    """
    inputs = [request.input_ids for request in requests]
    order = sorted(range(len(inputs)), key=inputs.__getitem__)
    made: list[Pass] = []
    waiting: list[int] = []
    for place, here in enumerate(order):
        waiting.append(here)
        # In sorted order a sequence that begins another one begins the next.
        following = inputs[order[place + 1]] if place + 1 < len(order) else None
        if following is None or following[: len(inputs[here])] != inputs[here]:
            made.append(Pass(inputs[here], tuple(waiting)))
            waiting = []
    return sorted(made, key=lambda one: (-len(one.input_ids), one.input_ids))


def batches(ordered: Sequence[Pass], *, batch_tokens: int) -> list[list[Pass]]:
    """Cuts passes, longest first, into batches of at most `batch_tokens` padded tokens.

    A batch that is a quarter full takes no pass much shorter than its longest: it would be padding for the most part.
    """
    cut: list[list[Pass]] = []
    for one in ordered:
        width = len(cut[-1][0].input_ids) if cut else 0
        fits = cut and (len(cut[-1]) + 1) * width <= batch_tokens
        padded = cut and len(cut[-1]) * width >= batch_tokens / 4 and len(one.input_ids) < _LEAST_FILLED * width
        if fits and not padded:
            cut[-1].append(one)
        else:
            cut.append([one])
    return cut


def first_with_same_beginning(inputs: Sequence[Sequence[int]]) -> np.ndarray:
    """(B, T): the first row whose tokens up to and including a position are those of this row. inputs: B rows, sorted.

    >>> first_with_same_beginning([[1, 2, 3], [1, 2, 4], [1, 5]]).tolist()
    [[0, 0, 0], [0, 0, 1], [0, 2, 2]]
    """
    width = max(map(len, inputs))
    owners_BT = np.repeat(np.arange(len(inputs))[:, None], width, axis=1)
    for row in range(1, len(inputs)):
        before, here = inputs[row - 1], inputs[row]
        shared = next((i for i, (a, b) in enumerate(zip(before, here, strict=False)) if a != b), None)
        shared = min(len(before), len(here)) if shared is None else shared
        owners_BT[row, :shared] = owners_BT[row - 1, :shared]
    return owners_BT
