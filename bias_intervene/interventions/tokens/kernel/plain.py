"""Pronouns that stand plainly as words in English text: most of them.

Enters: a place in a row laid out. Leaves: whether nothing beside it needs a second look, whether the words around it
are surely English, which role its neighbours give it. Promised: yes, or a role, where `rule` would say the same; no, or
LEFT, tells nothing. Everything is computed and then asked once: what a branch would spare costs less than the wrong
guesses of the processor.
"""

# pyright: basic
# The loops take what Numba makes of their arguments.

import numpy as np

from bias_intervene.interventions.lexicon import LANGUAGE_MINIMUM_HITS
from bias_intervene.interventions.tokens.kernel.tables import Beside, inlined

LEFT = -2
"""Instead of a role: not decided here."""
BEFORE, _, AFTER, AFTER_MARK, JOINS, WORDED, SPACE, AFTER_SPACE = (bit.bit_length() - 1 for bit in Beside)
"""Places of the bits. That of a form without a space is one above BEFORE."""
BITS = np.uint64(2)
"""Of a `Word`."""
ONE, EACH_WORD = np.uint64(1), np.uint64(0x5555555555555555)


@inlined
def is_whole(ids, at, is_unspaced, all_beside):
    """Whether the token at `at` is a word by itself, with nothing beside it to look at."""
    before, beyond_before = all_beside[ids[at - 1]], all_beside[ids[at - 2]]
    after, beyond_after = all_beside[ids[at + 1]], all_beside[ids[at + 2]]
    begins = before >> (BEFORE + is_unspaced) | (before >> SPACE & beyond_before >> BEFORE)
    ends = (
        after >> AFTER
        | (after >> AFTER_MARK & ~(beyond_after >> JOINS))
        | (after >> SPACE & beyond_after >> AFTER_SPACE)
    )
    return (begins & ends & 1) != 0


@inlined
def is_english(ids, at, width, words):
    """Whether enough of the `width` (at most 31) nearest tokens on either side, within its document, are common words.

    A common word counts where no letter follows it; each token holds one word at most, so these are among the words
    that the rule reads.
    """
    before = after = np.uint64(0)
    follows = np.uint64(words[ids[at + 1 + width]]) << (BITS * np.uint64(width))
    for offset in range(width, 0, -1):
        # The nearest come last, into the lowest bits.
        before = before << BITS | np.uint64(words[ids[at - offset]])
        after = after << BITS | np.uint64(words[ids[at + offset]])
    within = (ONE << (BITS * np.uint64(width))) - ONE
    common_before = before & ~(before << ONE) & up_to_unclear(before)
    common_after = after & ~((after | follows) >> np.uint64(3)) & up_to_unclear(after) & within
    return has_enough(common_before & EACH_WORD, common_after & EACH_WORD)


@inlined
def up_to_unclear(side):
    """All bits below the first UNCLEAR word."""
    unclear = side & (side >> ONE) & EACH_WORD
    return (unclear - ONE) & ~unclear


@inlined
def has_enough(common_before, common_after):
    """Whether so many bits are set, by clearing the lowest."""
    common = common_before | common_after << ONE
    for _ in range(LANGUAGE_MINIMUM_HITS - 1):
        common &= common - ONE
    return common != 0


@inlined
def role_beside(ids, at, word, t):
    """As `TokenRoles.scores`, where each neighbour is one token. t: RoleTables."""
    first, second = ids[at + 1], ids[at + 2]
    before, after = np.int64(t.key_before[ids[at - 1]]), np.int64(t.key_after[first])
    has_second, goes_on = t.beside[first] >> WORDED & 1, t.beside[second] >> JOINS
    further = np.int64(t.key_after[second]) if has_second else t.end
    goes_on |= t.beside[second] >> WORDED & t.beside[ids[at + 3]] >> JOINS
    return LEFT if has_second & goes_on & 1 else role_of(word, before, after, further, t)


@inlined
def role_of(word, before, after, second, t):
    """The role for the keys of its neighbours, in the order of `TokenRoles.scores`' sum; LEFT where one is -1."""
    if before < 0 or after < 0 or second < 0:
        return LEFT
    score = t.bias[word] + ((t.weights[word, 0, before] + t.weights[word, 1, after]) + t.weights[word, 2, second])
    if abs(score) < t.margin:
        return LEFT
    return t.chosen[word, np.int64(score > 0)]
