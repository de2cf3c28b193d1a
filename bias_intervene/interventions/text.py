"""The swap as a rule over words: readable, pure, the reference that any faster form must equal.

Enters: text and a direction. Leaves: the text with its pronouns swapped, every swap with its place, and every
pronoun that was left alone with the reason. Promised: nothing but the pronouns changes; case is kept; what is no
whole-word pronoun (history, his_var, hé, he-man, a URL) stays.

The rule. A pronoun is a form of the lexicon whose neighbours are no letters, digits, combining marks or underscores
(_he_ as emphasis counts as a pronoun). Lower, Title and UPPER case are swapped, others left. UPPER forms need an
upper-case neighbour, or they are an acronym (HIS, HER). Compounds that begin with the pronoun (he-man, HER-2) stay, as
do coordinations (he or she, his/her, s/he), which already name both. Not done yet, and to be known when results are
read: text in other languages is not recognised, so a Spanish `he` is swapped like an English one.
"""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field

from bias_intervene.interventions.lexicon import COPULAS, FORMS, OBJECT_STOP_LIST

MASCULINE = r"he|him|his|himself"
FEMININE = r"she|her|hers|herself"

PRONOUN = re.compile(rf"(?<![^\W_])(?:{MASCULINE}|{FEMININE})(?![^\W_])", re.IGNORECASE)
COORDINATION = re.compile(
    rf"\b(?:(?:{MASCULINE})(?:\s+or\s+|\s?/\s?)(?:{FEMININE})"
    rf"|(?:{FEMININE})(?:\s+or\s+|\s?/\s?)(?:{MASCULINE})|s/he)\b|\(s\)he\b",
    re.IGNORECASE,
)
ADDRESS = re.compile(r"\b(?:[a-z][a-z0-9+.-]*://|www\.)\S+", re.IGNORECASE)
CONTRACTION = re.compile(r"['’](?:s|d|ll|ve|re)\b(?:['’]ve\b)?", re.IGNORECASE)
WORD_BEFORE = re.compile(r"([^\W_]+(?:['’][^\W_]+)*)[^\w\n]*$")
WORD_AFTER = re.compile(r"[^\w\n]*([^\W_]+)")
CONTEXT_CHARS = 64
"""How far a neighbouring word is looked for."""


@dataclass(frozen=True)
class Swap:
    """One pronoun replaced: text[start:end] was `before` and became `after`."""

    start: int
    end: int
    before: str
    after: str

    @property
    def form(self) -> str:
        """Name it is counted under, e.g. "his -> hers"."""
        return f"{self.before.lower()} -> {self.after.lower()}"


@dataclass(frozen=True)
class Swapped:
    """The result for one text."""

    text: str
    swaps: list[Swap]
    skipped: Counter[str] = field(default_factory=Counter[str])
    """Pronouns of the direction left alone, by reason."""


def swap_text(text: str, direction: str) -> Swapped:
    """Swaps the pronouns of `text`. direction: masculine_to_feminine or feminine_to_masculine.

    >>> swap_text("The nurse said he lost his keys; the fault is his.", "masculine_to_feminine").text
    'The nurse said she lost her keys; the fault is hers.'
    """
    forms = FORMS[direction]
    kept = [match.span() for pattern in (COORDINATION, ADDRESS) for match in pattern.finditer(text)]
    swaps: list[Swap] = []
    skipped: Counter[str] = Counter()
    for match in PRONOUN.finditer(text):
        word, (start, end) = match[0], match.span()
        if word.lower() not in forms:
            continue
        reason = reason_to_keep(text, start, end, kept)
        if reason is not None:
            if reason != "part of a word":
                skipped[reason] += 1
            continue
        swaps.append(Swap(start, end, word, with_case(replacement(text, start, end, forms), word)))
    return Swapped(text=apply(text, swaps), swaps=swaps, skipped=skipped)


