"""Requests for log-likelihoods, and their arrangement into sequences and batches for the model.

Input: requests, each a context and a continuation.
Output: batches of passes. A pass is one sequence, with all requests whose scores its logits give.
Guarantees: neither a model nor torch is needed. The same requests give the same batches, so all ranks divide the work
in the same way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_SHORTEST_SHARE = 0.8
"""Length of the shortest sequence of a batch as a share of its longest, once the batch is a quarter full."""


@dataclass(frozen=True)
class Request:
    """One continuation to score."""

    item: str
    """Its name in messages."""
    context_ids: tuple[int, ...]
    continuation_ids: tuple[int, ...]

    @property
    def input_ids(self) -> tuple[int, ...]:
        """The tokens that the model reads: all but the last one, which is only predicted."""
        return self.context_ids + self.continuation_ids[:-1]

    @property
    def positions(self) -> range:
        """Positions in `input_ids` whose logits predict the tokens of the continuation."""
        first = len(self.context_ids) - 1
        return range(first, first + len(self.continuation_ids))


@dataclass(frozen=True)
class Pass:
    """One sequence for the model to read."""

    input_ids: tuple[int, ...]
    requests: tuple[int, ...]
    """Numbers of the requests whose input is this sequence or a prefix of it."""


def passes(requests: Sequence[Request]) -> list[Pass]:
    """The sequences that must be read so that the input of every request is a prefix of one; longest first.

    >>> [len(p.requests) for p in passes([Request("a", (1, 2), (7,)), Request("b", (1,), (2, 3))])]
    [2]
    """
    inputs = [request.input_ids for request in requests]
    order = sorted(range(len(inputs)), key=inputs.__getitem__)
    all_passes: list[Pass] = []
    prefixes: list[int] = []
    for index, number in enumerate(order):
        prefixes.append(number)
        # In sorted order, a sequence that is a prefix of any other is a prefix of the next one.
        following = inputs[order[index + 1]] if index + 1 < len(order) else None
        if following is None or following[: len(inputs[number])] != inputs[number]:
            all_passes.append(Pass(inputs[number], tuple(prefixes)))
            prefixes = []
    return sorted(all_passes, key=lambda sequence: (-len(sequence.input_ids), sequence.input_ids))


def batches(ordered: Sequence[Pass], *, batch_tokens: int) -> list[list[Pass]]:
    """Divides passes, longest first, into batches of at most `batch_tokens` tokens, padding included.

    A batch that is a quarter full takes no pass much shorter than its longest, because most of it would be padding.
    """
    result: list[list[Pass]] = []
    for sequence in ordered:
        batch = result[-1] if result else []
        width = len(batch[0].input_ids) if batch else 0
        fits = (len(batch) + 1) * width <= batch_tokens
        is_padding = len(batch) * width >= batch_tokens / 4 and len(sequence.input_ids) < _SHORTEST_SHARE * width
        if batch and fits and not is_padding:
            batch.append(sequence)
        else:
            result.append([sequence])
    return result


def first_with_same_beginning(inputs: Sequence[Sequence[int]]) -> np.ndarray:
    """int64 (B, T): for each row and position, the first row with the same tokens up to and including the position.

    inputs: B rows of token ids, sorted; T is the length of the longest.

    >>> first_with_same_beginning([[1, 2, 3], [1, 2, 4], [1, 5]]).tolist()
    [[0, 0, 0], [0, 0, 1], [0, 2, 2]]
    """
    width = max(map(len, inputs))
    first_row_BT = np.repeat(np.arange(len(inputs))[:, None], width, axis=1)
    for row in range(1, len(inputs)):
        previous, current = inputs[row - 1], inputs[row]
        num_equal = next((i for i, (a, b) in enumerate(zip(previous, current, strict=False)) if a != b), None)
        num_equal = min(len(previous), len(current)) if num_equal is None else num_equal
        first_row_BT[row, :num_equal] = first_row_BT[row - 1, :num_equal]
    return first_row_BT
