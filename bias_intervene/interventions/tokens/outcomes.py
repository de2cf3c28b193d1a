"""Decides from the neighbouring tokens whether and in which role a pronoun is swapped.

For most neighbours a table of `classes` decides, for some also the token beyond them; `roles` reads the neighbours of
`her` and `his`.

Input: pronoun forms in rows of ids.
Output: the forms that are whole words, each with its role, the reason why it is not swapped, or undecided (the text
rule decides).
Guarantees: a decision is always that of the rule over words.
"""

from typing import NamedTuple

import numpy as np

from bias_intervene.interventions.possessive import AMBIGUOUS, MARKED_ROLE
from bias_intervene.interventions.tokens.classes import MAX_SPACE_TOKENS, Side, TokenClasses
from bias_intervene.interventions.tokens.forms import ROLE_NAMES, WORDS, Forms, Hits
from bias_intervene.interventions.tokens.roles import TokenRoles
from bias_intervene.interventions.tokens.vocabulary import Vocabulary

COORDINATED, CODE, UNSURE, ROW_EDGE, OTHER_LANGUAGE, NO_PRONOUN, UNDECIDED = range(-1, -8, -1)
"""Outcomes of forms that are not swapped or not decided; for one that is swapped it is the index of its role."""
REASONS = {
    COORDINATED: "coordination",
    CODE: "code or path",
    UNSURE: "unsure role",
    ROW_EDGE: "row edge",
    OTHER_LANGUAGE: "other language",
}
"""Outcome -> the reason under which it is counted."""


class _WholeWords(NamedTuple):
    """Hits that are whole words."""

    hits: Hits
    before: np.ndarray
    """(hits,): `Side` of the token before each."""
    after: np.ndarray
    """(hits,): `Side` of the token after each."""


