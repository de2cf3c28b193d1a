"""The role of `her` and `his`, from the neighbouring words in token ids.

Input: rows as `rule` arranges them, and the positions of `her` and `his` in them.
Output: the log-odds of the role, the same number that `Possessives` gives for the text, or NaN where the tokens are not
decisive and the text rule decides.
Guarantees: a neighbour is recognized however many tokens spell it: a word of several tokens is looked up by a hash of
their hashes.
"""

import numpy as np

from bias_intervene.interventions.possessive import AMBIGUOUS, END, MARK, NUMBER, SLOTS, WORD, Possessives
from bias_intervene.interventions.tokens.classes import TOO_LONG, Kind, TokenClasses, hash_of, word_in
from bias_intervene.interventions.tokens.vocabulary import Vocabulary

_MAX_TOKENS_OF_WORD = 4
_MAX_TOKENS_OF_SPACE = 2


class TokenRoles:
    """The tables of `Possessives` compiled for one vocabulary."""

    def __init__(self, vocabulary: Vocabulary, classes: TokenClasses, possessives: Possessives):
        self.classes = classes
        keys = [WORD, MARK, NUMBER, END]
        for table in possessives.tables.values():
            keys += [key for slot in SLOTS for key in table.entries[slot]]
        self.number_of = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        self.bias = {word: possessives.tables[word].bias for word in AMBIGUOUS}
        self.weights = {
            word: np.array([[possessives.tables[word].entry(slot, key) for key in self.number_of] for slot in SLOTS])
            for word in AMBIGUOUS
        }
        """word -> (slots, keys): nats."""
        words = sorted((hash_of(key.encode())[0], number) for key, number in self.number_of.items() if key.isalpha())
        self.hashes = np.array([value for value, _ in words], dtype=np.uint64)
        self.hashed = np.array([number for _, number in words], dtype=np.int64)
        # A token's key where it is a whole neighbour: as it stands after the form, after white space, and before it.
        self.after, self.after_space, self.before = self.keys_of(vocabulary)
        self.is_worded = (classes.kind == Kind.LETTERS) | (classes.kind == Kind.DIGITS)
        self.tells_after = (classes.kind != Kind.SPACE) & (classes.kind != Kind.ODD)
        """What follows a form begins with this token, and ends with it if the next does not join."""
        self.tells_before = self.tells_after & (~self.is_worded | classes.spaced)
        """What stands before a form is this token."""

    def keys_of(self, vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(after, after white space, before): int64 (ids,), numbers of keys."""
        classes = self.classes
        after = np.full((3, classes.outside + 1), self.number_of[END], dtype=np.int64)
        after[:, classes.kind == Kind.DIGITS] = self.number_of[NUMBER]
        named = (classes.kind == Kind.LETTERS) | (classes.kind == Kind.CONTRACTION)
        for index in np.flatnonzero(named).tolist():
            word = word_in(vocabulary.bytes_of[index]).decode()
            after[:, index] = self.number_of.get(word, self.number_of[WORD]) if word.isascii() else self.number_of[WORD]
        for index in np.flatnonzero((classes.kind == Kind.MARKS) | (classes.kind == Kind.CONTRACTION)).tolist():
            mark, space = classes.first_mark[index], " " if classes.spaced[index] else ""
            after[0, index] = self.number_of.get(space + mark, self.number_of[MARK])
            after[1, index] = self.number_of.get(f" {mark}", self.number_of[MARK])
            if classes.last_mark[index]:
                after[2, index] = self.number_of.get(classes.last_mark[index], self.number_of[MARK])
        return after[0], after[1], after[2]

    def scores(self, flat: np.ndarray, start: np.ndarray, end: np.ndarray, word: str) -> np.ndarray:
        """float64: log-odds that `word`, at tokens [start, end), has its marked role; NaN: ask the text."""
        before, before_clear = self.preceding(flat, start)
        after, at, has_second, after_clear = self.following(flat, end)
        second = np.full(after.shape, self.number_of[END], dtype=np.int64)
        chosen = np.flatnonzero(has_second)
        second[chosen], _, _, second_clear = self.following(flat, at[chosen])
        weights = self.weights[word]
        # In the order of the text rule, so that the sum is the same to the last bit.
        scores = self.bias[word] + ((weights[0].take(before) + weights[1].take(after)) + weights[2].take(second))
        scores[~(before_clear & after_clear)] = np.nan
        scores[chosen[~second_clear]] = np.nan
        return scores

    def following(self, flat: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(key, where the next begins, whether it is a word or number, whether it is clear) of what follows `at`."""
        ids, next_ids = flat.take(at), flat.take(at + 1)
        key, is_worded = self.after.take(ids), self.is_worded.take(ids)
        # The most are one token; white space, and words of several, are followed further.
        rest = np.flatnonzero(~self.tells_after.take(ids) | (is_worded & self.classes.joins.take(next_ids)))
        at, is_clear = at + 1, np.ones(ids.shape, dtype=bool)
        if rest.size:
            key[rest], at[rest], is_worded[rest], is_clear[rest] = self.following_further(flat, at[rest] - 1)
        return key, at, is_worded, is_clear

    def preceding(self, flat: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(key, whether it is clear) of what stands before `start`."""
        ids = flat.take(start - 1)
        key, is_clear = self.before.take(ids), np.ones(ids.shape, dtype=bool)
        rest = np.flatnonzero(~self.tells_before.take(ids))
        if rest.size:
            key[rest], is_clear[rest] = self.preceding_further(flat, start[rest])
        return key, is_clear

    def following_further(
        self, flat: np.ndarray, at: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """As `following`, beyond white space and through the tokens of a word."""
        classes = self.classes
        at, ids, lines = self.skip_space(flat, at, 1)
        kind, is_worded = classes.kind.take(ids), self.is_worded.take(ids)
        key = np.where(lines >= 0, self.after_space.take(ids), self.after.take(ids))
        is_clear = (kind != Kind.ODD) & (kind != Kind.SPACE) & (lines < TOO_LONG)
        paragraph = lines > 1
        key[paragraph] = self.number_of[END]
        is_worded &= ~paragraph
        at = at + 1
        chosen = np.flatnonzero(is_worded & classes.joins.take(flat.take(at)))
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
            key[chosen] = np.where(numbers, self.number_of[NUMBER], self.looked_up(value))
            at[chosen] = ends
        return key, at, is_worded, is_clear

    def preceding_further(self, flat: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `preceding`, beyond white space and through the tokens of a word."""
        classes = self.classes
        at, ids, lines = self.skip_space(flat, start - 1, -1)
        kind = classes.kind.take(ids)
        key = self.before.take(ids)
        is_clear = (kind != Kind.ODD) & (kind != Kind.SPACE) & (lines < TOO_LONG)
        paragraph = lines > 1
        key[paragraph] = self.number_of[END]
        chosen = np.flatnonzero(self.is_worded.take(ids) & ~paragraph & ~classes.spaced.take(ids))
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
            key[chosen] = np.where(numbers, self.number_of[NUMBER], self.looked_up(value))
        return key, is_clear

    def skip_space(self, flat: np.ndarray, at: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(place, id, line ends passed or -1 where there was no white space) beyond tokens of white space."""
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
        return at, ids, lines

    def looked_up(self, value: np.ndarray) -> np.ndarray:
        """Numbers of the keys with these hashes; WORD where there is none."""
        at = np.searchsorted(self.hashes, value)
        at[at == self.hashes.size] = 0
        return np.where(self.hashes.take(at) == value, self.hashed.take(at), self.number_of[WORD])
