"""The role of `her` and `his`, from the neighbouring words in token ids.

Input: rows as `rule` arranges them, and the positions of `her` and `his` in them.
Output: the log-odds of the role, the same number that `Possessives` gives for the text, or NaN where the tokens are not
decisive and the text rule decides.
Guarantees: a neighbour is recognized however many tokens spell it: a word of several tokens is looked up by a hash of
their hashes.
"""

from typing import NamedTuple

import numpy as np

from bias_intervene.interventions.possessive import AMBIGUOUS, END, MARK, NUMBER, SLOTS, WORD, Possessives
from bias_intervene.interventions.tokens.classes import TOO_LONG, Kind, TokenClasses, hash_of, word_in
from bias_intervene.interventions.tokens.vocabulary import Vocabulary

_MAX_TOKENS_OF_WORD = 4
"""Tokens after the first that a neighbour is followed through; for longer ones the text rule decides."""
_MAX_TOKENS_OF_SPACE = 2
"""Tokens of white space that are skipped."""


class _KeyTables(NamedTuple):
    """Index of the key of each token, by id, int64 (vocabulary + 1,) each."""

    after: np.ndarray
    """For a token directly after a form."""
    after_space: np.ndarray
    """For a token after a form and white space."""
    before: np.ndarray
    """For a token before a form."""


class _Following(NamedTuple):
    """Neighbours that follow some positions; (positions,) each."""

    key: np.ndarray
    """int64: index of the neighbour's key."""
    end: np.ndarray
    """int64: position after its last token."""
    is_word_or_number: np.ndarray
    """bool; only after a word or number does the second neighbour count."""
    is_clear: np.ndarray
    """bool: whether the tokens are decisive."""


class _AfterSpace(NamedTuple):
    """The tokens beyond white space; int64 (positions,) each."""

    at: np.ndarray
    """Position of the token."""
    ids: np.ndarray
    lines: np.ndarray
    """Line ends that were skipped; -1: there was no white space."""


