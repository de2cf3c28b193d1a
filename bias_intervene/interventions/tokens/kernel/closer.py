"""Pronouns whose sides need a second look: a line end, emphasis, `or`, a neighbour of several tokens.

Enters: a place in a row laid out. Leaves: the form that stands there and its role, or that it is none, or that it is
left to `rule`. Promised: whatever is decided is what `Outcomes`, `languages` and `TokenRoles` say.
"""

# pyright: basic
# The loops take what Numba makes of their arguments.

import numpy as np

from bias_intervene.interventions.lexicon import LANGUAGE_WINDOW_WORDS
from bias_intervene.interventions.tokens.classes import MAX_LINE_ENDS, TOO_LONG, Kind, Side
from bias_intervene.interventions.tokens.kernel.plain import LEFT, is_english, role_beside, role_of
from bias_intervene.interventions.tokens.kernel.tables import BEGINS, GOES_ON, HASH_SHIFT, inlined
from bias_intervene.interventions.tokens.roles import MAX_TOKENS_OF_SPACE, MAX_TOKENS_OF_WORD

NO_PRONOUN = -1
"""Instead of a role: part of a longer word."""
FAR = LANGUAGE_WINDOW_WORDS - 1
"""Tokens on either side that are read for the language."""
PLAIN, PART, LOOK_OR, LOOK_SPACE = int(Side.PLAIN), int(Side.PART), int(Side.LOOK_OR), int(Side.LOOK_SPACE)
LOOK_NEXT, LOOK_EMPHASIS = int(Side.LOOK_NEXT), int(Side.LOOK_EMPHASIS)
SPACE, ODD, OF_MARKS = int(Kind.SPACE), int(Kind.ODD), int(Kind.MARKS)
LETTERS, DIGITS, CONTRACTION = int(Kind.LETTERS), int(Kind.DIGITS), int(Kind.CONTRACTION)


@inlined
def decide(ids, at, is_cut, t):
    """The role of the form at `at`, or NO_PRONOUN, or LEFT."""
    form = t.forms.kinds[t.forms.of[ids[at]]]
    if t.sides[ids[at]].parts & BEGINS and t.sides[ids[at + 1]].parts & GOES_ON:
        return LEFT
    if not form.is_one_token:
        return NO_PRONOUN
    before = t.sides[ids[at - 1]].before_word if form.is_unspaced else t.sides[ids[at - 1]].before
    after = t.sides[ids[at + 1]].after
    if before == PART or after == PART:
        return NO_PRONOUN
    begins_row = is_cut and form.is_unspaced and ids[at - 1] == t.outside
    if (
        form.is_left
        or begins_row
        or not has_plain_sides(ids, at, before, after, t.sides, t.underscore)
        or not is_english(ids, at, FAR, t.words)
    ):
        return LEFT
    return np.int64(form.role) if form.has_one_role else role_by_neighbours(ids, at, form.word, t.roles)


@inlined
def has_plain_sides(ids, at, before, after, sides, underscore):
    """Whether what is beside the form changes nothing, on a second look; see `Outcomes.asks`."""
    if before == LOOK_EMPHASIS and after == LOOK_EMPHASIS:
        opens = ids[at - 1] == underscore and sides[ids[at - 2]].is_joined
        closes = ids[at + 1] == underscore and sides[ids[at + 2]].joins
        return not opens and not closes
    no_other, no_member = not sides[ids[at + 2]].starts_pronoun, not sides[ids[at + 2]].joins
    if (after == LOOK_OR and no_other) or (after == LOOK_NEXT and no_member):
        after = PLAIN
    if before == LOOK_OR and not sides[ids[at - 2]].ends_pronoun:
        before = PLAIN
    for further in range(2, 2 + MAX_LINE_ENDS):
        if before == LOOK_SPACE:
            before = sides[ids[at - further]].before
        if after == LOOK_SPACE:
            after = sides[ids[at + further]].after_space
    return before == PLAIN and after == PLAIN


@inlined
def role_by_neighbours(ids, at, word, t):
    """As `TokenRoles.scores`. From here on `t` are RoleTables."""
    role = role_beside(ids, at, word, t)
    if role != LEFT:
        return role
    before = preceding(ids, at - 1, t)
    after, at, has_second = following(ids, at + 1, t)
    second = t.end
    if has_second:
        second, _, _ = following(ids, at, t)
    return role_of(word, before, after, second, t)


@inlined
def following(ids, at, t):
    """(key, where the next begins, whether it is a word or number) of what begins at `at`; key -1: not clear."""
    at, lines = skip_space(ids, at, 1, t.tokens)
    begin, token = at, t.tokens[ids[at]]
    at += 1
    if t.key_after[ids[begin]] < 0 or lines >= TOO_LONG:
        return -1, at, False
    if lines > 1:
        return t.end, at, False
    if not token.is_worded or not t.tokens[ids[at]].joins:
        return np.int64(t.key_after[ids[begin]]) if lines < 0 else t.key_after_space[ids[begin]], at, token.is_worded
    value = t.word_hash[ids[begin]]
    for _ in range(MAX_TOKENS_OF_WORD):
        kind = t.tokens[ids[at]].kind
        if not t.tokens[ids[at]].joins or kind == OF_MARKS:
            return (t.number if token.kind == DIGITS else key_of(value, t)), at, True
        if kind == ODD:
            break
        value = value * t.word_shift[ids[at]] + t.word_hash[ids[at]]
        at += 1
    return -1, at, False


@inlined
def preceding(ids, at, t):
    """The key of what ends at `at`; -1: not clear."""
    at, lines = skip_space(ids, at, -1, t.tokens)
    token = t.tokens[ids[at]]
    if t.key_after[ids[at]] < 0 or lines >= TOO_LONG:
        return -1
    if lines > 1:
        return t.end
    if t.key_before[ids[at]] >= 0:
        return np.int64(t.key_before[ids[at]])
    value, shift = t.word_hash[ids[at]], t.word_shift[ids[at]]
    for _ in range(MAX_TOKENS_OF_WORD):
        earlier = t.tokens[ids[at - 1]]
        if earlier.kind == ODD or earlier.kind == CONTRACTION:
            break
        if earlier.kind == LETTERS or earlier.kind == DIGITS:
            at, token = at - 1, earlier
            value = t.word_hash[ids[at]] * shift + value
            shift = t.word_shift[ids[at]] * shift
            if not token.spaced:
                continue
        return t.number if token.kind == DIGITS else key_of(value, t)
    return -1


@inlined
def skip_space(ids, at, step, tokens):
    """(place beyond white space, line ends passed or -1 where there was none)."""
    if tokens[ids[at]].kind != SPACE:
        return at, -1
    lines = 0
    for _ in range(MAX_TOKENS_OF_SPACE):
        if tokens[ids[at]].kind == SPACE:
            lines += np.int64(tokens[ids[at]].newlines)
            at += step
    return at, lines


@inlined
def key_of(value, t):
    """The key of a word with this hash."""
    at = t.first_hash[value >> HASH_SHIFT]
    while t.hashes[at] < value:
        at += 1
    return t.keys[at] if t.hashes[at] == value else t.word
