"""The common case of the rule as compiled loops, where Numba is installed (the extra `fast`).

Enters: rows as `rule` lays them out, and the tables of its parts. Leaves: rows in which the pronouns are swapped that
stand plainly as words in English text. Promised: the swaps that `rule` makes by itself. What is rarer (a
coordination, upper case, emphasis, a form of several tokens, text that may not be English, half a character beside it)
is left to it, so this says a second time only what is asked of every pronoun: the tokens on its sides, four common
words near it, and the neighbours of `her` and `his`. The names are those of `outcomes`,
`language` and `roles`, which say why.
"""

# pyright: basic
# The loops take what Numba makes of their arguments.

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bias_intervene.interventions.lexicon import LANGUAGE_MINIMUM_HITS, LANGUAGE_WINDOW_WORDS
from bias_intervene.interventions.possessive import AMBIGUOUS, END, MARKED_ROLE, NUMBER, WORD
from bias_intervene.interventions.tokens.classes import MARGIN, MAX_LINE_ENDS, TOO_LONG, Code, Kind, Side, TokenClasses
from bias_intervene.interventions.tokens.forms import ROLE_NAMES, WORDS, Forms
from bias_intervene.interventions.tokens.roles import MAX_TOKENS_OF_SPACE, MAX_TOKENS_OF_WORD, TokenRoles

if TYPE_CHECKING:

    def compiled(function: Callable[..., Any]) -> Callable[..., Any]: ...

else:
    from numba import njit

    # Without Numba's reference counts, which cost more than the loops: no array is made in them. Not kept on disk,
    # where it would outlive a change of the constants that other modules define.
    compiled = njit(forceinline=True, _nrt=False)

NO_PRONOUN, LEFT = -1, -2
"""Outcomes beside the index of a role: part of a longer word; for `rule` to decide."""
IDS_A_PASS, CHUNK, SPAN = 8, 1 << 12, 1 << 17
"""Ids compared in one pass, tokens in one pass, tokens marked before they are decided: what stays in registers, in the
nearest cache, and in the next."""
GROUP = 8
"""Tokens whose marks, or codes, are one number."""
NUM_GROUPS = LANGUAGE_WINDOW_WORDS // GROUP
ONE, BYTE, TOP, EVERY_BYTE = np.uint64(1), np.uint64(8), np.uint64(56), np.uint64(0x0101010101010101)
FUNCTION_WORDS, UNCLEAR = EVERY_BYTE * np.uint64(Code.FUNCTION_WORD), EVERY_BYTE * np.uint64(Code.UNCLEAR)
DETERMINER = ROLE_NAMES.index("determiner")
PLAIN, PART, LOOK_SPACE, LOOK_NEXT = int(Side.PLAIN), int(Side.PART), int(Side.LOOK_SPACE), int(Side.LOOK_NEXT)
SPACE, ODD, OF_MARKS = int(Kind.SPACE), int(Kind.ODD), int(Kind.MARKS)
LETTERS, DIGITS, CONTRACTION = int(Kind.LETTERS), int(Kind.DIGITS), int(Kind.CONTRACTION)

SIDES = np.dtype(
    [
        ("form", np.int16),
        *((name, np.uint8) for name in ("parts", "before", "before_word", "after", "after_space")),
        ("joins", np.bool_),
    ]
)
"""What is asked of the tokens beside every pronoun, and so kept small. form: the one that a token is, or -1."""
BEGINS, GOES_ON = 1, 2
"""Bits of `parts`: the first, the second token of a form of several."""
TOKEN = np.dtype(
    [
        *((name, np.uint8) for name in ("kind", "newlines")),
        *((name, np.bool_) for name in ("joins", "spaced", "is_worded", "tells_after", "tells_before")),
        *((name, np.int32) for name in ("key_after", "key_before")),
    ],
    align=True,
)
"""What is asked of the neighbours of `her` and `his`."""
FORM = np.dtype([("is_unspaced", np.bool_), ("is_left", np.bool_), ("role", np.int8), ("word", np.int8)])
"""is_left: for `rule` wherever it stands. role: as of `Forms`. word: index into AMBIGUOUS, where there is no role."""


