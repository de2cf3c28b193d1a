"""Tables over the vocabulary that describe each token as a neighbour of a pronoun.

Input: a vocabulary.
Output: arrays indexed by token id. The last entry, OUTSIDE, stands for ids without a token and for positions beyond a
row.
Guarantees: the tables hold what the rule over words needs to know of a neighbour (does a word end in it, does it begin
with a mark, is it `or`, which neighbour of a possessive is it), so that the rule can be applied without decoding. Where
one token is not decisive, its class says so: LOOK_... if the token beyond it decides, UNDECIDED if only the text does.
"""

import string
import unicodedata
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import NamedTuple

import numpy as np

from bias_intervene.interventions.lexicon import FUNCTION_WORDS, LANGUAGE_WINDOW_WORDS
from bias_intervene.interventions.text import CODE_MARKS_AFTER, CODE_MARKS_BEFORE, WORD
from bias_intervene.interventions.tokens.vocabulary import Vocabulary
from bias_intervene.pronouns import SPELLINGS


class Kind(IntEnum):
    """The characters of a token, apart from a leading space."""

    BARRIER = 0
    """Ends a document, or is no token."""
    LETTERS = 1
    DIGITS = 2
    MARKS = 3
    SPACE = 4
    CONTRACTION = 5
    """'s, 'll and similar."""
    ODD = 6
    """Part of a character, a mixture of several kinds, or a word too long for the tables."""


class Side(IntEnum):
    """How a token beside a pronoun form affects the decision on it."""

    PLAIN = 0
    PART = 1
    """The form is part of a longer word."""
    LOOK_OR = 2
    """`or` or a slash: a coordination if a pronoun is beyond it."""
    LOOK_SPACE = 3
    """White space: what is beyond it may be `or` or a slash."""
    LOOK_NEXT = 4
    """One dot or hyphen: the character after it decides."""
    LOOK_CASE = 5
    """A dot: lower case after it may be a member (obj.his)."""
    LOOK_EMPHASIS = 6
    """An underscore: emphasis (_he_) if there is one on the other side too, and no word beyond."""
    CODE = 7
    """A mark that stands beside identifiers only: the form is code."""
    LOOK_SLASH = 8
    """A slash: code, unless a pronoun follows it."""
    UNDECIDED = 9


class ScanFlag(IntEnum):
    """Bits of the byte per token that the first pass over the rows reads."""

    FUNCTION_WORD = 1
    """A function word of English, with the space before it."""
    JOINS = 2
    """Begins with a letter, so the token before it may be part of the same word."""
    UNCLEAR = 4
    """Has more than one word, or ends a document."""
    FORM = 128
    """A pronoun that the direction swaps, or the first token of one."""


MAX_WORD_CHARS, MAX_SPACE_CHARS = 16, 16
"""Longer tokens are left to the text rule, so that three neighbours fit into the context that it reads."""
ROW_GAP = LANGUAGE_WINDOW_WORDS
"""Entries that are no token, before, between and after the rows: more than any table look-up reaches beyond a row."""
MAX_SPACE_TOKENS = 3
"""Tokens of white space beside a form that are skipped to find its neighbour."""
_LETTER_BIT = {letter: bit for bit, letter in enumerate(string.ascii_lowercase)}
_NO_LETTER = 31
"""A bit that no letter has."""
TOO_LONG = 99
"""Value of `newlines` for white space that is too long for the tables."""
_HASH_BASE, _HASH_MASK = 0x9E3779B97F4A7C15, 2**64 - 1


