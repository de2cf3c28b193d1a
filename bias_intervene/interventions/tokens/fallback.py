"""Fallback to the text rule where the token tables are not decisive.

Input: a pronoun in rows of ids.
Output: the decision of the text rule on it, in tokens.
Guarantees: as much text is decoded as the rule can depend on, so the decision equals that for the text of the whole
row. If the replacement makes the tokenizer split the neighbouring text differently, those ids are part of the swap.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bias_intervene.interventions.lexicon import LANGUAGE_WINDOW_WORDS
from bias_intervene.interventions.possessive import CONTEXT_CHARS, Possessives
from bias_intervene.interventions.text import LOCAL_REASONS, WORD, TextLanguage, judge
from bias_intervene.interventions.tokens.classes import Kind, TokenClasses
from bias_intervene.interventions.tokens.language import LanguageDecision
from bias_intervene.interventions.tokens.vocabulary import Vocabulary
from bias_intervene.pronouns import PRONOUN

_WINDOW_TOKENS = 96
"""Tokens on either side that are decoded at first; more are decoded if they are too few."""
_ENCODED_TOKENS = (6, 9, 12, 16, 24)
"""Tokens on either side that are encoded again with a pronoun beside a quote: each is tried in turn."""
_PARTIAL_CHARACTER = "\ufffd"
"""What a part of a character decodes to."""


@dataclass(frozen=True)
class TextDecision:
    """The decision of the text rule: a swap if there are ids, else a reason against it; without one, no pronoun."""

    reason: str | None
    start: int = 0
    """First token that is replaced."""
    width: int = 0
    """Number of tokens that are replaced."""
    name: str = ""
    """The swap, e.g. "his -> hers"."""
    ids: tuple[int, ...] = ()
    """The ids that replace them."""


@dataclass(frozen=True)
class _Window:
    """The tokens around a form, within its document, and their text."""

    left: list[int]
    own: list[int]
    right: list[int]
    prefix: str
    form: str
    suffix: str
    has_beginning: bool
    """Whether the document begins with `left`."""
    has_end: bool
    """Whether the document ends with `right`."""

    def has_more_than(self, *, num_chars: int = 0, num_words: int = 0) -> bool:
        """Whether each side has more characters and words than these, or reaches the end of the document."""
        return all(
            is_all or (len(text) > num_chars and (not num_words or len(WORD.findall(text)) > num_words))
            for is_all, text in ((self.has_beginning, self.prefix), (self.has_end, self.suffix))
        )


class _Replacement(NamedTuple):
    """Tokens that are replaced, and their replacement."""

    offset: int
    """First token that is replaced, counted from the first token of the form."""
    width: int
    """Number of tokens that are replaced."""
    ids: tuple[int, ...]


class TextFallback:
    """Applies the text rule of one direction to pronouns in rows of ids."""

    def __init__(self, vocabulary: Vocabulary, classes: TokenClasses, direction: str, possessives: Possessives):
        self.vocabulary, self.classes = vocabulary, classes
        self.direction, self.possessives = direction, possessives
        self.quote = vocabulary.word_ids("'")[0]

    def decide(self, flat: np.ndarray, start: int, end: int, *, language: int, is_first: bool) -> TextDecision:
        """The decision on the form at tokens [start, end) of `flat`, rows as `rule` arranges them.

        language: a `LanguageDecision`; if undecided, the text decides. is_first: whether the form begins a row that was
        cut from a longer text.
        """
        near = self.window(flat, start, end, width=_WINDOW_TOKENS, num_chars=CONTEXT_CHARS + 8)
        text, begin = near.prefix + near.form + near.suffix, len(near.prefix)
        match = PRONOUN.search(text, begin, begin + len(near.form) + 1)
        if match is None:
            return TextDecision(None)
        word, (at, until) = match[0], match.span()
        after = judge(text, at, until, self.direction, self.possessives)
        if after is None:
            return TextDecision(None)
        if is_first and at == 0:
            return TextDecision("row edge")
        if after in LOCAL_REASONS:
            return TextDecision(after)
        is_other = language == LanguageDecision.OTHER
        if language == LanguageDecision.UNDECIDED:
            is_other = self.is_other_language(flat, start, end, near, at - begin, until - begin)
        if is_other:
            return TextDecision("other language")
        name, lead = f"{word.lower()} -> {after.lower()}", text[begin:at]
        if lead == "'" or near.left[-1:] == [self.quote]:
            changed = self.reencode(near, at - begin, word, after)
            if changed is not None:
                return TextDecision(None, start + changed.offset, changed.width, name, changed.ids)
        ids = (self.quote, *self.vocabulary.word_ids(after)) if lead == "'" else self.vocabulary.word_ids(lead + after)
        return TextDecision(None, start, end - start, name, ids)

    def is_other_language(self, flat: np.ndarray, start: int, end: int, near: _Window, begin: int, until: int) -> bool:
        """Whether the words around the pronoun are not English. begin, until: its characters within the form."""
        wide = near
        if not near.has_more_than(num_words=LANGUAGE_WINDOW_WORDS):
            wide = self.window(flat, start, end, width=2 * _WINDOW_TOKENS, num_words=LANGUAGE_WINDOW_WORDS)
        words, shift = TextLanguage(wide.prefix + near.form + wide.suffix), len(wide.prefix)
        return words.is_other(shift + begin, shift + until)

    def window(
        self, flat: np.ndarray, start: int, end: int, *, width: int, num_chars: int = 0, num_words: int = 0
    ) -> _Window:
        """The `width` tokens on either side of [start, end) within the document; the width is doubled until each side
        has more than `num_chars` characters and `num_words` words.
        """
        low = max(0, start - width)
        ids = flat[low : end + width]
        barriers = low + np.flatnonzero(self.classes.kind.take(ids) == Kind.BARRIER)
        split = int(np.searchsorted(barriers, start))
        has_beginning, has_end = split > 0, split < barriers.size
        first = int(barriers[split - 1]) + 1 if has_beginning else low
        last = int(barriers[split]) if has_end else low + ids.size
        left, own, right = (flat[a:b].tolist() for a, b in ((first, start), (start, end), (end, last)))
        text = self.vocabulary.text
        window = _Window(left, own, right, text(left), text(own), text(right), has_beginning, has_end)
        if window.has_more_than(num_chars=num_chars, num_words=num_words):
            return window
        return self.window(flat, start, end, width=2 * width, num_chars=num_chars, num_words=num_words)

    def reencode(self, window: _Window, at: int, word: str, after: str) -> _Replacement | None:
        """The replacement for a pronoun beside a quote, found by encoding the text around it with the new pronoun.

        The tokenizer reads a quote before she, they and them as the beginning of a contraction, so `'` `he` becomes
        `'s` `he`. None: the row's tokens are not what the tokenizer makes of their text; then only the tokens of the
        pronoun are replaced. at: offset of the pronoun in the form, in characters. word, after: old and new pronoun.
        """
        encode = self.vocabulary.tokenizer.encode
        for count in _ENCODED_TOKENS:
            left, right = window.left[-count:], window.right[:count]
            while (prefix := self.vocabulary.text(left)).startswith(_PARTIAL_CHARACTER):
                left = left[1:]
            # At the end of a text, the tokenizer splits white space differently than before a word.
            while (suffix := self.vocabulary.text(right)) and (
                suffix.endswith(_PARTIAL_CHARACTER) or suffix[-1].isspace()
            ):
                right = right[:-1]
            ids = [*left, *window.own, *right]
            text = prefix + window.form + suffix
            if encode(text, add_special_tokens=False).ids != ids:
                continue
            begin = len(prefix) + at
            changed = encode(text[:begin] + after + text[begin + len(word) :], add_special_tokens=False).ids
            same = min(len(ids), len(changed))
            head = next((i for i in range(same) if ids[i] != changed[i]), same)
            tail = next((i for i in range(same - head) if ids[-1 - i] != changed[-1 - i]), same - head)
            if head + tail == len(changed):  # Tokens are only removed: replace a neighbour with them, by itself.
                head, tail = (head, tail - 1) if tail else (head - 1, tail)
            return _Replacement(head - len(left), len(ids) - tail - head, tuple(changed[head : len(changed) - tail]))
        return None
