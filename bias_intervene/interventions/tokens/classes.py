"""Tables over the vocabulary that describe each token as a neighbour of a pronoun.

Input: a vocabulary.
Output: arrays indexed by token id. The last entry, OUTSIDE, stands for ids without a token and for positions beyond a
row.
Guarantees: the tables hold what the rule over words needs to know of a neighbour (does a word end in it, does it begin
with a mark, is it `or`, which neighbour of a possessive is it), so that the rule can be applied without decoding. Where
one token is not decisive, its class says so: LOOK_... if the next token decides, ASK if only the text does.
"""

import string
import unicodedata
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import NamedTuple

import numpy as np

from bias_intervene.interventions.lexicon import FUNCTION_WORDS, LANGUAGE_WINDOW_WORDS
from bias_intervene.interventions.text import CODE_MARKS_AFTER, CODE_MARKS_BEFORE, SPELLINGS, WORD
from bias_intervene.interventions.tokens.vocabulary import Vocabulary


class Kind(IntEnum):
    """What a token is made of, a leading space aside."""

    BARRIER = 0
    """Ends a document, or stands for nothing."""
    LETTERS = 1
    DIGITS = 2
    MARKS = 3
    SPACE = 4
    CONTRACTION = 5
    """'s, 'll and their like."""
    ODD = 6
    """Part of a character, or of several kinds."""


class Side(IntEnum):
    """What a token beside a form means for it."""

    PLAIN = 0
    PART = 1
    """The form is part of a longer word."""
    LOOK_OR = 2
    """`or` or a slash: a coordination if a pronoun is beyond it."""
    LOOK_SPACE = 3
    """White space: what is beyond it may be `or` or a slash."""
    LOOK_NEXT = 4
    """One dot or hyphen: the character after it tells."""
    LOOK_CASE = 5
    """A dot: lower case after it may be a member (obj.his)."""
    LOOK_EMPHASIS = 6
    """An underscore: emphasis (_he_) if there is one on the other side too, and no word beyond."""
    CODE = 7
    """A mark that touches identifiers only: code."""
    LOOK_SLASH = 8
    """A slash: code, if no pronoun is behind it."""
    ASK = 9


class Code(IntEnum):
    """Bits of the byte that the scan reads for each token."""

    FUNCTION_WORD = 1
    """A common English word, with the space before it."""
    JOINS = 2
    """Begins with a letter: what is before it may be part of the same word."""
    UNCLEAR = 4
    """Holds more than one word, or ends a document."""
    FORM = 128
    """A pronoun of the direction, or part of one."""


MAX_WORD_CHARS, MAX_SPACE_CHARS = 16, 16
"""Longer tokens are left to the text: so three neighbours stay within the reach of the text rule."""
MARGIN = LANGUAGE_WINDOW_WORDS
"""Tokens of nothing laid between rows: more than any look at neighbours reaches."""
MAX_LINE_ENDS = 3
"""Tokens of white space beside a form that are looked beyond."""
_LETTER_BIT = {letter: bit for bit, letter in enumerate(string.ascii_lowercase)}
_NO_LETTER = 31
TOO_LONG = 99
"""Entry of `newlines` for a run of white space that is left to the text."""
HASH_BASE, MASK = 0x9E3779B97F4A7C15, 2**64 - 1


class Look(NamedTuple):
    """What is told of one token."""

    kind: int
    spaced: bool = False
    """Begins with a space and has more."""
    before_word: int = Side.PLAIN
    """Side of the token before a form without a space."""
    before_space: int = Side.PLAIN
    """Side of the token before a form with a space."""
    after: int = Side.PLAIN
    """Side of the token after a form."""
    after_space: int = Side.PLAIN
    """Side of the token after white space after a form."""
    joins: bool = False
    """Begins, unspaced, with a letter, digit or underscore, or cannot be told."""
    is_joined: bool = False
    """Ends with a letter, digit or underscore, or cannot be told."""
    code: int = 0
    """Bits of Code but FORM."""
    words: int = 0
    """Runs of letters in it."""
    is_uncountable: bool = False
    """The number of its words depends on what is beside it."""
    starts_letter: bool = False
    ends_letter: bool = False
    is_function_word: bool = False
    goes_on_common: int = 0
    """Bits of the letters with which its last word may go on to be a function word."""
    first_letter: int = _NO_LETTER
    """Bit of the letter it starts with, if any function word has it."""
    is_loud: bool = False
    """A space and upper-case letters, more than one."""
    newlines: int = 0
    """Line ends of white space, or TOO_LONG."""
    first_mark: str = ""
    last_mark: str = ""