class TokenTraits(NamedTuple):
    """What the tables hold about one token."""

    kind: int
    spaced: bool = False
    """Whether it begins with a space and has more characters."""
    before_word: int = Side.PLAIN
    """`Side` of it as the token before a form without a leading space."""
    before_space: int = Side.PLAIN
    """`Side` of it as the token before a form with a leading space."""
    after: int = Side.PLAIN
    """`Side` of it as the token after a form."""
    after_space: int = Side.PLAIN
    """`Side` of it as the token after a form and white space."""
    joins: bool = False
    """Whether it begins, without a space, with a letter, digit or underscore, or may do so."""
    is_joined: bool = False
    """Whether it ends with a letter, digit or underscore, or may do so."""
    flags: int = 0
    """Bits of `ScanFlag` without FORM."""
    words: int = 0
    """Number of runs of letters in it."""
    is_ambiguous_count: bool = False
    """Whether the number of words in it depends on its neighbours."""
    starts_letter: bool = False
    ends_letter: bool = False
    is_function_word: bool = False
    continues_function_word: int = 0
    """Bits of the letters that may follow its last word so that a function word results."""
    first_letter: int = _NO_LETTER
    """Bit of the letter that it starts with."""
    is_upper_word: bool = False
    """Whether it is a space and at least two upper-case letters."""
    newlines: int = 0
    """Number of line ends in white space, or TOO_LONG."""
    first_mark: str = ""
    last_mark: str = ""


_BARRIER = TokenTraits(kind=Kind.BARRIER, flags=ScanFlag.UNCLEAR)
_PARTIAL = TokenTraits(
    kind=Kind.ODD, before_word=Side.UNDECIDED, after=Side.UNDECIDED, after_space=Side.UNDECIDED, joins=True,
    is_joined=True, flags=ScanFlag.JOINS, is_ambiguous_count=True,
)  # fmt: skip
"""Traits of a token whose bytes are no whole characters."""


def _traits_of(text: str) -> TokenTraits:
    """The traits of a token with this text; `_mark_or` adds those of the word `or`."""
    spaced = text[0] == " " and len(text) > 1
    body = text[1:] if spaced else text
    kind = kind_of(body, spaced=spaced)
    words = WORD.findall(text)
    starts_letter, ends_letter = WORD.match(text) is not None, WORD.match(text[-1]) is not None
    is_function_word = kind == Kind.LETTERS and words[0].lower() in FUNCTION_WORDS
    joins = not spaced and (body[0].isalnum() or body[0] == "_" or kind == Kind.ODD)
    is_space = kind == Kind.SPACE
    return TokenTraits(
        kind=kind,
        spaced=spaced,
        before_word=_side_before(text, kind),
        before_space=_side_before_space(body, kind),
        after=_side_after(body, kind, spaced=spaced),
        after_space=Side.LOOK_SPACE
        if is_space
        else Side.UNDECIDED
        if body[0] == "/" or kind == Kind.ODD
        else Side.PLAIN,
        joins=joins,
        is_joined=text[-1].isalnum() or text[-1] == "_" or kind == Kind.ODD,
        flags=(ScanFlag.FUNCTION_WORD if spaced and is_function_word else 0)
        | (ScanFlag.JOINS if starts_letter else 0)
        | (ScanFlag.UNCLEAR if len(words) > 1 else 0),
        words=len(words),
        is_ambiguous_count=len(words) > 1,
        starts_letter=starts_letter,
        ends_letter=ends_letter,
        is_function_word=is_function_word,
        continues_function_word=letters_after(words[-1].lower()) if ends_letter else 0,
        first_letter=_LETTER_BIT.get(text[0].lower()[0], _NO_LETTER),
        is_upper_word=kind == Kind.LETTERS and spaced and len(body) > 1 and body.isupper(),
        newlines=(text.count("\n") if len(text) <= MAX_SPACE_CHARS else TOO_LONG) if is_space else 0,
        first_mark=body[0] if kind in (Kind.MARKS, Kind.CONTRACTION) else "",
        last_mark=body[-1] if kind == Kind.MARKS else "",
    )


@cache
def letters_after(beginning: str) -> int:
    """Bits of the letters that may follow `beginning` in function words."""
    letters = {word[len(beginning)] for word in FUNCTION_WORDS if word.startswith(beginning) and word != beginning}
    return sum(1 << _LETTER_BIT[letter] for letter in letters)