class Outcomes:
    """Decides on the forms of one direction, for one vocabulary.

    margin: nats; a role whose log-odds are smaller in size is `UNSURE`.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        classes: TokenClasses,
        forms: Forms,
        roles: TokenRoles,
        direction: str,
        margin: float,
    ):
        self.classes, self.forms, self.roles = classes, forms, roles
        self.direction, self.margin = direction, margin
        self.underscore = vocabulary.word_ids("_")[0]

    def __call__(self, flat: np.ndarray, hits: Hits) -> tuple[Hits, np.ndarray]:
        """(the hits that are whole words; int64 (hits,), the role of each, or COORDINATED, CODE, UNSURE or UNDECIDED).

        flat: rows as `rule` arranges them.
        """
        hits, before, after = self.whole_words(flat, hits)
        undecided = self.undecided(flat, hits, before, after)
        coordinated = self.coordinations(flat, hits, before, after, undecided)
        is_code = self.code(flat, hits, after, undecided)
        outcome = self.forms.role.take(hits.form)
        for word in AMBIGUOUS:
            chosen = np.flatnonzero((self.forms.word.take(hits.form) == WORDS.index(word)) & ~undecided)
            if chosen.size:
                scores = self.roles.scores(flat, hits.start[chosen], hits.end[chosen], word)
                marked, determiner = ROLE_NAMES.index(MARKED_ROLE[word]), ROLE_NAMES.index("determiner")
                roles = np.where(scores > 0, marked, determiner)
                roles[np.abs(scores) < self.margin] = UNSURE
                roles[np.isnan(scores)] = UNDECIDED
                outcome[chosen] = roles
        outcome[is_code] = CODE
        outcome[coordinated] = COORDINATED
        outcome[undecided] = UNDECIDED
        return hits, outcome

    def whole_words(self, flat: np.ndarray, hits: Hits) -> _WholeWords:
        """The hits that are not part of a longer word, with the sides of their neighbours."""
        # For a form without a leading space, the second row of `before` applies.
        beside = flat.take(hits.start - 1) + self.forms.unspaced.take(hits.form) * (self.classes.outside + 1)
        before, after = self.classes.before.take(beside), self.classes.after.take(flat.take(hits.end))
        whole = np.flatnonzero((before != int(Side.PART)) & (after != int(Side.PART)))
        return _WholeWords(hits.only(whole), before[whole], after[whole])

    def undecided(self, flat: np.ndarray, hits: Hits, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """bool (hits,): whether the neighbouring tokens are not decisive. before, after: sides of the neighbours."""
        classes, forms = self.classes, self.forms
        undecided = (
            (forms.lengths.take(hits.form) > 1) | (before == int(Side.UNDECIDED)) | (after == int(Side.UNDECIDED))
        )
        undecided |= (before == int(Side.LOOK_CASE)) & forms.lower.take(hits.form)
        chosen = np.flatnonzero(after == int(Side.LOOK_NEXT))
        undecided[chosen] |= classes.joins.take(flat.take(hits.end[chosen] + 1))
        # White space may be several tokens: two line ends before a paragraph, and an indentation.
        for beside, first, step, sides_of in (
            (after, hits.end + 1, 1, classes.after_space),
            (before, hits.start - 2, -1, classes.before[0]),
        ):
            chosen = np.flatnonzero(beside == int(Side.LOOK_SPACE))
            sides = sides_of.take(flat.take(first[chosen]))
            for further in range(1, MAX_SPACE_TOKENS):
                space = np.flatnonzero(sides == Side.LOOK_SPACE)
                sides[space] = sides_of.take(flat.take(first[chosen[space]] + step * further))
            undecided[chosen] |= sides != Side.PLAIN
        # HE is a pronoun beside an upper-case word; without one, the text rule decides.
        chosen = np.flatnonzero(forms.upper.take(hits.form))
        is_whole = ~classes.joins.take(flat.take(hits.end[chosen] + 1))
        is_upper_word = classes.is_upper_word.take(flat.take(hits.end[chosen])) & is_whole
        undecided[chosen] |= ~(is_upper_word | classes.is_upper_word.take(flat.take(hits.start[chosen] - 1)))
        # Underscores are emphasis if there is one on each side, and no word beyond them.
        opens, closes = before == int(Side.LOOK_EMPHASIS), after == int(Side.LOOK_EMPHASIS)
        undecided |= opens != closes
        chosen = np.flatnonzero(opens & closes)
        for beside, beyond, reaches in (
            (hits.end, hits.end + 1, classes.joins),
            (hits.start - 1, hits.start - 2, classes.is_joined),
        ):
            is_bare = flat.take(beside[chosen]) == self.underscore
            undecided[chosen] |= is_bare & reaches.take(flat.take(beyond[chosen]))
        return undecided

    def coordinations(
        self, flat: np.ndarray, hits: Hits, before: np.ndarray, after: np.ndarray, undecided: np.ndarray
    ) -> np.ndarray:
        """bool (hits,): whether it is part of "he or she". Sets `undecided` where the other pronoun may have several
        tokens.
        """
        classes, forms = self.classes, self.forms
        coordinated = np.zeros(hits.form.shape, dtype=bool)
        for sides, beyond, is_pronoun in (
            (after, hits.end + 1, classes.starts_pronoun),
            (before, hits.start - 2, classes.ends_pronoun),
        ):
            chosen = np.flatnonzero(sides == int(Side.LOOK_OR))
            other, following = flat.take(beyond[chosen]), flat.take(beyond[chosen] + 1)
            gender = forms.gender_of.take(other)
            undecided[chosen] |= is_pronoun.take(other) & ((gender == 0) | classes.joins.take(following))
            if self.direction != "both":
                coordinated[chosen] |= (gender > 0) & (gender != forms.gender.take(hits.form[chosen]))
        return coordinated

    def code(self, flat: np.ndarray, hits: Hits, after: np.ndarray, undecided: np.ndarray) -> np.ndarray:
        """bool (hits,): whether the mark after it occurs after identifiers only. Sets `undecided` where a slash may
        join two pronouns.
        """
        chosen = np.flatnonzero(after == int(Side.LOOK_SLASH))
        undecided[chosen] |= self.classes.starts_pronoun.take(flat.take(hits.end[chosen] + 1))
        return (after == int(Side.CODE)) | (after == int(Side.LOOK_SLASH))
