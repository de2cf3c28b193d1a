"""Decides from the neighbouring tokens whether and in which role a pronoun is swapped.

Most neighbours are decided by a table of `classes`, some by the token after them; `roles` reads the neighbours of `her`
and `his`.

Input: pronoun forms in rows of ids.
Output: the forms that are whole words, each with its role, the reason why it is not swapped, or undecided (the text
rule decides).
Guarantees: a decision is always that of the rule over words.
"""

import numpy as np

from bias_intervene.interventions.possessive import AMBIGUOUS, MARKED_ROLE
from bias_intervene.interventions.tokens.classes import MAX_LINE_ENDS, Side, TokenClasses
from bias_intervene.interventions.tokens.forms import ROLE_NAMES, WORDS, Forms, Hits
from bias_intervene.interventions.tokens.roles import TokenRoles
from bias_intervene.interventions.tokens.vocabulary import Vocabulary

COORDINATED, CODE, UNSURE, ROW_EDGE, OTHER_LANGUAGE, NO_PRONOUN, ASK = range(-1, -8, -1)
"""Outcomes beside the index of a role."""
REASON = {
    COORDINATED: "coordination",
    CODE: "code or path",
    UNSURE: "unsure role",
    ROW_EDGE: "row edge",
    OTHER_LANGUAGE: "other language",
}


class Outcomes:
    """The sides of the forms of one direction, for one vocabulary. margin: nats; a surer role is kept."""

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
        """(those that are whole words; the role of each, or COORDINATED, CODE, UNSURE or ASK).

        flat: rows as `rule` lays them out.
        """
        hits, before, after = self.whole_words(flat, hits)
        ask = self.asks(flat, hits, before, after)
        coordinated, is_code = self.coordinations(flat, hits, before, after, ask), self.code(flat, hits, after, ask)
        outcome = self.forms.role.take(hits.form)
        for word in AMBIGUOUS:
            chosen = np.flatnonzero((self.forms.word.take(hits.form) == WORDS.index(word)) & ~ask)
            if chosen.size:
                scores = self.roles.scores(flat, hits.start[chosen], hits.end[chosen], word)
                marked, determiner = ROLE_NAMES.index(MARKED_ROLE[word]), ROLE_NAMES.index("determiner")
                roles = np.where(scores > 0, marked, determiner)
                roles[np.abs(scores) < self.margin] = UNSURE
                roles[np.isnan(scores)] = ASK
                outcome[chosen] = roles
        outcome[is_code] = CODE
        outcome[coordinated] = COORDINATED
        outcome[ask] = ASK
        return hits, outcome

    def whole_words(self, flat: np.ndarray, hits: Hits) -> tuple[Hits, np.ndarray, np.ndarray]:
        """(forms that are no part of a longer word, `Side` of the token before each, of that after)."""
        # A form without a space takes the second table.
        beside = flat.take(hits.start - 1) + self.forms.unspaced.take(hits.form) * (self.classes.outside + 1)
        before, after = self.classes.before.take(beside), self.classes.after.take(flat.take(hits.end))
        whole = np.flatnonzero((before != int(Side.PART)) & (after != int(Side.PART)))
        return hits.only(whole), before[whole], after[whole]

    def asks(self, flat: np.ndarray, hits: Hits, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """bool (hits,): only the text can tell what is beside it."""
        classes, forms = self.classes, self.forms
        ask = (forms.lengths.take(hits.form) > 1) | (before == int(Side.ASK)) | (after == int(Side.ASK))
        ask |= (before == int(Side.LOOK_CASE)) & forms.lower.take(hits.form)
        chosen = np.flatnonzero(after == int(Side.LOOK_NEXT))
        ask[chosen] |= classes.joins.take(flat.take(hits.end[chosen] + 1))
        # Line ends are a token each: a paragraph begins after two, and its line may be indented.
        for beside, first, step, sides_of in (
            (after, hits.end + 1, 1, classes.after_space),
            (before, hits.start - 2, -1, classes.before[0]),
        ):
            chosen = np.flatnonzero(beside == int(Side.LOOK_SPACE))
            sides = sides_of.take(flat.take(first[chosen]))
            for further in range(1, MAX_LINE_ENDS):
                space = np.flatnonzero(sides == Side.LOOK_SPACE)
                sides[space] = sides_of.take(flat.take(first[chosen[space]] + step * further))
            ask[chosen] |= sides != Side.PLAIN
        # HE is a pronoun beside an upper-case word, and else for the text to judge.
        chosen = np.flatnonzero(forms.upper.take(hits.form))
        is_whole = ~classes.joins.take(flat.take(hits.end[chosen] + 1))
        is_loud = classes.is_loud.take(flat.take(hits.end[chosen])) & is_whole
        ask[chosen] |= ~(is_loud | classes.is_loud.take(flat.take(hits.start[chosen] - 1)))
        # An underscore is emphasis if there is one on either side, and no word beyond them.
        opens, closes = before == int(Side.LOOK_EMPHASIS), after == int(Side.LOOK_EMPHASIS)
        ask |= opens != closes
        chosen = np.flatnonzero(opens & closes)
        for beside, beyond, reaches in (
            (hits.end, hits.end + 1, classes.joins),
            (hits.start - 1, hits.start - 2, classes.is_joined),
        ):
            is_bare = flat.take(beside[chosen]) == self.underscore
            ask[chosen] |= is_bare & reaches.take(flat.take(beyond[chosen]))
        return ask

    def coordinations(
        self, flat: np.ndarray, hits: Hits, before: np.ndarray, after: np.ndarray, ask: np.ndarray
    ) -> np.ndarray:
        """bool (hits,): it is half of "he or she". Adds to `ask` what may be, in several tokens."""
        classes, forms = self.classes, self.forms
        coordinated = np.zeros(hits.form.shape, dtype=bool)
        for sides, beyond, is_pronoun in (
            (after, hits.end + 1, classes.starts_pronoun),
            (before, hits.start - 2, classes.ends_pronoun),
        ):
            chosen = np.flatnonzero(sides == int(Side.LOOK_OR))
            other, next_ = flat.take(beyond[chosen]), flat.take(beyond[chosen] + 1)
            gender = forms.gender_of.take(other)
            ask[chosen] |= is_pronoun.take(other) & ((gender == 0) | classes.joins.take(next_))
            if self.direction != "both":
                coordinated[chosen] |= (gender > 0) & (gender != forms.gender.take(hits.form[chosen]))
        return coordinated

    def code(self, flat: np.ndarray, hits: Hits, after: np.ndarray, ask: np.ndarray) -> np.ndarray:
        """bool (hits,): the mark after it touches identifiers. Adds to `ask` where a slash may join two pronouns."""
        chosen = np.flatnonzero(after == int(Side.LOOK_SLASH))
        ask[chosen] |= self.classes.starts_pronoun.take(flat.take(hits.end[chosen] + 1))
        return (after == int(Side.CODE)) | (after == int(Side.LOOK_SLASH))
