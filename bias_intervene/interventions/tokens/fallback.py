"""Fallback to the text rule where the token tables are not decisive.

Input: a pronoun in rows of ids.
Output: the decision of the text rule on it, in tokens.
Guarantees: as much text is decoded as the rule can depend on, so the decision equals that for the text of the whole
row. If the replacement makes the tokenizer split the neighbouring text differently, those ids are part of the swap.
"""

from dataclasses import dataclass

import numpy as np

from bias_intervene.interventions.lexicon import LANGUAGE_WINDOW_WORDS
from bias_intervene.interventions.possessive import CONTEXT_CHARS, Possessives
from bias_intervene.interventions.text import LOCAL_REASONS, PRONOUN, WORD, judge
from bias_intervene.interventions.text import TextLanguage as LanguageOfText
from bias_intervene.interventions.tokens.classes import Kind, TokenClasses
from bias_intervene.interventions.tokens.language import Language
from bias_intervene.interventions.tokens.vocabulary import Vocabulary

_WINDOW_TOKENS = 96
"""Tokens decoded on either side at first."""
BARRIER = int(Kind.BARRIER)
_ENCODED_TOKENS = (6, 9, 12, 16, 24)
"""Tokens encoded anew on either side of a pronoun beside a quote."""
_HALF = "\ufffd"
"""What half a character decodes to."""


@dataclass(frozen=True)
class Verdict:
    """What the text rule says of one place: a swap if there are ids, else the reason; without one, no pronoun."""

    reason: str | None
    start: int = 0
    width: int = 0
    name: str = ""
    ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Window:
    """Tokens around a form, within its document, and their text."""

    left: list[int]
    own: list[int]
    right: list[int]
    prefix: str
    form: str
    suffix: str
    begins: bool
    """The document begins here."""
    ends: bool

    def reaches(self, *, num_chars: int = 0, num_words: int = 0) -> bool:
        """Whether more than so much is here on either side, or all there is."""
        return all(
            is_all or (len(text) > num_chars and (not num_words or len(WORD.findall(text)) > num_words))
            for is_all, text in ((self.begins, self.prefix), (self.ends, self.suffix))
        )


class TextJudge:
    """The text rule of one direction, asked about places in rows of ids."""

    def __init__(self, vocabulary: Vocabulary, classes: TokenClasses, direction: str, possessives: Possessives):
        self.vocabulary, self.classes = vocabulary, classes
        self.direction, self.possessives = direction, possessives
        self.quote = vocabulary.word_ids("'")[0]

    def ask(self, flat: np.ndarray, start: int, end: int, *, language: int, is_first: bool) -> Verdict:
        """The verdict on the form at tokens [start, end) of rows laid out.

        language: as the tokens tell it; where they do not, as much is read as the rule reads. is_first: the form begins
        a row that was cut.
        """
        near = self.window(flat, start, end, width=_WINDOW_TOKENS, num_chars=CONTEXT_CHARS + 8)
        text, begin = near.prefix + near.form + near.suffix, len(near.prefix)
        match = PRONOUN.search(text, begin, begin + len(near.form) + 1)
        if match is None:
            return Verdict(None)
        word, (at, until) = match[0], match.span()
        after = judge(text, at, until, self.direction, self.possessives)
        if after is None:
            return Verdict(None)
        if is_first and at == 0:
            return Verdict("row edge")
        if after in LOCAL_REASONS:
            return Verdict(after)
        is_other = language == Language.OTHER
        if language == Language.ASK:
            is_other = self.is_other_language(flat, start, end, near, at - begin, until - begin)
        if is_other:
            return Verdict("other language")
        name, lead = f"{word.lower()} -> {after.lower()}", text[begin:at]
        if lead == "'" or near.left[-1:] == [self.quote]:
            changed = self.encoded_anew(near, at - begin, word, after)
            if changed is not None:
                offset, width, ids = changed
                return Verdict(None, start + offset, width, name, ids)
        ids = (self.quote, *self.vocabulary.word_ids(after)) if lead == "'" else self.vocabulary.word_ids(lead + after)
        return Verdict(None, start, end - start, name, ids)

    def is_other_language(self, flat: np.ndarray, start: int, end: int, near: Window, begin: int, until: int) -> bool:
        """Whether the words around the pronoun, at characters [begin, until) of its form, are not English."""
        wide = near
        if not near.reaches(num_words=LANGUAGE_WINDOW_WORDS):
            wide = self.window(flat, start, end, width=2 * _WINDOW_TOKENS, num_words=LANGUAGE_WINDOW_WORDS)
        words, shift = LanguageOfText(wide.prefix + near.form + wide.suffix), len(wide.prefix)
        return words.is_other(shift + begin, shift + until)

    def window(
        self, flat: np.ndarray, start: int, end: int, *, width: int, num_chars: int = 0, num_words: int = 0
    ) -> Window:
        """Tokens on either side of [start, end), within their document: `width`, or more until they reach so far."""
        low = max(0, start - width)
        ids = flat[low : end + width]
        barriers = low + np.flatnonzero(self.classes.kind.take(ids) == BARRIER)
        split = int(np.searchsorted(barriers, start))
        begins, ends = split > 0, split < barriers.size
        first = int(barriers[split - 1]) + 1 if begins else low
        last = int(barriers[split]) if ends else low + ids.size
        left, own, right = (flat[a:b].tolist() for a, b in ((first, start), (start, end), (end, last)))
        text = self.vocabulary.text
        window = Window(left, own, right, text(left), text(own), text(right), begins, ends)
        if window.reaches(num_chars=num_chars, num_words=num_words):
            return window
        return self.window(flat, start, end, width=2 * width, num_chars=num_chars, num_words=num_words)

    def encoded_anew(self, window: Window, at: int, word: str, after: str) -> tuple[int, int, tuple[int, ...]] | None:
        """(first token from the form's, number of tokens, ids) of a pronoun beside a quote, by the tokenizer itself.

        at: characters from the form's beginning to the pronoun's. A quote that is a piece of its own is taken for the
        beginning of a contraction before she, they, them: `'` `he` becomes `'s` `he`. None: these tokens are not what
        the tokenizer makes of their text, so only the pronoun's own are replaced.
        """
        encode = self.vocabulary.tokenizer.encode
        for count in _ENCODED_TOKENS:
            left, right = window.left[-count:], window.right[:count]
            while (prefix := self.vocabulary.text(left)).startswith(_HALF):
                left = left[1:]
            # White space at an end is split otherwise than before a word.
            while (suffix := self.vocabulary.text(right)) and (suffix.endswith(_HALF) or suffix[-1].isspace()):
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
            if head + tail == len(changed):  # Tokens only vanish: one that stays stands for them.
                head, tail = (head, tail - 1) if tail else (head - 1, tail)
            return head - len(left), len(ids) - tail - head, tuple(changed[head : len(changed) - tail])
        return None
