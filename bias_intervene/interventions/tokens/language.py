"""Decides from token ids whether the text around a position is English.

Most positions are decided by the 32 tokens on either side: a token holds at most one word, so four function words of
English among these tokens are four among the 32 words on either side. For the other positions, the words of a wider
window are counted, with a lower and an upper bound where a token is ambiguous.

Input: rows of ids and positions in them.
Output: English, another language, or undecided (the text rule decides).
Guarantees: a decision is always that of the text rule.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from bias_intervene.interventions.lexicon import (
    LANGUAGE_MINIMUM_FUNCTION_WORDS,
    LANGUAGE_MINIMUM_WORDS,
    LANGUAGE_WINDOW_WORDS,
)
from bias_intervene.interventions.tokens.classes import Kind, ScanFlag, TokenClasses

_SPARSE = 256
"""Tokens per position from which on only the surroundings of the positions are read, and not all tokens."""
_WIDE_TOKENS = (64, 256)
"""Tokens on either side that are counted, and if these hold too few words, tokens that are counted instead."""


class LanguageDecision(IntEnum):
    """What the tokens around a position say about its language."""

    ENGLISH = 0
    OTHER = 1
    UNDECIDED = 2


def languages(
    classes: TokenClasses, flat: np.ndarray, start: np.ndarray, end: np.ndarray, flags: np.ndarray | None = None
) -> np.ndarray:
    """uint8 (positions,) of `LanguageDecision` for the words around tokens [start, end), ascending.

    flat: rows as `rule` arranges them, with at least LANGUAGE_WINDOW_WORDS entries between them. flags: uint8, the
    `ScanFlag`s of `flat`; None: they are looked up.
    """
    decisions = np.full(start.shape, LanguageDecision.ENGLISH, dtype=np.uint8)
    if start.size * _SPARSE < flat.size:
        near = surroundings(flat, start, end)
        unsure = not_surely_english(classes.flags.take(near.flat), near.start, near.end)
    else:
        unsure = not_surely_english(classes.flags.take(flat) if flags is None else flags, start, end)
    if unsure.size:
        decisions[unsure] = _decided_by_count(classes, flat, start[unsure], end[unsure])
    return decisions


def not_surely_english(flags: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """int64: indices of the positions whose neighbouring tokens do not contain enough function words.

    flags: uint8 (tokens,), `ScanFlag`s. start, end: int64 (positions,).
    """
    if not start.size:
        return np.arange(0)
    # Function words that no letter follows, summed over windows whose width is doubled each time. Windows with a token
    # that may have several words, or ends a document, are not used (`spoilt`).
    sums, spoilt = flags[:-1] & ~(flags[1:] >> 1) & np.uint8(ScanFlag.FUNCTION_WORD), flags & np.uint8(ScanFlag.UNCLEAR)
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
    rest = np.flatnonzero(total < LANGUAGE_MINIMUM_FUNCTION_WORDS)
    # For positions near the beginning or end of a document: groups of eight tokens, up to the first that is spoilt.
    start, end, total = start[rest], end[rest], np.zeros(rest.size, dtype=np.uint8)
    for first, step in ((end, 8), (start - 8, -8)):
        is_open = np.ones(rest.size, dtype=bool)
        for group in range(LANGUAGE_WINDOW_WORDS // 8):
            begin = first + step * group
            is_open &= spoilt_of_8.take(begin, mode="clip") == 0
            total += sums_of_8.take(begin, mode="clip") * is_open
    return rest[total < LANGUAGE_MINIMUM_FUNCTION_WORDS]


class _Surroundings(NamedTuple):
    """The tokens near some positions, and where the positions are in these."""

    flat: np.ndarray
    start: np.ndarray
    """int64 (positions,)."""
    end: np.ndarray
    """int64 (positions,)."""


def surroundings(flat: np.ndarray, start: np.ndarray, end: np.ndarray) -> _Surroundings:
    """The tokens near the positions alone, so that few positions in many tokens cost little."""
    before, width = LANGUAGE_WINDOW_WORDS + 1, int((end - start).max(initial=0))
    offsets = np.arange(-before, width + LANGUAGE_WINDOW_WORDS + 1)
    near = flat.take(start[:, None] + offsets, mode="clip").reshape(-1)
    near_start = np.arange(start.size) * offsets.size + before
    return _Surroundings(near, near_start, near_start + (end - start))


def _decided_by_count(
    classes: TokenClasses, flat: np.ndarray, start: np.ndarray, end: np.ndarray, width: int = _WIDE_TOKENS[0]
) -> np.ndarray:
    """uint8 (positions,) of `LanguageDecision`, by counting the words of `width` tokens, or more, on either side."""
    sides = [_side_counts(classes, flat, start, end, side=side, width=width) for side in (-1, 1)]
    num_words, fewest, possible, unclear, too_short = (np.add(*counts) for counts in zip(*sides, strict=True))
    most = fewest + possible
    decisions = np.full(start.shape, LanguageDecision.UNDECIDED, dtype=np.uint8)
    decisions[(num_words < LANGUAGE_MINIMUM_WORDS) | (fewest >= LANGUAGE_MINIMUM_FUNCTION_WORDS)] = (
        LanguageDecision.ENGLISH
    )
    decisions[(num_words >= LANGUAGE_MINIMUM_WORDS) & (most < LANGUAGE_MINIMUM_FUNCTION_WORDS)] = LanguageDecision.OTHER
    decisions[unclear > 0] = LanguageDecision.UNDECIDED
    # Fewer words than the rule reads: unless enough function words were found, further words may change the decision.
    short = np.flatnonzero((too_short > 0) & ((fewest < LANGUAGE_MINIMUM_FUNCTION_WORDS) | (unclear > 0)))
    wider = [wide for wide in _WIDE_TOKENS if wide > width]
    decisions[short] = LanguageDecision.UNDECIDED
    if short.size and wider:
        decisions[short] = _decided_by_count(classes, flat, start[short], end[short], wider[0])
    return decisions


class _SideCounts(NamedTuple):
    """Counts on one side of the positions, int64 (positions,) each."""

    words: np.ndarray
    """Words, at most LANGUAGE_WINDOW_WORDS."""
    function_words: np.ndarray
    """Words that are certainly function words."""
    possible_function_words: np.ndarray
    """Words of several tokens that may be function words."""
    unclear_tokens: np.ndarray
    """Tokens whose number of words depends on their neighbours."""
    too_short: np.ndarray
    """1 if the window has fewer words than the text rule reads, and the document goes on; else 0."""


def _side_counts(
    classes: TokenClasses, flat: np.ndarray, start: np.ndarray, end: np.ndarray, *, side: int, width: int
) -> _SideCounts:
    """The counts of `width` tokens on one side of the positions. side: -1 before, 1 after."""
    offsets = np.arange(-1, width + 1)
    # The first column is the token before the window in reading order, the last column the token after it.
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
    is_continued = (classes.flags.take(ids[:, 2:]) & ScanFlag.JOINS) > 0
    is_whole = classes.is_function_word.take(inner) & ~joined
    unclear = classes.is_ambiguous_count.take(inner) & is_read
    certain = near & is_whole & ~is_continued
    letters = classes.continues_function_word.take(inner) >> classes.first_letter.take(ids[:, 2:])
    possible = near & is_continued & ((letters & 1) > 0) & ~joined
    reached = rank.max(axis=1) >= LANGUAGE_WINDOW_WORDS
    ended = ~is_read.all(axis=1)
    # A token with an unknown number of words leaves the position undecided if it is in the window.
    within = unclear & (rank <= LANGUAGE_WINDOW_WORDS)
    return _SideCounts(
        words=np.minimum(rank.max(axis=1), LANGUAGE_WINDOW_WORDS),
        function_words=certain.sum(axis=1),
        possible_function_words=possible.sum(axis=1),
        unclear_tokens=within.sum(axis=1),
        too_short=(~(reached | ended)).astype(np.int64),
    )
