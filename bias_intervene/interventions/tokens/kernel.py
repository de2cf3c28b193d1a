"""The common case of the rule as compiled loops, where Numba is installed (the extra `fast`).

Enters: rows, and the tables of `rule`'s parts. Leaves: new rows in which the pronouns are swapped that stand plainly as
words in English text, and the places of the others. Promised: the swaps that `rule` makes by itself. What is rarer (a
coordination, upper case, emphasis, a form of several tokens, text that may not be English, half a character beside it)
is left to it, so this says a second time only what is asked of every pronoun: the tokens on its sides, four common
words near it, and the neighbours of `her` and `his`. The names are those of `outcomes`, `language` and `roles`, which
say why. A row is read once, copied and searched in one pass, and decided while it is in the nearest cache.
"""

# pyright: basic
# The loops take what Numba makes of their arguments.

from collections.abc import Callable, Iterator
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
TYPES = tuple(map(np.dtype, ("uint16", "int32", "int64")))
"""Of ids that the loops are compiled for, in this machine's order of bytes."""
MAX_ROW_TOKENS = 1 << 16
"""Rows that stay in a cache; longer ones gain nothing."""
LEFT_ROOM = 1 << 16
"""Places left in one go."""
IDS_A_PASS = 24
"""Ids compared in one pass: what the registers hold."""
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
    new: np.ndarray
    """int64 (forms, roles): as of `Forms`."""
    names: np.ndarray
    """int64 (forms, roles): what the swap is counted under."""
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
        self.wanted = sorted({form.ids[0] for form in forms.forms})
        self.tables = Tables(
            sides=sides_of(classes, forms),
            tokens=tokens_of(classes, roles),
            key_after_space=roles.after_space,
            forms=forms_of(forms),
            new=forms.new,
            names=forms.word[:, None] * len(ROLE_NAMES) + np.arange(len(ROLE_NAMES)),
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

    def takes(self, rows: np.ndarray, out: np.ndarray) -> bool:
        """Whether the loops are for such rows; what they leave is read after they have written."""
        is_known = rows.dtype == out.dtype and rows.dtype in TYPES
        return is_known and rows.shape[-1] <= MAX_ROW_TOKENS and not np.shares_memory(rows, out)

    def swap(
        self,
        rows: np.ndarray,
        out: np.ndarray,
        is_changed: np.ndarray,
        counts: np.ndarray,
        *,
        is_cut: bool,
        laid_out_as: np.dtype,
    ) -> Iterator[np.ndarray]:
        """int64 arrays of the places that are left to `rule`, as indices into the flat rows.

        rows: (rows, tokens) of one of TYPES. out: the same, written. is_changed: bool (rows,), set. counts: int64, of
        swaps as `TokenSwap.names`, added to. laid_out_as: the type to compare ids in, that of the rows or a wider one.
        """
        count, size = rows.shape
        near = np.full(size + 2 * MARGIN, self.tables.outside, dtype=laid_out_as)
        marks = np.zeros(-(-size // GROUP) * GROUP, dtype=bool)
        places, left = np.empty(size + 1, dtype=np.int64), np.empty(LEFT_ROOM + size, dtype=np.int64)
        wanted, begin = self.passes(laid_out_as), 0
        while begin < count:
            begin, num_left = swap_rows(
                rows, out, begin, is_changed, counts, is_cut, wanted, near[0], near, marks, marks.view(np.uint64),
                places, left, self.tables,
            )  # fmt: skip
            if num_left:
                yield left[:num_left]

    def passes(self, dtype: np.dtype) -> tuple[tuple[tuple[np.integer, ...], ...], ...]:
        """The ids that forms begin with, three times eight for each pass over a row; some twice, to fill the last."""
        count = -(-len(self.wanted) // IDS_A_PASS)
        ids = np.resize(self.wanted, (count, 3, IDS_A_PASS // 3)).astype(dtype)
        return tuple(tuple(tuple(eight) for eight in one) for one in ids)


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
def swap_rows(rows, out, begin, is_changed, counts, is_cut, wanted, outside, near, marks, marks_of_8, places, left, t):
    """Swaps rows from `begin` on, until there is no more room in `left`: (where it ended, number of places left).

    near: room for a row laid out, `outside` on both sides of it; marks: bool, room for a row, cleared beyond it;
    marks_of_8: the same as uint64; places: room for a row.
    """
    size, num_left = rows.shape[1], 0
    ids, own_marks = near[MARGIN : MARGIN + size], marks[:size]
    for row in range(begin, rows.shape[0]):
        if num_left + size > left.size:
            return row, num_left
        new_row = out[row]
        take_in(rows[row], new_row, ids, outside, wanted[0], own_marks)
        for number in range(1, len(wanted)):
            mark(ids, wanted[number], own_marks)
        for number in range(list_places(marks, marks_of_8, places)):
            at = places[number]
            form, role = decide(near, MARGIN + at, is_cut, t)
            if role >= 0 and t.new[form, role] >= 0:
                new_row[at] = t.new[form, role]
                is_changed[row] = True
                counts[t.names[form, role]] += 1
            elif role != NO_PRONOUN:
                left[num_left] = row * size + at
                num_left += 1
    return rows.shape[0], num_left


@compiled
def take_in(row, new_row, ids, outside, wanted, marks):
    """Copies a row, and once more laid out; marks the places of the first `wanted`."""
    first, second, third = wanted
    for at in range(row.size):
        id_ = row[at]
        new_row[at] = id_
        id_ = outside if id_ < 0 or id_ > outside else id_
        ids[at] = id_
        marks[at] = is_one(id_, first) | is_one(id_, second) | is_one(id_, third)


@compiled
def mark(ids, wanted, marks):
    """Marks the places of further ones."""
    first, second, third = wanted
    for at in range(ids.size):
        id_ = ids[at]
        marks[at] = marks[at] | is_one(id_, first) | is_one(id_, second) | is_one(id_, third)


@compiled
def is_one(id_, of):
    """Whether it is one of eight: each a value of its own, so that the loops around are vectorized."""
    a, b, c, d, e, f, g, h = of
    return (id_ == a) | (id_ == b) | (id_ == c) | (id_ == d) | (id_ == e) | (id_ == f) | (id_ == g) | (id_ == h)


@compiled
def list_places(marks, marks_of_8, places):
    """Writes the places that are marked; their number."""
    count = 0
    for group in range(marks_of_8.size):
        if marks_of_8[group]:
            for at in range(GROUP * group, GROUP * group + GROUP):
                places[count] = at
                count += marks[at]
    return count


@compiled
def decide(ids, at, is_cut, t):
    """(form at `at`, its role, or NO_PRONOUN, or LEFT)."""
    own = t.sides[ids[at]]
    if own.parts & BEGINS and t.sides[ids[at + 1]].parts & GOES_ON:
        return np.int64(own.form), LEFT
    if own.form < 0:
        return np.int64(own.form), NO_PRONOUN
    return np.int64(own.form), role_at(ids, at, t.forms[own.form], is_cut, t)


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
