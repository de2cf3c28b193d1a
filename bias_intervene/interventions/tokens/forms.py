"""The ways a pronoun is written in tokens, and what replaces each.

Input: a vocabulary and a direction.
Output: tables by id that find the forms, and tables by form that replace them.
Guarantees: the forms are the token sequences that the tokenizer gives for a spelling: one token or several, with a
space before it or without, or after a quote that the tokenizer reads as a contraction (`'she` becomes `'s` `he`).
"""

from dataclasses import dataclass

import numpy as np

from bias_intervene.interventions.lexicon import DIRECTIONS, FIXED_ROLE
from bias_intervene.interventions.tokens.classes import Kind, ScanFlag, TokenClasses
from bias_intervene.interventions.tokens.vocabulary import Vocabulary
from bias_intervene.pronouns import GENDER, ROLES, SPELLINGS, with_case

WORDS = tuple(GENDER)
"""The pronouns that can be swapped, in lower case."""
ROLE_NAMES = tuple(ROLES["neutral"])


@dataclass(frozen=True)
class Form:
    """One spelling of a pronoun, as tokens."""

    spelling: str
    lead: str
    """The characters of its tokens before the pronoun: a space, a quote, or nothing."""
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Hits:
    """Occurrences of forms in flat rows, in ascending order; arrays are int64 (hits,)."""

    form: np.ndarray
    """Number of the form in `Forms.forms`."""
    start: np.ndarray
    """Position of its first token."""
    end: np.ndarray
    """Position after its last token."""

    def only(self, chosen: np.ndarray) -> "Hits":
        """The chosen hits. chosen: bool, or int64 indices."""
        return Hits(self.form[chosen], self.start[chosen], self.end[chosen])


class Forms:
    """The forms that a direction swaps, and their properties as arrays (forms,)."""

    def __init__(self, vocabulary: Vocabulary, classes: TokenClasses, direction: str):
        self.vocabulary, self.classes, self.genders = vocabulary, classes, DIRECTIONS[direction]
        self.forms = [form for spelling in SPELLINGS for form in self.forms_of(spelling)]
        self.names = [f"{word} -> {self.target(word, role)}" for word in WORDS for role in ROLE_NAMES]
        """Names under which swaps are counted; index: word * len(ROLE_NAMES) + role."""
        spellings = [form.spelling for form in self.forms]
        words = [spelling.lower() for spelling in spellings]
        self.unspaced = np.array([not form.lead for form in self.forms])
        self.lengths = np.array([len(form.ids) for form in self.forms])
        self.lower = np.array([spelling.islower() for spelling in spellings])
        self.upper = np.array([spelling.isupper() for spelling in spellings])
        self.gender = np.array([_gender_number(word) for word in words])
        self.word = np.array([WORDS.index(word) for word in words])
        self.role = np.array([ROLE_NAMES.index(FIXED_ROLE[word]) if word in FIXED_ROLE else -1 for word in words])
        """Index into ROLE_NAMES; -1: the neighbours decide."""
        self.replacements = [[self.replacement(form, role) for role in ROLE_NAMES] for form in self.forms]
        """[form][role] -> the ids that replace the form."""
        self.new = np.array([[ids[0] if len(ids) == 1 else -1 for ids in roles] for roles in self.replacements])
        self.new[self.lengths > 1] = -1
        """(forms, roles): the id that replaces the form; -1: the form or its replacement has several tokens."""
        self.by_token()

    def forms_of(self, spelling: str) -> list[Form]:
        """The forms of a spelling; none if the direction does not swap it."""
        if GENDER[spelling.lower()] not in self.genders:
            return []
        words = [Form(spelling, lead, self.vocabulary.word_ids(lead + spelling)) for lead in ("", " ")]
        quoted = tuple(self.vocabulary.tokenizer.encode(f"'{spelling}", add_special_tokens=False).ids)
        is_contraction = self.classes.kind[quoted[0]] == Kind.CONTRACTION
        return [*words, Form(spelling, "'", quoted)] if is_contraction else words

    def by_token(self) -> None:
        """Sets the tables by id: `flags` (uint8, bits of `ScanFlag`), `form_of` (the form of this one token; -1: none),
        `longer`, `is_part` and `gender_of`.
        """
        outside = self.classes.outside
        self.flags = self.classes.flags.copy()
        self.form_of = np.full(outside + 1, -1, dtype=np.int64)
        self.longer: dict[int, list[int]] = {}
        """id -> the forms of several tokens that begin with it."""
        for number, form in enumerate(self.forms):
            # The first token of a form is searched for, because last ones (self, IS) are frequent in code.
            self.flags[form.ids[0]] |= ScanFlag.FORM
            if len(form.ids) == 1:
                self.form_of[form.ids[0]] = number
            else:
                self.longer.setdefault(form.ids[0], []).append(number)
        self.is_part = np.zeros(outside + 1, dtype=bool)
        """Whether a form of several tokens begins with it."""
        self.is_part[list(self.longer)] = True
        self.gender_of = np.zeros(outside + 1, dtype=np.int64)
        """Gender number of the pronouns that are one token with a leading space; 0 for every other token."""
        for spelling in SPELLINGS:
            ids = self.vocabulary.word_ids(f" {spelling}")
            if len(ids) == 1:
                self.gender_of[ids[0]] = _gender_number(spelling.lower())

    def target(self, word: str, role: str) -> str:
        """The pronoun that replaces a word in a role; '' if the direction does not swap it."""
        gender = self.genders.get(GENDER[word])
        return "" if gender is None else ROLES[gender][role]

    def replacement(self, form: Form, role: str) -> tuple[int, ...]:
        """The ids that replace a form in a role."""
        after = with_case(self.target(form.spelling.lower(), role), form.spelling)
        return self.vocabulary.word_ids(form.lead + after)

    def find(self, flat: np.ndarray, places: np.ndarray) -> Hits:
        """The forms at `places` of flat rows, including those that are part of a longer word.

        places: int64, positions of tokens with the flag FORM.
        """
        ids = flat.take(places)
        form, start = self.form_of.take(ids), places
        parts = np.flatnonzero(self.is_part.take(ids))
        if parts.size:
            longer = [self.longer_at(flat, places[parts], ids[parts], token) for token in self.longer]
            single = np.flatnonzero(form >= 0)
            form = np.concatenate([form[single], *(forms for forms, _ in longer)])
            start = np.concatenate([start[single], *(starts for _, starts in longer)])
            if start.size > single.size:
                order = np.argsort(start, kind="stable")
                form, start = form[order], start[order]
        return Hits(form, start, start + self.lengths.take(form))

    def longer_at(
        self, flat: np.ndarray, places: np.ndarray, ids: np.ndarray, token: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """(forms, positions of their first tokens) of the forms of several tokens that begin with `token`.

        ids: those at `places`.
        """
        candidates = places[ids == token]
        forms, starts = [candidates[:0]], [candidates[:0]]
        for number in self.longer[token]:
            start = candidates
            for at, part in enumerate(self.forms[number].ids[1:], start=1):
                start = start[flat.take(start + at) == part]
            forms.append(np.full(start.shape, number))
            starts.append(start)
        return np.concatenate(forms), np.concatenate(starts)


def _gender_number(word: str) -> int:
    """1 masculine, 2 feminine."""
    return 1 + (GENDER[word] == "feminine")