def kind_of(body: str, *, spaced: bool) -> Kind:
    """The kind of a token. body: without its leading space."""
    if body.isspace():
        return Kind.SPACE
    if body.isalpha():
        return Kind.LETTERS if len(body) <= MAX_WORD_CHARS else Kind.ODD
    if body.isalnum():
        return Kind.ODD if any(character.isalpha() for character in body) else Kind.DIGITS
    if body[0] == "'" and body[1:].isalpha() and not spaced:
        return Kind.CONTRACTION
    is_mixed = any(character.isalnum() or character.isspace() for character in body)
    return Kind.ODD if is_mixed else Kind.MARKS


def _side_before(text: str, kind: Kind) -> Side:
    """The `Side` of the token before a form without a leading space."""
    if kind == Kind.SPACE:
        return Side.LOOK_SPACE
    if kind in (Kind.LETTERS, Kind.DIGITS, Kind.CONTRACTION):
        return Side.PART
    if kind == Kind.ODD:
        return Side.UNDECIDED
    last = text[-1]
    if unicodedata.category(last).startswith("M"):
        return Side.PART
    if text == ".":
        return Side.LOOK_CASE
    if last == "_" and text[-2:] != "__":
        return Side.LOOK_EMPHASIS
    # The tokenizer may read a bare quote as the beginning of a contraction once the form is replaced.
    return Side.UNDECIDED if last in CODE_MARKS_BEFORE or last in "_)" or text == "'" else Side.PLAIN


def _side_before_space(body: str, kind: Kind) -> Side:
    """The `Side` of the token before a form with a leading space. body: the token without its leading space."""
    if kind == Kind.SPACE:
        return Side.LOOK_SPACE
    if body == "/":
        return Side.LOOK_OR
    return Side.UNDECIDED if body.endswith("/") or kind == Kind.ODD else Side.PLAIN


def _side_after(body: str, kind: Kind, *, spaced: bool) -> Side:
    """The `Side` of the token after a form. body: the token without its leading space."""
    if kind == Kind.SPACE:
        return Side.LOOK_SPACE
    if kind == Kind.ODD:
        return Side.UNDECIDED
    first, second = body[0], body[1:2]
    if body == "/":
        return Side.LOOK_OR if spaced else Side.LOOK_SLASH
    if spaced:
        return Side.UNDECIDED if first == "/" else Side.PLAIN
    if first.isalnum() or unicodedata.category(first).startswith("M"):
        return Side.PART
    if first in "-." and not second:
        return Side.LOOK_NEXT
    if first == "_" and second != "_":
        return Side.LOOK_EMPHASIS
    if first in CODE_MARKS_AFTER:
        return Side.UNDECIDED if first == "/" else Side.CODE
    return Side.UNDECIDED if first == "_" or body[:2] == "._" else Side.PLAIN


@dataclass(frozen=True)
class TokenClasses:
    """The traits of all tokens, as arrays indexed by id, (vocabulary + 1,) each; see `TokenTraits` for the fields."""

    outside: int
    """The last index, for what is no token."""
    kind: np.ndarray
    spaced: np.ndarray
    before: np.ndarray
    """(2, vocabulary + 1): `before_space` and `before_word`."""
    after: np.ndarray
    after_space: np.ndarray
    joins: np.ndarray
    is_joined: np.ndarray
    flags: np.ndarray
    words: np.ndarray
    is_ambiguous_count: np.ndarray
    starts_letter: np.ndarray
    ends_letter: np.ndarray
    is_function_word: np.ndarray
    continues_function_word: np.ndarray
    first_letter: np.ndarray
    is_upper_word: np.ndarray
    newlines: np.ndarray
    ends_pronoun: np.ndarray
    """Whether it may be the last token of a pronoun: some pronoun ends in it, or its kind is SPACE or ODD."""
    starts_pronoun: np.ndarray
    """Whether it may be the first token of a pronoun."""
    word_hash: np.ndarray
    """uint64: `hash_of` its letters."""
    word_shift: np.ndarray
    """uint64. The hash of a word of two tokens is hash[first] * shift[second] + hash[second]."""
    first_mark: list[str]
    """The first punctuation mark, or ''."""
    last_mark: list[str]


