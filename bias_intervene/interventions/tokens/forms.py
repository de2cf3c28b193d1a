"""The ways a pronoun is written in tokens, and what replaces each.

Input: a vocabulary and a direction.
Output: tables by id that find the forms, and tables by form that replace them.
Guarantees: the forms are the token sequences that the tokenizer gives for a spelling: one token or several, with a
space before it or without, or after a quote that the tokenizer reads as a contraction (`'she` becomes `'s` `he`).
"""

from dataclasses import dataclass

import numpy as np

from bias_intervene.interventions.lexicon import DIRECTIONS, FIXED_ROLE, GENDER, ROLES
from bias_intervene.interventions.text import SPELLINGS, with_case
from bias_intervene.interventions.tokens.classes import Code, Kind, TokenClasses
from bias_intervene.interventions.tokens.vocabulary import Vocabulary

WORDS = tuple(GENDER)
ROLE_NAMES = tuple(ROLES["neutral"])


@dataclass(frozen=True)
class Form:
    """One spelling of a pronoun as tokens."""

    spelling: str
    lead: str
    """What its tokens hold before it: a space, a quote, or nothing."""
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Hits:
    """Forms in flat rows, ascending; arrays are int64 (hits,)."""

    form: np.ndarray
    start: np.ndarray
    """Its first token."""
    end: np.ndarray
    """The token after its last."""

    def only(self, chosen: np.ndarray) -> "Hits":
        """Some of them."""
        return Hits(self.form[chosen], self.start[chosen], self.end[chosen])


class Forms:
    """The forms that a direction swaps. Attributes named in the plural of a form's quality are arrays (forms,)."""

    def __init__(self, vocabulary: Vocabulary, classes: TokenClasses, direction: str):
        self.vocabulary, self.classes, self.genders = vocabulary, classes, DIRECTIONS[direction]
        self.forms = [form for spelling in SPELLINGS for form in self.forms_of(spelling)]
        self.names = [f"{word} -> {self.target(word, role)}" for word in WORDS for role in ROLE_NAMES]
        """What a swap is counted under: word * len(ROLE_NAMES) + role."""
        spellings = [form.spelling for form in self.forms]
        words = [spelling.lower() for spelling in spellings]
        self.unspaced = np.array([not form.lead for form in self.forms])
        self.lengths = np.array([len(form.ids) for form in self.forms])
        self.lower = np.array([spelling.islower() for spelling in spellings])
        self.upper = np.array([spelling.isupper() for spelling in spellings])
        self.gender = np.array([_gender_number(word) for word in words])
        self.word = np.array([WORDS.index(word) for word in words])
        self.role = np.array([ROLE_NAMES.index(FIXED_ROLE[word]) if word in FIXED_ROLE else -1 for word in words])
        """Index into ROLE_NAMES; -1: its neighbours tell."""
        self.replacements = [[self.replacement(form, role) for role in ROLE_NAMES] for form in self.forms]
        """Form, role -> the ids that replace it."""
        self.new = np.array([[ids[0] if len(ids) == 1 else -1 for ids in roles] for roles in self.replacements])
        self.new[self.lengths > 1] = -1
        """(forms, roles): the id that replaces a form of one token; -1: there is no such one."""
        self.by_token()

    def forms_of(self, spelling: str) -> list[Form]:
        """The ways to write a spelling as tokens; none where the direction leaves it alone."""
        if GENDER[spelling.lower()] not in self.genders:
            return []
        words = [Form(spelling, lead, self.vocabulary.word_ids(lead + spelling)) for lead in ("", " ")]
        quoted = tuple(self.vocabulary.tokenizer.encode(f"'{spelling}", add_special_tokens=False).ids)
        is_taken = self.classes.kind[quoted[0]] == Kind.CONTRACTION
        return [*words, Form(spelling, "'", quoted)] if is_taken else words

    def by_token(self) -> None:
        """Tables by id: `codes` (uint8, bits of Code), `form_of` (-1: no form of one token) and `gender_of`."""
        outside = self.classes.outside
        self.codes = self.classes.code.copy()
        self.form_of = np.full(outside + 1, -1, dtype=np.int64)
        self.longer: dict[int, list[int]] = {}
        """id -> the forms of several tokens that begin with it."""
        for number, form in enumerate(self.forms):
            # A form of several tokens is known by its first: pieces that end words (self, IS) are frequent in code.
            self.codes[form.ids[0]] |= Code.FORM
            if len(form.ids) == 1:
                self.form_of[form.ids[0]] = number
            else:
                self.longer.setdefault(form.ids[0], []).append(number)
        self.is_part = np.zeros(outside + 1, dtype=bool)
        self.is_part[list(self.longer)] = True
        self.gender_of = np.zeros(outside + 1, dtype=np.int64)
        """Gender of the forms that are one token with a space; 0: another token."""
        for spelling in SPELLINGS:
            ids = self.vocabulary.word_ids(f" {spelling}")
            if len(ids) == 1:
                self.gender_of[ids[0]] = _gender_number(spelling.lower())

    def target(self, word: str, role: str) -> str:
        """What replaces a word in a role; '' where the direction leaves it alone."""
        gender = self.genders.get(GENDER[word])
        return "" if gender is None else ROLES[gender][role]

    def replacement(self, form: Form, role: str) -> tuple[int, ...]:
        """Ids of what replaces a form in a role."""
        after = with_case(self.target(form.spelling.lower(), role), form.spelling)
        return self.vocabulary.word_ids(form.lead + after)

    def find(self, flat: np.ndarray, places: np.ndarray) -> Hits:
        """Every form at the `places` of flat rows that hold a form's token, parts of longer words among them."""
        ids = flat.take(places)
        form, start = self.form_of.take(ids), places
        parts = np.flatnonzero(self.is_part.take(ids))
        if parts.size:
            found = [self.longer_at(flat, places[parts], ids[parts], token) for token in self.longer]
            single = np.flatnonzero(form >= 0)
            form = np.concatenate([form[single], *(forms for forms, _ in found)])
            start = np.concatenate([start[single], *(starts for _, starts in found)])
            if start.size > single.size:
                order = np.argsort(start, kind="stable")
                form, start = form[order], start[order]
        return Hits(form, start, start + self.lengths.take(form))

    def longer_at(
        self, flat: np.ndarray, places: np.ndarray, ids: np.ndarray, token: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """(form, first token) of the forms of several tokens of which `token` is one, at those places."""
        here = places[ids == token]
        forms, starts = [here[:0]], [here[:0]]
        for number in self.longer[token]:
            start = here
            for at, part in enumerate(self.forms[number].ids[1:], start=1):
                start = start[flat.take(start + at) == part]
            forms.append(np.full(start.shape, number))
            starts.append(start)
        return np.concatenate(forms), np.concatenate(starts)


def _gender_number(word: str) -> int:
    """1 masculine, 2 feminine."""
    return 1 + (GENDER[word] == "feminine")