BARRIER = Look(kind=Kind.BARRIER, code=Code.UNCLEAR)
_PARTIAL = Look(
    kind=Kind.ODD, before_word=Side.ASK, after=Side.ASK, after_space=Side.ASK, joins=True, is_joined=True,
    code=Code.JOINS, is_uncountable=True,
)  # fmt: skip
"""Bytes that are no whole characters."""


def _look_at(text: str) -> Look:
    """What is told of a token with this text, links (`or`) aside."""
    spaced = text[0] == " " and len(text) > 1
    body = text[1:] if spaced else text
    kind = kind_of(body, spaced=spaced)
    words = WORD.findall(text)
    starts_letter, ends_letter = WORD.match(text) is not None, WORD.match(text[-1]) is not None
    is_function_word = kind == Kind.LETTERS and words[0].lower() in FUNCTION_WORDS
    joins = not spaced and (body[0].isalnum() or body[0] == "_" or kind == Kind.ODD)
    is_space = kind == Kind.SPACE
    return Look(
        kind=kind,
        spaced=spaced,
        before_word=_side_before(text, kind),
        before_space=_side_before_space(body, kind),
        after=_side_after(body, kind, spaced=spaced),
        after_space=Side.LOOK_SPACE if is_space else Side.ASK if body[0] == "/" or kind == Kind.ODD else Side.PLAIN,
        joins=joins,
        is_joined=text[-1].isalnum() or text[-1] == "_" or kind == Kind.ODD,
        code=(Code.FUNCTION_WORD if spaced and is_function_word else 0)
        | (Code.JOINS if starts_letter else 0)
        | (Code.UNCLEAR if len(words) > 1 else 0),
        words=len(words),
        is_uncountable=len(words) > 1,
        starts_letter=starts_letter,
        ends_letter=ends_letter,
        is_function_word=is_function_word,
        goes_on_common=letters_after(words[-1].lower()) if ends_letter else 0,
        first_letter=_LETTER_BIT.get(text[0].lower()[0], _NO_LETTER),
        is_loud=kind == Kind.LETTERS and spaced and len(body) > 1 and body.isupper(),
        newlines=(text.count("\n") if len(text) <= MAX_SPACE_CHARS else TOO_LONG) if is_space else 0,
        first_mark=body[0] if kind in (Kind.MARKS, Kind.CONTRACTION) else "",
        last_mark=body[-1] if kind == Kind.MARKS else "",
    )


@cache
def letters_after(beginning: str) -> int:
    """Bits of the letters that follow `beginning` in function words."""
    found = {word[len(beginning)] for word in FUNCTION_WORDS if word.startswith(beginning) and word != beginning}
    return sum(1 << _LETTER_BIT[letter] for letter in found)


def kind_of(body: str, *, spaced: bool) -> Kind:
    """What a token is made of; body: without its leading space."""
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
    """What a token means for the unspaced form after it."""
    if kind == Kind.SPACE:
        return Side.LOOK_SPACE
    if kind in (Kind.LETTERS, Kind.DIGITS, Kind.CONTRACTION):
        return Side.PART
    if kind == Kind.ODD:
        return Side.ASK
    last = text[-1]
    if unicodedata.category(last).startswith("M"):
        return Side.PART
    if text == ".":
        return Side.LOOK_CASE
    if last == "_" and text[-2:] != "__":
        return Side.LOOK_EMPHASIS
    # A bare quote may be taken for the beginning of a contraction once the form is replaced.
    return Side.ASK if last in CODE_MARKS_BEFORE or last in "_)" or text == "'" else Side.PLAIN


def _side_before_space(body: str, kind: Kind) -> Side:
    """What a token means for the form after it that begins with a space."""
    if kind == Kind.SPACE:
        return Side.LOOK_SPACE
    if body == "/":
        return Side.LOOK_OR
    return Side.ASK if body.endswith("/") or kind == Kind.ODD else Side.PLAIN