def classes_of(vocabulary: Vocabulary) -> TokenClasses:
    """The tables of a vocabulary."""
    traits = [_BARRIER if token is None else _traits_of_bytes(token) for token in vocabulary.bytes_of]
    traits.append(_BARRIER)
    columns = dict(zip(TokenTraits._fields, zip(*traits, strict=True), strict=True))
    bools = (
        "spaced", "joins", "is_joined", "is_ambiguous_count", "starts_letter", "ends_letter", "is_function_word",
        "is_upper_word",
    )  # fmt: skip
    arrays = {name: np.array(columns[name], dtype=bool) for name in bools}
    numbers = ("kind", "after", "after_space", "flags", "words", "newlines", "first_letter")
    arrays |= {name: np.array(columns[name], dtype=np.uint8) for name in numbers}
    arrays["continues_function_word"] = np.array(columns["continues_function_word"], dtype=np.uint32)
    before = np.array([columns["before_space"], columns["before_word"]], dtype=np.uint8)
    _mark_or(vocabulary, before[0], arrays["after"], arrays["after_space"])
    unclear = (arrays["kind"] == Kind.SPACE) | (arrays["kind"] == Kind.ODD)
    ends_pronoun, starts_pronoun = unclear.copy(), unclear.copy()
    for spelling in SPELLINGS:
        for ids in (vocabulary.word_ids(spelling), vocabulary.word_ids(f" {spelling}")):
            starts_pronoun[ids[0]] = ends_pronoun[ids[-1]] = True
    hashes = [hash_of(word_in(token)) for token in vocabulary.bytes_of] + [(0, 1)]
    return TokenClasses(
        outside=vocabulary.size,
        before=before,
        ends_pronoun=ends_pronoun,
        starts_pronoun=starts_pronoun,
        word_hash=np.array([value for value, _ in hashes], dtype=np.uint64),
        word_shift=np.array([shift for _, shift in hashes], dtype=np.uint64),
        first_mark=list(columns["first_mark"]),
        last_mark=list(columns["last_mark"]),
        **arrays,
    )


def _traits_of_bytes(token: bytes) -> TokenTraits:
    """The traits of a token of the vocabulary."""
    try:
        return _traits_of(token.decode("utf8"))
    except UnicodeDecodeError:
        return _PARTIAL


def _mark_or(vocabulary: Vocabulary, before: np.ndarray, after: np.ndarray, after_space: np.ndarray) -> None:
    """Sets the sides of the tokens of `or`, which may join two pronouns. The arrays are changed in place."""
    for word in ("or", "OR", " or", " OR"):
        ids = vocabulary.word_ids(word)
        side = Side.LOOK_OR if len(ids) == 1 else Side.UNDECIDED
        before[ids[-1]] = max(before[ids[-1]], side)
        after_space[ids[0]] = Side.UNDECIDED
        if word[0] == " ":
            after[ids[0]] = max(after[ids[0]], side)


def word_in(token: bytes | None) -> bytes:
    """The letters of a token, in ASCII lower case, without the space or quote before them."""
    return (token or b"").lstrip(b" ").removeprefix(b"'").lower()


def hash_of(word: bytes) -> tuple[int, int]:
    """(hash, shift) of a part of a word. The hash is a polynomial in 64 bits, so that of two parts can be combined."""
    value, shift = 0, 1
    for byte in word:
        value = (value * _HASH_BASE + byte + 1) & _HASH_MASK
        shift = shift * _HASH_BASE & _HASH_MASK
    return value, shift