def apply(text: str, swaps: list[Swap]) -> str:
    """`text` with ascending, disjoint `swaps` applied."""
    parts: list[str] = []
    at = 0
    for swap in swaps:
        parts += (text[at : swap.start], swap.after)
        at = swap.end
    return "".join([*parts, text[at:]])


def reason_to_keep(text: str, start: int, end: int, kept: list[tuple[int, int]]) -> str | None:
    """Why the form at [start, end) is not swapped; None: it is."""
    word = text[start:end]
    before, after = text[start - 1 : start], text[end : end + 1]
    if is_mark(after) or ((before == "_" or after == "_") and not is_emphasis(text, start, end)):
        return "part of a word"
    if any(low <= start < high for low, high in kept):
        return "coordination or address"
    begins = before != "-" or not text[start - 2 : start - 1].isalnum()
    if after == "-" and text[end + 1 : end + 2].isalnum() and begins:
        return "hyphen compound"
    if not (word.islower() or word.istitle() or word.isupper()):
        return "mixed case"
    if word.isupper() and not has_upper_neighbour(text, start, end):
        return "lone upper case"
    return None


def is_mark(character: str) -> bool:
    """A combining mark, as in a decomposed hé."""
    return bool(character) and unicodedata.category(character).startswith("M")


def is_emphasis(text: str, start: int, end: int) -> bool:
    """_he_ with nothing of a word outside the underscores."""
    outside = text[max(0, start - 2) : start - 1] + text[end + 1 : end + 2]
    return (
        start > 0
        and text[start - 1] == "_"
        and text[end : end + 1] == "_"
        and not any(character.isalnum() or character == "_" for character in outside)
    )


def has_upper_neighbour(text: str, start: int, end: int) -> bool:
    """Whether the word before or after is upper-case and longer than a letter."""
    contraction = CONTRACTION.match(text, end)
    neighbours = (word_before(text, start), word_after(text, contraction.end() if contraction else end))
    return any(len(word) > 1 and word.isupper() for word in neighbours)


def word_before(text: str, start: int) -> str:
    """The word before `start` on the same line, or ''."""
    found = WORD_BEFORE.search(text[max(0, start - CONTEXT_CHARS) : start])
    return found[1] if found else ""


def word_after(text: str, end: int) -> str:
    """The word after `end` on the same line, or ''."""
    found = WORD_AFTER.match(text[end : end + CONTEXT_CHARS])
    return found[1] if found else ""


def replacement(text: str, start: int, end: int, forms: dict[str, str]) -> str:
    """The lower-case form that replaces the pronoun at [start, end)."""
    word = text[start:end].lower()
    if word == "his" and stands_alone(text, start, end):
        return "hers"
    if word == "her" and is_object(text, end):
        return "him"
    return forms[word]


def next_word(text: str, end: int) -> str | None:
    """The word that follows across white space only; None: punctuation or the end of the text follows."""
    rest = text[end : end + CONTEXT_CHARS]
    stripped = rest.lstrip()
    if stripped == rest:
        return None
    found = re.match(r"[*_\"'“‘(]*([^\W_]+)", stripped)
    return found[1].lower() if found else None


def is_object(text: str, end: int) -> bool:
    """Whether the `her` that ends at `end` is an object: nothing, punctuation or a word of the stop list follows."""
    following = next_word(text, end)
    return following is None or following in OBJECT_STOP_LIST


def stands_alone(text: str, start: int, end: int) -> bool:
    """Whether the `his` at [start, end) has no noun: "is his" or "of his" ends a clause, or a copula follows."""
    following = next_word(text, end)
    before = word_before(text, start).lower().replace("’", "'")
    if following is None:
        return before in COPULAS or before in {"of", "than", "as", "like", "and", "not"}
    return following in {"is", "was", "are", "were"} and before not in {"of"}


def with_case(word: str, model: str) -> str:
    """`word` in the case of `model`: lower, Title or UPPER."""
    if model.islower():
        return word
    return word.upper() if model.isupper() else word.title()
