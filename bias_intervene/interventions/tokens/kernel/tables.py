"""What the compiled loops read: the tables of `rule`'s parts, laid out for them.

Enters: token classes, forms and roles. Leaves: arrays by token id and by form. Promised: nothing is decided here. What
is read for every pronoun is a byte or a key for each token, so that the tokens that prose is made of stay in the
nearest cache; what is asked of few lies in records.
"""

# pyright: basic
# The loops take what Numba makes of their arguments.

from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bias_intervene.interventions.possessive import AMBIGUOUS, END, MARKED_ROLE, NUMBER, WORD
from bias_intervene.interventions.tokens.classes import Code, Side, TokenClasses
from bias_intervene.interventions.tokens.forms import ROLE_NAMES, WORDS, Forms
from bias_intervene.interventions.tokens.roles import TokenRoles
from bias_intervene.interventions.tokens.vocabulary import Vocabulary

if TYPE_CHECKING:

    def compiled(function: Callable[..., Any]) -> Callable[..., Any]: ...

    def inlined(function: Callable[..., Any]) -> Callable[..., Any]: ...

else:
    from numba import njit

    # Without Numba's reference counts, which cost more than the loops: no array is made in them. Not kept on disk,
    # where it would outlive a change of the constants that other modules define. A loop compiled by itself is made as
    # fast wherever it is called; what is asked of one place becomes part of the loop that asks.
    compiled, inlined = njit(_nrt=False), njit(forceinline=True, _nrt=False)

HASH_BITS = 14
"""Upper bits of a hash that lead to its place: more than there are words with a key, so that few share one."""
HASH_SHIFT = np.uint64(64 - HASH_BITS)


class Beside(IntEnum):
    """Bits of what a token means for the form beside it."""

    BEFORE_SPACE = 1
    """Nothing, before a form with a space."""
    BEFORE_WORD = 2
    """Nothing, before one without."""
    AFTER = 4
    """Nothing, after a form."""
    AFTER_MARK = 8
    """Nothing, after a form, unless the next token joins it."""
    JOINS = 16
    WORDED = 32
    SPACE = 64
    """White space: what is beyond it tells."""
    AFTER_SPACE = 128
    """Nothing, after white space after a form."""


class Word(IntEnum):
    """What a token is to the question of which language this is, in two bits."""

    OTHER = 0
    COMMON = 1
    JOINS = 2
    """Begins with a letter."""
    UNCLEAR = 3


BEGINS, GOES_ON = 1, 2
"""Bits of `parts`: the first, the second token of a form of several."""
SIDES = np.dtype(
    [
        *((name, np.uint8) for name in ("parts", "before", "before_word", "after", "after_space")),
        *((name, np.bool_) for name in ("joins", "is_joined", "starts_pronoun", "ends_pronoun")),
    ]
)
"""What is asked of the tokens beside a form when a look at `Beside` does not settle it."""
TOKEN = np.dtype(
    [
        *((name, np.uint8) for name in ("kind", "newlines")),
        *((name, np.bool_) for name in ("joins", "spaced", "is_worded")),
    ]
)
"""What is asked of the neighbours of `her` and `his` when a token alone is not one."""
FORM = np.dtype(
    [
        *((name, np.bool_) for name in ("is_one_token", "is_plain", "is_left")),
        ("has_one_role", np.bool_),
        *((name, np.uint8) for name in ("is_unspaced", "role", "word")),
    ]
)
"""is_plain: settled wherever nothing is beside it. is_left: for `rule` wherever it stands. role: as of `Forms`. word:
index into AMBIGUOUS, where there is no role."""


class FormTables(NamedTuple):
    """What replaces a form. `new`, `names`: (forms, roles)."""

    of: np.ndarray
    """uint16 (ids,): the form that a token is; the last of `kinds` for none."""
    kinds: np.ndarray
    """FORM (forms + 1,)"""
    new: np.ndarray
    """int64: the id that replaces it; its own where that would take another number of tokens."""
    names: np.ndarray
    """uint32: what that is counted under: as `TokenSwap.names`, and one more for what would change the length."""


class RoleTables(NamedTuple):
    """What tells the role of `her` and `his`."""

    beside: np.ndarray
    """uint8 (ids,): bits of `Beside`."""
    key_before: np.ndarray
    key_after: np.ndarray
    """int32 (ids,): the key of a token that is the whole neighbour before, after a form; -1: it may not be."""
    key_after_space: np.ndarray
    """int64 (ids,)"""
    tokens: np.ndarray
    """TOKEN (ids,)"""
    word_hash: np.ndarray
    word_shift: np.ndarray
    hashes: np.ndarray
    """uint64 (words + 1,): ascending, the last above all."""
    keys: np.ndarray
    """int64 (words + 1,)"""
    first_hash: np.ndarray
    """uint32: place of the first of the hashes with these upper bits."""
    weights: np.ndarray
    """float64 (AMBIGUOUS, SLOTS, keys): nats."""
    bias: np.ndarray
    chosen: np.ndarray
    """int64 (AMBIGUOUS, 2): the role of log-odds up to 0, and above."""
    word: int
    number: int
    end: int
    """Keys."""
    margin: float
    """Nats."""


class Tables(NamedTuple):
    """What the loops read."""

    beside: np.ndarray
    """uint8 (ids,): bits of `Beside`."""
    words: np.ndarray
    """uint8 (ids,): `Word`."""
    sides: np.ndarray
    """SIDES (ids,)"""
    outside: int
    underscore: int
    """Ids."""
    forms: FormTables
    roles: RoleTables


