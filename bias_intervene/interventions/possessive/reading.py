"""The neighbours of a pronoun in text: the word or mark before it, and the two after.

Input: a text, and where the pronoun stands in it. Output: its three `Neighbours`. Guarantees: no character further than
CONTEXT_CHARS away is looked at, and neighbours end at a paragraph, so a window of a text gives the same neighbours as
the whole of it.
"""

from typing import NamedTuple

WORD, MARK, NUMBER, END = "<word>", "<mark>", "<number>", "<end>"
"""Neighbours without an entry of their own: a rare word, a rare mark, a number, the end of text or paragraph."""
CONTEXT_CHARS = 256
"""Characters on either side of the pronoun that are searched for its neighbours."""


class Neighbours(NamedTuple):
    """What stands beside a pronoun; lower-case words, marks, or one of WORD, MARK, NUMBER, END."""

    before: str
    after: str
    second: str


def neighbours(text: str, start: int, end: int) -> Neighbours:
    """The neighbours of the word at [start, end).

    >>> neighbours("They sent her home, at noon.", 10, 13)
    Neighbours(before='sent', after='home', second=',')
    """
    low = max(0, start - CONTEXT_CHARS)
    text, start, end = text[low : end + CONTEXT_CHARS], start - low, end - low
    after, at = _following(text, end)
    second = _following(text, at)[0] if is_word(after) else END
    return Neighbours(_preceding(text, start), after, second)


def _following(text: str, at: int) -> tuple[str, int]:
    """(the word or mark that follows `at`, where it ends). A mark after white space keeps one space in its name."""
    first = at
    while first < len(text) and text[first].isspace():
        first += 1
    if first == len(text) or text.count("\n", at, first) > 1:
        return END, first
    if not text[first].isalnum():
        return (" " if first > at else "") + text[first], first + 1
    last = first
    while last < len(text) and text[last].isalnum():
        last += 1
    return _name_of(text[first:last]), last


def is_word(key: str) -> bool:
    """Whether a neighbour is a word or number and no mark."""
    return key[0].isalpha() or key in (WORD, NUMBER)


def _preceding(text: str, at: int) -> str:
    """The word or mark before `at`, whatever the space between."""
    last = at
    while last > 0 and text[last - 1].isspace():
        last -= 1
    if last == 0 or text.count("\n", last, at) > 1:
        return END
    if not text[last - 1].isalnum():
        return text[last - 1]
    first = last
    while first > 0 and text[first - 1].isalnum():
        first -= 1
    return _name_of(text[first:last])


def _name_of(word: str) -> str:
    """Name of a run of letters and digits."""
    if not word[0].isalpha():
        return NUMBER
    return word.lower() if word.isascii() and word.isalpha() else WORD
