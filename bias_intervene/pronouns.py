"""The gendered pronouns of English: their forms, and where they stand in a text.

These are facts that the interventions and the evaluation both read. What replaces a pronoun, and which ones are left
alone, is decided in `interventions`.

Input: a text.
Output: the places of its pronouns.
Guarantees: a pronoun is a whole word: no letter, digit, combining mark or underscore touches it (history, his_var, hé),
but for the underscores of _he_ as emphasis. It is written in lower, Title or UPPER case (hE is none).
"""

import re
import unicodedata
from collections.abc import Iterator

ROLES = {
    "masculine": {"subject": "he", "object": "him", "determiner": "his", "alone": "his", "reflexive": "himself"},
    "feminine": {"subject": "she", "object": "her", "determiner": "her", "alone": "hers", "reflexive": "herself"},
    "neutral": {
        "subject": "they", "object": "them", "determiner": "their", "alone": "theirs", "reflexive": "themselves",
    },
}  # fmt: skip
"""gender -> role -> form. Verbs are not made to agree with `they`."""

GENDER = {form: gender for gender in ("masculine", "feminine") for form in ROLES[gender].values()}
"""form -> gender, for the eight forms that can be swapped."""

SPELLINGS = tuple(case(form) for form in GENDER for case in (str.lower, str.title, str.upper))
"""Every spelling of these; others (hE) are not taken for pronouns."""
ANY_SPELLING = "|".join(sorted(SPELLINGS, key=len, reverse=True))
"""The spellings as a part of a regular expression."""
PRONOUN = re.compile(rf"(?<![^\W_])(?:{ANY_SPELLING})(?![^\W_])")
"""A spelling that no letter or digit touches; `is_part_of_word` looks at marks and underscores."""


def places(text: str) -> Iterator[re.Match[str]]:
    """The pronouns of a text, in their order.

    >>> [match[0] for match in places("He said: 'she's hers', of his_var and _her_ history.")]
    ['He', 'she', 'hers', 'her']
    """
    return (match for match in PRONOUN.finditer(text) if not is_part_of_word(text, *match.span()))


def is_part_of_word(text: str, start: int, end: int) -> bool:
    """Whether a combining mark or an underscore that is no emphasis touches the form at [start, end)."""
    beside = text[start - 1 : start] + text[end : end + 1]
    is_marked = any(unicodedata.category(character).startswith("M") for character in beside)
    return is_marked or ("_" in beside and not _is_emphasis(text, start, end))


def _is_emphasis(text: str, start: int, end: int) -> bool:
    """_he_ with nothing of a word outside the underscores."""
    outside = text[max(0, start - 2) : start - 1] + text[end + 1 : end + 2]
    return (
        start > 0
        and text[start - 1] == "_"
        and text[end : end + 1] == "_"
        and not any(character.isalnum() or character == "_" for character in outside)
    )


def with_case(word: str, model: str) -> str:
    """`word` in the case of `model`: lower, Title or UPPER."""
    if model.islower():
        return word
    return word.upper() if model.isupper() else word.title()