def tables_of(vocabulary: Vocabulary, classes: TokenClasses, forms: Forms, roles: TokenRoles, margin: float) -> Tables:
    """The tables of one direction and one tokenizer."""
    beside = beside_of(classes, roles)
    codes = {Word.UNCLEAR: Code.UNCLEAR, Word.JOINS: Code.JOINS, Word.COMMON: Code.FUNCTION_WORD}
    words = np.select([(classes.code & code) > 0 for code in codes.values()], [*codes], Word.OTHER)
    return Tables(
        beside=beside,
        words=words.astype(np.uint8),
        sides=sides_of(classes, forms),
        outside=classes.outside,
        underscore=vocabulary.word_ids("_")[0],
        forms=form_tables_of(forms),
        roles=role_tables_of(classes, roles, beside, margin),
    )


def form_tables_of(forms: Forms) -> FormTables:
    """Those of one direction."""
    own = np.array([form.ids[0] for form in forms.forms])
    names = forms.word[:, None] * len(ROLE_NAMES) + np.arange(len(ROLE_NAMES))
    return FormTables(
        of=np.where(forms.form_of < 0, len(own), forms.form_of).astype(np.uint16),
        kinds=kinds_of(forms),
        new=np.where(forms.new < 0, own[:, None], forms.new),
        names=np.where(forms.new < 0, len(forms.names), names).astype(np.uint32),
    )


def role_tables_of(classes: TokenClasses, roles: TokenRoles, beside: np.ndarray, margin: float) -> RoleTables:
    """Those of one fit."""
    determiner, beginnings = ROLE_NAMES.index("determiner"), np.arange(1 << HASH_BITS, dtype=np.uint64) << HASH_SHIFT
    return RoleTables(
        beside=beside,
        key_before=np.where(roles.tells_before, roles.before, -1).astype(np.int32),
        key_after=np.where(roles.tells_after, roles.after, -1).astype(np.int32),
        key_after_space=roles.after_space,
        tokens=tokens_of(classes, roles),
        word_hash=classes.word_hash,
        word_shift=classes.word_shift,
        hashes=np.append(roles.hashes, np.uint64(2**64 - 1)),
        keys=np.append(roles.hashed, roles.number_of[WORD]),
        first_hash=np.searchsorted(roles.hashes, beginnings).astype(np.uint32),
        weights=np.array([roles.weights[word] for word in AMBIGUOUS]),
        bias=np.array([roles.bias[word] for word in AMBIGUOUS]),
        chosen=np.array([[determiner, ROLE_NAMES.index(MARKED_ROLE[word])] for word in AMBIGUOUS]),
        word=roles.number_of[WORD],
        number=roles.number_of[NUMBER],
        end=roles.number_of[END],
        margin=margin,
    )


def beside_of(classes: TokenClasses, roles: TokenRoles) -> np.ndarray:
    """uint8 (ids,): bits of `Beside`."""
    before_word = classes.before[1] == Side.PLAIN
    # What begins a row that was cut may be the tail of a word.
    before_word[classes.outside] = False
    bits = {
        Beside.BEFORE_SPACE: classes.before[0] == Side.PLAIN,
        Beside.BEFORE_WORD: before_word,
        Beside.AFTER: classes.after == Side.PLAIN,
        Beside.AFTER_MARK: classes.after == Side.LOOK_NEXT,
        Beside.JOINS: classes.joins,
        Beside.WORDED: roles.is_worded,
        Beside.SPACE: classes.after == Side.LOOK_SPACE,
        Beside.AFTER_SPACE: classes.after_space == Side.PLAIN,
    }
    return np.sum([bit * is_set for bit, is_set in bits.items()], axis=0).astype(np.uint8)


def sides_of(classes: TokenClasses, forms: Forms) -> np.ndarray:
    """SIDES (ids,)"""
    sides = np.zeros(classes.outside + 1, dtype=SIDES)
    sides["parts"] = np.where(forms.is_part, BEGINS, 0)
    sides["parts"][[form.ids[1] for form in forms.forms if len(form.ids) > 1]] |= GOES_ON
    sides["before"], sides["before_word"] = classes.before
    for name in ("after", "after_space", "joins", "is_joined", "starts_pronoun", "ends_pronoun"):
        sides[name] = getattr(classes, name)
    return sides


def tokens_of(classes: TokenClasses, roles: TokenRoles) -> np.ndarray:
    """TOKEN (ids,)"""
    tokens = np.zeros(classes.outside + 1, dtype=TOKEN)
    for name in ("kind", "newlines", "joins", "spaced"):
        tokens[name] = getattr(classes, name)
    tokens["is_worded"] = roles.is_worded
    return tokens


def kinds_of(forms: Forms) -> np.ndarray:
    """FORM (forms + 1,), the last for no form."""
    table = np.zeros(len(forms.forms) + 1, dtype=FORM)
    own = table[:-1]
    own["is_one_token"] = forms.lengths == 1
    # One that may be the beginning of a longer one is looked at more closely.
    begins = forms.is_part.take([form.ids[0] for form in forms.forms])
    own["is_plain"] = own["is_one_token"] & ~forms.upper & ~begins
    own["is_unspaced"], own["is_left"] = forms.unspaced, forms.upper
    own["has_one_role"], own["role"] = forms.role >= 0, np.maximum(forms.role, 0)
    own["word"] = [AMBIGUOUS.index(WORDS[word]) if WORDS[word] in AMBIGUOUS else 0 for word in forms.word.tolist()]
    return table