class Tables(NamedTuple):
    """What the loop over places reads."""

    sides: np.ndarray
    """SIDES (ids,)"""
    tokens: np.ndarray
    """TOKEN (ids,)"""
    key_after_space: np.ndarray
    """int64 (ids,)"""
    forms: np.ndarray
    """FORM (forms,)"""
    codes: np.ndarray
    """uint8 (ids,): `Code`s."""
    word_hash: np.ndarray
    word_shift: np.ndarray
    hashes: np.ndarray
    """uint64 (words,): ascending, the first 0 for a word without a key of its own."""
    keys: np.ndarray
    """int64 (words,)"""
    weights: np.ndarray
    """float64 (AMBIGUOUS, SLOTS, keys): nats."""
    bias: np.ndarray
    chosen: np.ndarray
    """int64 (AMBIGUOUS, 2): the role of log-odds up to 0, and above."""
    outside: int
    end: int
    number: int
    margin: float


class Kernel:
    """The loops and what they read, for one direction and one tokenizer."""

    def __init__(self, classes: TokenClasses, forms: Forms, roles: TokenRoles, margin: float):
        wanted = sorted({form.ids[0] for form in forms.forms})
        self.new, self.num_names = forms.new, len(forms.names)
        self.names = forms.word[:, None] * len(ROLE_NAMES) + np.arange(len(ROLE_NAMES))
        """int64 (forms, roles)"""
        self.wanted = np.resize(wanted, -(-len(wanted) // IDS_A_PASS) * IDS_A_PASS)
        self.tables = Tables(
            sides=sides_of(classes, forms),
            tokens=tokens_of(classes, roles),
            key_after_space=roles.after_space,
            forms=forms_of(forms),
            codes=classes.code,
            word_hash=classes.word_hash,
            word_shift=classes.word_shift,
            hashes=np.append(np.uint64(0), roles.hashes),
            keys=np.append(roles.number_of[WORD], roles.hashed),
            weights=np.array([roles.weights[word] for word in AMBIGUOUS]),
            bias=np.array([roles.bias[word] for word in AMBIGUOUS]),
            chosen=np.array([[DETERMINER, ROLE_NAMES.index(MARKED_ROLE[word])] for word in AMBIGUOUS]),
            outside=classes.outside,
            end=roles.number_of[END],
            number=roles.number_of[NUMBER],
            margin=margin,
        )

    def swap(
        self, flat: np.ndarray, out: np.ndarray, is_changed: np.ndarray, *, is_cut: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """(swaps by form, as `TokenSwap.names`; places in `flat` left to `rule`): int64.

        out: the rows (rows, tokens) that `flat` was laid out from, swapped in place; is_changed: bool (rows,), set.
        """
        wanted, marks = self.wanted.astype(flat.dtype), np.zeros(CHUNK, dtype=bool)
        counts, left = np.zeros(self.num_names, dtype=np.int64), list[np.ndarray]()
        room = np.empty((2, SPAN + 1), dtype=np.int64)
        for begin in range(0, flat.size, SPAN):
            num_places = scan(flat[begin : begin + SPAN], begin, wanted, marks, marks.view(np.uint64), room[0])
            places, roles = room[:, :num_places]
            decide(flat, places, is_cut, self.tables, roles)
            write(flat, places, roles, self.tables.sides, self.new, self.names, MARGIN, out, is_changed, counts)
            left.append(places[roles == LEFT])
        return counts, np.concatenate(left)


def sides_of(classes: TokenClasses, forms: Forms) -> np.ndarray:
    """SIDES (ids,)"""
    sides = np.zeros(classes.outside + 1, dtype=SIDES)
    sides["form"], sides["parts"] = forms.form_of, np.where(forms.is_part, BEGINS, 0)
    sides["parts"][[form.ids[1] for form in forms.forms if len(form.ids) > 1]] |= GOES_ON
    sides["before"], sides["before_word"] = classes.before
    for name in ("after", "after_space", "joins"):
        sides[name] = getattr(classes, name)
    return sides


def tokens_of(classes: TokenClasses, roles: TokenRoles) -> np.ndarray:
    """TOKEN (ids,)"""
    tokens = np.zeros(classes.outside + 1, dtype=TOKEN)
    for name in ("kind", "newlines", "joins", "spaced"):
        tokens[name] = getattr(classes, name)
    for name in ("is_worded", "tells_after", "tells_before"):
        tokens[name] = getattr(roles, name)
    tokens["key_after"], tokens["key_before"] = roles.after, roles.before
    return tokens


def forms_of(forms: Forms) -> np.ndarray:
    """FORM (forms,)"""
    table = np.zeros(len(forms.forms), dtype=FORM)
    table["is_unspaced"], table["is_left"], table["role"] = forms.unspaced, forms.upper, forms.role
    table["word"] = [AMBIGUOUS.index(WORDS[word]) if WORDS[word] in AMBIGUOUS else -1 for word in forms.word.tolist()]
    return table


# --- the loops -------------------------------------------------------------------------------------------------


@compiled
def scan(ids, first, wanted, marks, marks_of_8, places):
    """Writes to `places` those of `ids`, the first of which is at `first`, that are one of `wanted`; their number.

    marks: bool, room for CHUNK; marks_of_8: the same as uint64.
    """
    count = 0
    for begin in range(0, ids.size, CHUNK):
        # Slices from 0 on: an index that may be negative would keep the loop from being vectorized.
        near = ids[begin : begin + CHUNK]
        marks[:] = False
        for number in range(0, wanted.size, IDS_A_PASS):
            a, b, c, d = wanted[number], wanted[number + 1], wanted[number + 2], wanted[number + 3]
            e, f, g, h = wanted[number + 4], wanted[number + 5], wanted[number + 6], wanted[number + 7]
            for at in range(near.size):
                id_ = near[at]
                is_one = (id_ == a) | (id_ == b) | (id_ == c) | (id_ == d)
                marks[at] = marks[at] | is_one | (id_ == e) | (id_ == f) | (id_ == g) | (id_ == h)
        for group in range(marks_of_8.size):
            if marks_of_8[group]:
                for at in range(GROUP * group, GROUP * group + GROUP):
                    places[count] = first + begin + at
                    count += marks[at]
    return count


@compiled
def decide(ids, places, is_cut, t, found):
    """found: the role at each place, or NO_PRONOUN, or LEFT."""
    for number in range(places.size):
        at = places[number]
        own = t.sides[ids[at]]
        if own.parts & BEGINS and t.sides[ids[at + 1]].parts & GOES_ON:
            found[number] = LEFT
        elif own.form < 0:
            found[number] = NO_PRONOUN
        else:
            found[number] = role_at(ids, at, t.forms[own.form], is_cut, t)


@compiled
def write(ids, places, roles, sides, new, names, margin, out, is_changed, counts):
    """Replaces the pronouns that have a role in `out`, and counts them; LEFT where that is not one token for one."""
    stride = out.shape[1] + margin
    for number in range(places.size):
        at, role = places[number], roles[number]
        if role >= 0:
            form = np.int64(sides[ids[at]].form)
            if new[form, role] < 0:
                roles[number] = LEFT
                continue
            row = (at - margin) // stride
            out[row, at - margin - row * stride] = new[form, role]
            is_changed[row] = True
            counts[names[form, role]] += 1


@compiled
def role_at(ids, at, form, is_cut, t):
    """The role of the form of one token at `at`; see `Outcomes`."""
    before = t.sides[ids[at - 1]].before_word if form.is_unspaced else t.sides[ids[at - 1]].before
    after = t.sides[ids[at + 1]].after
    if before == PART or after == PART:
        return NO_PRONOUN
    begins_row = is_cut and form.is_unspaced and ids[at - 1] == t.outside
    if form.is_left or begins_row or not is_plain(ids, at, before, after, t) or not is_english(ids, at, t):
        return LEFT
    return np.int64(form.role) if form.role >= 0 else role_by_neighbours(ids, at, np.int64(form.word), t)


@compiled
def is_plain(ids, at, before, after, t):
    """Whether nothing beside the form needs a closer look; see `Outcomes.asks`."""
    if after == LOOK_SPACE:
        after = t.sides[ids[at + 2]].after_space
    elif after == LOOK_NEXT and not t.sides[ids[at + 2]].joins:
        after = PLAIN
    for further in range(2, 2 + MAX_LINE_ENDS):
        if before == LOOK_SPACE:
            before = t.sides[ids[at - further]].before
    return before == PLAIN and after == PLAIN


@compiled
def is_english(ids, at, t):
    """Whether enough of the nearest tokens are common words; see `language.not_surely_english`."""
    total = np.uint64(0)
    for first, step in ((at + 1, GROUP), (at - GROUP, -GROUP)):
        for group in range(NUM_GROUPS):
            begin = first + step * group
            codes = np.uint64(0)
            for offset in range(GROUP):
                codes |= np.uint64(t.codes[ids[begin + offset]]) << np.uint64(8 * offset)
            if codes & UNCLEAR:
                break
            next_codes = (codes >> BYTE) | (np.uint64(t.codes[ids[begin + GROUP]]) << TOP)
            # The bit of a word that goes on stands one higher than that of a common word.
            total += ((codes & ~(next_codes >> ONE) & FUNCTION_WORDS) * EVERY_BYTE) >> TOP
            if total >= LANGUAGE_MINIMUM_HITS:
                return True
    return False


@compiled
def role_by_neighbours(ids, at, word, t):
    """As `TokenRoles.scores`, in the order of its sum."""
    before = preceding(ids, at - 1, t)
    after, at, has_second = following(ids, at + 1, t)
    second = t.end
    if has_second:
        second, _, _ = following(ids, at, t)
    if before < 0 or after < 0 or second < 0:
        return LEFT
    score = t.bias[word] + ((t.weights[word, 0, before] + t.weights[word, 1, after]) + t.weights[word, 2, second])
    if abs(score) < t.margin:
        return LEFT
    return t.chosen[word, np.int64(score > 0)]


@compiled
def following(ids, at, t):
    """(key, where the next begins, whether it is a word or number) of what begins at `at`; key -1: not clear."""
    at, lines = skip_space(ids, at, 1, t)
    begin, token = at, t.tokens[ids[at]]
    at += 1
    if not token.tells_after or lines >= TOO_LONG:
        return -1, at, False
    if lines > 1:
        return t.end, at, False
    if not token.is_worded or not t.tokens[ids[at]].joins:
        return np.int64(token.key_after) if lines < 0 else t.key_after_space[ids[begin]], at, token.is_worded
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


@compiled
def preceding(ids, at, t):
    """The key of what ends at `at`; -1: not clear."""
    at, lines = skip_space(ids, at, -1, t)
    token = t.tokens[ids[at]]
    if not token.tells_after or lines >= TOO_LONG:
        return -1
    if lines > 1:
        return t.end
    if token.tells_before:
        return np.int64(token.key_before)
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


@compiled
def skip_space(ids, at, step, t):
    """(place beyond white space, line ends passed or -1 where there was none)."""
    if t.tokens[ids[at]].kind != SPACE:
        return at, -1
    lines = 0
    for _ in range(MAX_TOKENS_OF_SPACE):
        if t.tokens[ids[at]].kind == SPACE:
            lines += np.int64(t.tokens[ids[at]].newlines)
            at += step
    return at, lines


@compiled
def key_of(value, t):
    """The key of a word with this hash: without a branch that depends on it, since none could be foreseen."""
    low, count = 0, t.hashes.size
    while count > 1:
        half = count >> 1
        low += half if t.hashes[low + half] <= value else 0
        count -= half
    return t.keys[low] if t.hashes[low] == value else t.keys[0]
