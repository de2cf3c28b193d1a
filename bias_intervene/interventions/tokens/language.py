"""Decides from token ids whether the text around a position is English.

Most positions are decided by the 32 tokens on either side: each token holds at most one word, so four common English
words among them are four among the 32 words on either side. For the others, the words of a wider window are counted,
with a lower and an upper bound where a token is ambiguous.

Input: rows of ids and positions in them.
Output: English, another language, or undecided (the text rule decides).
Guarantees: a decision is always that of the text rule.
"""

from enum import IntEnum

import numpy as np

from bias_intervene.interventions.lexicon import (
    LANGUAGE_MINIMUM_HITS,
    LANGUAGE_MINIMUM_WORDS,
    LANGUAGE_WINDOW_WORDS,
)
from bias_intervene.interventions.tokens.classes import Code, Kind, TokenClasses

_SPARSE = 256
"""Tokens a place from which on only what is near the places is looked at."""
_WIDE_TOKENS = (64, 256)
"""Tokens on either side for the second, and where they are too few for the third."""


class Language(IntEnum):
    """The answer."""

    ENGLISH = 0
    OTHER = 1
    ASK = 2


def languages(
    classes: TokenClasses, flat: np.ndarray, start: np.ndarray, end: np.ndarray, codes: np.ndarray | None = None
) -> np.ndarray:
    """uint8 (places,) of `Language` for the words around tokens [start, end), ascending.

    flat: rows as `rule` lays them out, LANGUAGE_WINDOW_WORDS tokens or more between them. codes: uint8, their `Code`s,
    where they are at hand.
    """
    found = np.full(start.shape, Language.ENGLISH, dtype=np.uint8)
    if start.size * _SPARSE < flat.size:
        near, begin, until = surroundings(flat, start, end)
        unsure = not_surely_english(classes.code.take(near), begin, until)
    else:
        unsure = not_surely_english(classes.code.take(flat) if codes is None else codes, start, end)
    if unsure.size:
        found[unsure] = counted(classes, flat, start[unsure], end[unsure])
    return found