def _side_after(body: str, kind: Kind, *, spaced: bool) -> Side:
    """What a token means for the form before it."""
    if kind == Kind.SPACE:
        return Side.LOOK_SPACE
    if kind == Kind.ODD:
        return Side.ASK
    first, second = body[0], body[1:2]
    if body == "/":
        return Side.LOOK_OR if spaced else Side.LOOK_SLASH
    if spaced:
        return Side.ASK if first == "/" else Side.PLAIN
    if first.isalnum() or unicodedata.category(first).startswith("M"):
        return Side.PART
    if first in "-." and not second:
        return Side.LOOK_NEXT
    if first == "_" and second != "_":
        return Side.LOOK_EMPHASIS
    if first in CODE_MARKS_AFTER:
        return Side.ASK if first == "/" else Side.CODE
    return Side.ASK if first == "_" or body[:2] == "._" else Side.PLAIN


@dataclass(frozen=True)
class TokenClasses:
    """The looks of all tokens as arrays by id, each as long as the vocabulary and one more; see `Look`."""

    outside: int
    kind: np.ndarray
    spaced: np.ndarray
    before: np.ndarray
    """(2, ids): before a form with a space; before one without."""
    after: np.ndarray
    after_space: np.ndarray
    joins: np.ndarray
    is_joined: np.ndarray
    code: np.ndarray
    words: np.ndarray
    is_uncountable: np.ndarray
    starts_letter: np.ndarray
    ends_letter: np.ndarray
    is_function_word: np.ndarray
    goes_on_common: np.ndarray
    first_letter: np.ndarray
    is_loud: np.ndarray
    newlines: np.ndarray
    ends_pronoun: np.ndarray
    """May end a pronoun: one does, or it is white space or cannot be told."""
    starts_pronoun: np.ndarray
    word_hash: np.ndarray
    word_shift: np.ndarray
    """uint64. The hash of a word of two tokens is hash[first] * shift[second] + hash[second]."""
    first_mark: list[str]
    """Its first mark, or ''."""
    last_mark: list[str]


def classes_of(vocabulary: Vocabulary) -> TokenClasses:
    """The tables of a vocabulary."""
    looks = [BARRIER if token is None else _look_at_bytes(token) for token in vocabulary.bytes_of]
    looks.append(BARRIER)
    columns = dict(zip(Look._fields, zip(*looks, strict=True), strict=True))
    flags = (
        "spaced",
        "joins",
        "is_joined",
        "is_uncountable",
        "starts_letter",
        "ends_letter",
        "is_function_word",
        "is_loud",
    )
    arrays = {name: np.array(columns[name], dtype=bool) for name in flags}
    numbers = ("kind", "after", "after_space", "code", "words", "newlines", "first_letter")
    arrays |= {name: np.array(columns[name], dtype=np.uint8) for name in numbers}
    arrays["goes_on_common"] = np.array(columns["goes_on_common"], dtype=np.uint32)
    before = np.array([columns["before_space"], columns["before_word"]], dtype=np.uint8)
    _mark_links(vocabulary, before[0], arrays["after"], arrays["after_space"])
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


def _look_at_bytes(token: bytes) -> Look:
    """What is told of a token."""
    try:
        return _look_at(token.decode("utf8"))
    except UnicodeDecodeError:
        return _PARTIAL


def _mark_links(vocabulary: Vocabulary, before: np.ndarray, after: np.ndarray, after_space: np.ndarray) -> None:
    """Marks the tokens of `or`, which may join two pronouns."""
    for word in ("or", "OR", " or", " OR"):
        ids = vocabulary.word_ids(word)
        side = Side.LOOK_OR if len(ids) == 1 else Side.ASK
        before[ids[-1]] = max(before[ids[-1]], side)
        after_space[ids[0]] = Side.ASK
        if word[0] == " ":
            after[ids[0]] = max(after[ids[0]], side)


def word_in(token: bytes | None) -> bytes:
    """Letters of a token as a neighbour is named by: without the space or quote before them, ASCII lower-case."""
    return (token or b"").lstrip(b" ").removeprefix(b"'").lower()


def hash_of(word: bytes) -> tuple[int, int]:
    """(hash, shift) of a piece of a word: polynomial in 64 bits, so that pieces can be joined without their text."""
    value, shift = 0, 1
    for byte in word:
        value = (value * HASH_BASE + byte + 1) & MASK
        shift = shift * HASH_BASE & MASK
    return value, shift