class TokenRoles:
    """The tables of `Possessives` compiled for one vocabulary."""

    def __init__(self, vocabulary: Vocabulary, classes: TokenClasses, possessives: Possessives):
        self.classes = classes
        keys = [WORD, MARK, NUMBER, END]
        for table in possessives.tables.values():
            keys += [key for slot in SLOTS for key in table.entries[slot]]
        self.key_index = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        self.bias = {word: possessives.tables[word].bias for word in AMBIGUOUS}
        self.weights = {
            word: np.array([[possessives.tables[word].entry(slot, key) for key in self.key_index] for slot in SLOTS])
            for word in AMBIGUOUS
        }
        """word -> float64 (slots, keys): the weight of a key in a slot, nats."""
        words = sorted((hash_of(key.encode())[0], number) for key, number in self.key_index.items() if key.isalpha())
        self.hashes = np.array([value for value, _ in words], dtype=np.uint64)
        self.hashed = np.array([number for _, number in words], dtype=np.int64)
        # By id: the key of a token that is a whole neighbour, after the form, after white space, and before the form.
        self.after, self.after_space, self.before = self.key_tables(vocabulary)
        self.is_word_or_number = (classes.kind == Kind.LETTERS) | (classes.kind == Kind.DIGITS)
        self.decides_after = (classes.kind != Kind.SPACE) & (classes.kind != Kind.ODD)
        """By id: whether a token after a form is the whole neighbour, if the next token does not continue it."""
        self.decides_before = self.decides_after & (~self.is_word_or_number | classes.spaced)
        """By id: whether a token before a form is the whole neighbour."""

    def key_tables(self, vocabulary: Vocabulary) -> _KeyTables:
        """The key of each token, int64 (vocabulary + 1,) each, as the neighbour in three places."""
        classes = self.classes
        tables = np.full((3, classes.outside + 1), self.key_index[END], dtype=np.int64)
        tables[:, classes.kind == Kind.DIGITS] = self.key_index[NUMBER]
        named = (classes.kind == Kind.LETTERS) | (classes.kind == Kind.CONTRACTION)
        for index in np.flatnonzero(named).tolist():
            word = word_in(vocabulary.bytes_of[index]).decode()
            tables[:, index] = (
                self.key_index.get(word, self.key_index[WORD]) if word.isascii() else self.key_index[WORD]
            )
        for index in np.flatnonzero((classes.kind == Kind.MARKS) | (classes.kind == Kind.CONTRACTION)).tolist():
            mark, space = classes.first_mark[index], " " if classes.spaced[index] else ""
            tables[0, index] = self.key_index.get(space + mark, self.key_index[MARK])
            tables[1, index] = self.key_index.get(f" {mark}", self.key_index[MARK])
            if classes.last_mark[index]:
                tables[2, index] = self.key_index.get(classes.last_mark[index], self.key_index[MARK])
        return _KeyTables(*tables)

    def scores(self, flat: np.ndarray, start: np.ndarray, end: np.ndarray, word: str) -> np.ndarray:
        """float64 (hits,): log-odds that `word`, at tokens [start, end), has its marked role; NaN: the text decides."""
        before, before_clear = self.preceding(flat, start)
        first = self.following(flat, end)
        second_key = np.full(first.key.shape, self.key_index[END], dtype=np.int64)
        chosen = np.flatnonzero(first.is_word_or_number)
        second = self.following(flat, first.end[chosen])
        second_key[chosen] = second.key
        weights = self.weights[word]
        # Added in the order of the text rule, so that the sums are bit-identical.
        scores = self.bias[word] + (
            (weights[0].take(before) + weights[1].take(first.key)) + weights[2].take(second_key)
        )
        scores[~(before_clear & first.is_clear)] = np.nan
        scores[chosen[~second.is_clear]] = np.nan
        return scores

    def following(self, flat: np.ndarray, at: np.ndarray) -> _Following:
        """The neighbours that begin at or after positions `at`."""
        ids, next_ids = flat.take(at), flat.take(at + 1)
        key, is_word_or_number = self.after.take(ids), self.is_word_or_number.take(ids)
        # Most neighbours are one token. White space and words of several tokens need more steps.
        rest = np.flatnonzero(~self.decides_after.take(ids) | (is_word_or_number & self.classes.joins.take(next_ids)))
        at, is_clear = at + 1, np.ones(ids.shape, dtype=bool)
        if rest.size:
            key[rest], at[rest], is_word_or_number[rest], is_clear[rest] = self.following_of_several(flat, at[rest] - 1)
        return _Following(key, at, is_word_or_number, is_clear)

    def preceding(self, flat: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(int64, keys of the neighbours that end before positions `start`; bool, whether the tokens are decisive)."""
        ids = flat.take(start - 1)
        key, is_clear = self.before.take(ids), np.ones(ids.shape, dtype=bool)
        rest = np.flatnonzero(~self.decides_before.take(ids))
        if rest.size:
            key[rest], is_clear[rest] = self.preceding_of_several(flat, start[rest])
        return key, is_clear

    def following_of_several(self, flat: np.ndarray, at: np.ndarray) -> _Following:
        """As `following`, for neighbours after white space, or of several tokens."""
        classes = self.classes
        at, ids, lines = self.skip_space(flat, at, 1)
        kind, is_word_or_number = classes.kind.take(ids), self.is_word_or_number.take(ids)
        key = np.where(lines >= 0, self.after_space.take(ids), self.after.take(ids))
        is_clear = (kind != Kind.ODD) & (kind != Kind.SPACE) & (lines < TOO_LONG)
        paragraph = lines > 1
        key[paragraph] = self.key_index[END]
        is_word_or_number &= ~paragraph
        at = at + 1
        chosen = np.flatnonzero(is_word_or_number & classes.joins.take(flat.take(at)))
        if chosen.size:
            begin, ends = ids[chosen], at[chosen]
            value, ended = classes.word_hash.take(begin), np.zeros(chosen.shape, dtype=bool)
            for _ in range(_MAX_TOKENS_OF_WORD):
                ids = flat.take(ends)
                kind = classes.kind.take(ids)
                goes_on = ~ended & classes.joins.take(ids) & (kind != Kind.MARKS)
                ended |= ~goes_on
                joined = value * classes.word_shift.take(ids) + classes.word_hash.take(ids)
                value, ends = np.where(goes_on, joined, value), ends + goes_on
                is_clear[chosen[goes_on & (kind == Kind.ODD)]] = False
            is_clear[chosen[~ended]] = False
            numbers = classes.kind.take(begin) == Kind.DIGITS
            key[chosen] = np.where(numbers, self.key_index[NUMBER], self.keys_of_hashes(value))
            at[chosen] = ends
        return _Following(key, at, is_word_or_number, is_clear)

    def preceding_of_several(self, flat: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `preceding`, for neighbours before white space, or of several tokens."""
        classes = self.classes
        at, ids, lines = self.skip_space(flat, start - 1, -1)
        kind = classes.kind.take(ids)
        key = self.before.take(ids)
        is_clear = (kind != Kind.ODD) & (kind != Kind.SPACE) & (lines < TOO_LONG)
        paragraph = lines > 1
        key[paragraph] = self.key_index[END]
        chosen = np.flatnonzero(self.is_word_or_number.take(ids) & ~paragraph & ~classes.spaced.take(ids))
        if chosen.size:
            begin, begins = ids[chosen], at[chosen]
            value, shift = classes.word_hash.take(begin), classes.word_shift.take(begin)
            ended = np.zeros(chosen.shape, dtype=bool)
            for _ in range(_MAX_TOKENS_OF_WORD):
                ids = flat.take(begins - 1)
                kind = classes.kind.take(ids)
                unsure = (kind == Kind.ODD) | (kind == Kind.CONTRACTION)
                goes_on = ~ended & ((kind == Kind.LETTERS) | (kind == Kind.DIGITS) | unsure)
                ended |= ~goes_on
                is_clear[chosen[goes_on & unsure]] = False
                value = np.where(goes_on, classes.word_hash.take(ids) * shift + value, value)
                shift = np.where(goes_on, classes.word_shift.take(ids) * shift, shift)
                begin, begins = np.where(goes_on, ids, begin), begins - goes_on
                ended |= classes.spaced.take(begin)
            is_clear[chosen[~ended]] = False
            numbers = classes.kind.take(begin) == Kind.DIGITS
            key[chosen] = np.where(numbers, self.key_index[NUMBER], self.keys_of_hashes(value))
        return key, is_clear

    def skip_space(self, flat: np.ndarray, at: np.ndarray, step: int) -> _AfterSpace:
        """Skips tokens of white space from positions `at` on. step: 1 forwards, -1 backwards."""
        classes = self.classes
        ids = flat.take(at)
        lines = np.full(at.shape, -1, dtype=np.int64)
        chosen = np.flatnonzero(classes.kind.take(ids) == Kind.SPACE)
        if chosen.size:
            near, at = ids[chosen], at.copy()
            passed = np.zeros(chosen.shape, dtype=np.int64)
            for _ in range(_MAX_TOKENS_OF_SPACE):
                is_space = classes.kind.take(near) == Kind.SPACE
                passed += np.where(is_space, classes.newlines.take(near), 0)
                at[chosen] += step * is_space
                near = flat.take(at[chosen])
            ids[chosen], lines[chosen] = near, passed
        return _AfterSpace(at, ids, lines)

    def keys_of_hashes(self, value: np.ndarray) -> np.ndarray:
        """int64: indices of the keys with these hashes; that of WORD where no key has the hash."""
        at = np.searchsorted(self.hashes, value)
        at[at == self.hashes.size] = 0
        return np.where(self.hashes.take(at) == value, self.hashed.take(at), self.key_index[WORD])