def not_surely_english(codes: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """int64: the places whose nearest tokens do not hold enough common words to be sure."""
    rest = np.arange(start.size)
    if not rest.size:
        return rest
    # Common words that no letter follows, summed over windows twice as wide each time. A token that may hold several
    # words, or ends the document, spoils the windows it is in.
    sums, spoilt = codes[:-1] & ~(codes[1:] >> 1) & np.uint8(Code.FUNCTION_WORD), codes & np.uint8(Code.UNCLEAR)
    sums_of_8, spoilt_of_8 = sums, spoilt
    width = 1
    while width < LANGUAGE_WINDOW_WORDS:
        sums, spoilt = sums[:-width] + sums[width:], spoilt[:-width] | spoilt[width:]
        width *= 2
        if width == 8:
            sums_of_8, spoilt_of_8 = sums, spoilt
    total = np.zeros(start.size, dtype=np.uint8)
    for begin in (end, start - width):
        total += sums.take(begin, mode="clip") * (spoilt.take(begin, mode="clip") == 0)
    rest = np.flatnonzero(total < LANGUAGE_MINIMUM_HITS)
    # The few near an end of their document: eight tokens at a time, as far as they go.
    start, end, total = start[rest], end[rest], np.zeros(rest.size, dtype=np.uint8)
    for first, step in ((end, 8), (start - 8, -8)):
        is_open = np.ones(rest.size, dtype=bool)
        for group in range(LANGUAGE_WINDOW_WORDS // 8):
            begin = first + step * group
            is_open &= spoilt_of_8.take(begin, mode="clip") == 0
            total += sums_of_8.take(begin, mode="clip") * is_open
    return rest[total < LANGUAGE_MINIMUM_HITS]


def surroundings(flat: np.ndarray, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(flat, start, end) of nothing but what is near the places: where they are few, the rest need not be summed."""
    before, width = LANGUAGE_WINDOW_WORDS + 1, int((end - start).max(initial=0))
    offsets = np.arange(-before, width + LANGUAGE_WINDOW_WORDS + 1)
    near = flat.take(start[:, None] + offsets, mode="clip").reshape(-1)
    place = np.arange(start.size) * offsets.size + before
    return near, place, place + (end - start)


def counted(
    classes: TokenClasses, flat: np.ndarray, start: np.ndarray, end: np.ndarray, width: int = _WIDE_TOKENS[0]
) -> np.ndarray:
    """uint8 (places,) of `Language`, by a count of the words of a window on either side; a wider one if need be."""
    sides = [_side_counts(classes, flat, start, end, side=side, width=width) for side in (-1, 1)]
    num_words, fewest, maybe, unclear, is_short = (np.add(*column) for column in zip(*sides, strict=True))
    most = fewest + maybe
    found = np.full(start.shape, Language.ASK, dtype=np.uint8)
    found[(num_words < LANGUAGE_MINIMUM_WORDS) | (fewest >= LANGUAGE_MINIMUM_HITS)] = Language.ENGLISH
    found[(num_words >= LANGUAGE_MINIMUM_WORDS) & (most < LANGUAGE_MINIMUM_HITS)] = Language.OTHER
    found[unclear > 0] = Language.ASK
    # Fewer words than the rule reads: more of them may change the answer, but for enough common ones.
    short = np.flatnonzero((is_short > 0) & ((fewest < LANGUAGE_MINIMUM_HITS) | (unclear > 0)))
    wider = [wide for wide in _WIDE_TOKENS if wide > width]
    found[short] = Language.ASK
    if short.size and wider:
        found[short] = counted(classes, flat, start[short], end[short], wider[0])
    return found


def _side_counts(
    classes: TokenClasses, flat: np.ndarray, start: np.ndarray, end: np.ndarray, *, side: int, width: int
) -> tuple[np.ndarray, ...]:
    """(words, those surely common, those perhaps, tokens that cannot be told, whether the window is too short)."""
    offsets = np.arange(-1, width + 1)
    # Column 0 is the token before the window in reading order, the last one that after it.
    grid = (end[:, None] + offsets) if side > 0 else (start[:, None] - 1 - offsets[::-1])
    ids = flat.take(grid, mode="clip")
    inner = ids[:, 1:-1]
    barrier = classes.kind.take(inner) == Kind.BARRIER
    reach = np.logical_or.accumulate(barrier if side > 0 else barrier[:, ::-1], axis=1)
    is_read = ~(reach if side > 0 else reach[:, ::-1])
    joined = classes.starts_letter.take(inner) & classes.ends_letter.take(ids[:, :-2])
    starts = np.where(is_read, classes.words.take(inner) - joined, 0).astype(np.int64)
    counts = starts if side > 0 else starts[:, ::-1]
    rank = np.cumsum(counts, axis=1)
    rank = rank if side > 0 else rank[:, ::-1]
    near = is_read & (rank <= LANGUAGE_WINDOW_WORDS) & (starts > 0)
    goes_on = (classes.code.take(ids[:, 2:]) & Code.JOINS) > 0
    is_whole = classes.is_function_word.take(inner) & ~joined
    unclear = classes.is_uncountable.take(inner) & is_read
    sure = near & is_whole & ~goes_on
    letters = classes.goes_on_common.take(inner) >> classes.first_letter.take(ids[:, 2:])
    maybe = near & goes_on & ((letters & 1) > 0) & ~joined
    reached = rank.max(axis=1) >= LANGUAGE_WINDOW_WORDS
    ended = ~is_read.all(axis=1)
    # A token that may hold several words, or half a character, is counted by nobody while it is within reach.
    within = unclear & (rank <= LANGUAGE_WINDOW_WORDS)
    return (
        np.minimum(rank.max(axis=1), LANGUAGE_WINDOW_WORDS),
        sure.sum(axis=1),
        maybe.sum(axis=1),
        within.sum(axis=1),
        (~(reached | ended)).astype(np.int64),
    )
