"""The swap as a rule over words: readable, pure, the reference that any faster form must equal.

Enters: text and a direction. Leaves: the text with its pronouns swapped, every swap with its place, and every
pronoun that was left alone with the reason. Promised: nothing but the pronouns changes; case is kept; what is no
whole-word pronoun (history, his_var, hé, he-man, a path) stays.

The rule. A pronoun is a form of the lexicon whose neighbours are no letters, digits, combining marks or underscores
(_he_ as emphasis counts as a pronoun). Lower, Title and UPPER case are swapped, others left. UPPER forms need an
upper-case neighbour, or they are an acronym (HIS, HER). Left alone, each counted: compounds that begin with the pronoun
(he-man, HER-2); code and paths (obj.his, x=her, /he/); s/he and (s)he, and, but for `both`, coordinations that already
name both (he or she); pronouns in a text of another language (Spanish `he`, Danish `her`): one with enough words around
to judge, of which fewer than four are common English ones.
"""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field

from bias_intervene.interventions.lexicon import (
    AFTER_ALONE,
    BRINGING_VERBS,
    COPULAS,
    DIRECTIONS,
    FIXED_ROLE,
    FUNCTION_WORDS,
    GENDER,
    INDEFINITES,
    LANGUAGE_MINIMUM_HITS,
    LANGUAGE_MINIMUM_WORDS,
    LANGUAGE_WINDOW_WORDS,
    OBJECT_STOP_LIST,
    PAST_FORMS,
    ROLES,
)

MASCULINE = "|".join(sorted(dict.fromkeys(ROLES["masculine"].values()), key=len, reverse=True))
FEMININE = "|".join(sorted(dict.fromkeys(ROLES["feminine"].values()), key=len, reverse=True))

PRONOUN = re.compile(rf"(?<![^\W_])(?:{MASCULINE}|{FEMININE})(?![^\W_])", re.IGNORECASE)
COORDINATION = re.compile(
    rf"\b(?:(?:{MASCULINE})(?:\s+or\s+|\s?/\s?)(?:{FEMININE})|(?:{FEMININE})(?:\s+or\s+|\s?/\s?)(?:{MASCULINE}))\b",
    re.IGNORECASE,
)
EITHER = re.compile(r"\bs/he\b|\(s\)he\b", re.IGNORECASE)
"""Spellings of "she or he" in one word."""
CONTRACTION = re.compile(r"['’](?:s|d|ll|ve|re)\b(?:['’]ve\b)?", re.IGNORECASE)
WORD_BEFORE = re.compile(r"([^\W_]+(?:['’][^\W_]+)*)[^\w\n]*$")
WORD_AFTER = re.compile(r"[^\w\n]*([^\W_]+)")
WORD = re.compile(r"[^\W\d_]+")
DOUBLE_GENITIVE = re.compile(r"([^\W_]+)\s+[^\W_]+(?:\s+[^\W_]+)?\s+of\s+$")
CONTEXT_CHARS = 64
"""How far a neighbouring word is looked for."""
LANGUAGE_CHARS = 512
"""How far the words that tell a language are looked for."""


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
    """Swaps the pronouns of `text`. direction: a key of `lexicon.DIRECTIONS`.

    >>> swap_text("The nurse said he lost his keys; the fault is his.", "masculine_to_feminine").text
    'The nurse said she lost her keys; the fault is hers.'
    """
    genders = DIRECTIONS[direction]
    patterns = (EITHER,) if direction == "both" else (EITHER, COORDINATION)
    coordinated = [match.span() for pattern in patterns for match in pattern.finditer(text)]
    swaps: list[Swap] = []
    skipped: Counter[str] = Counter()
    for match in PRONOUN.finditer(text):
        word, (start, end) = match[0], match.span()
        target = genders.get(GENDER[word.lower()])
        if target is None or is_part_of_word(text, start, end):
            continue
        reason = reason_to_keep(text, start, end, coordinated)
        if reason is not None:
            skipped[reason] += 1
            continue
        swaps.append(Swap(start, end, word, with_case(ROLES[target][role(text, start, end)], word)))
    return Swapped(text=apply(text, swaps), swaps=swaps, skipped=skipped)


def apply(text: str, swaps: list[Swap]) -> str:
    """`text` with ascending, disjoint `swaps` applied."""
    parts: list[str] = []
    at = 0
    for swap in swaps:
        parts += (text[at : swap.start], swap.after)
        at = swap.end
    return "".join([*parts, text[at:]])


# --- is it a pronoun, and one to swap? -------------------------------------------------------------------------


def is_part_of_word(text: str, start: int, end: int) -> bool:
    """Whether a combining mark or an underscore that is no emphasis touches the form at [start, end)."""
    before, after = text[start - 1 : start], text[end : end + 1]
    is_mark = bool(after) and unicodedata.category(after).startswith("M")
    return is_mark or ((before == "_" or after == "_") and not is_emphasis(text, start, end))


def is_emphasis(text: str, start: int, end: int) -> bool:
    """_he_ with nothing of a word outside the underscores."""
    outside = text[max(0, start - 2) : start - 1] + text[end + 1 : end + 2]
    return (
        start > 0
        and text[start - 1] == "_"
        and text[end : end + 1] == "_"
        and not any(character.isalnum() or character == "_" for character in outside)
    )


def reason_to_keep(text: str, start: int, end: int, coordinated: list[tuple[int, int]]) -> str | None:
    """Why the whole word at [start, end) is not swapped; None: it is."""
    word = text[start:end]
    if any(low <= start < high for low, high in coordinated):
        return "coordination"
    if is_compound(text, start, end):
        return "hyphen compound"
    if is_code(text, start, end):
        return "code or path"
    if not (word.islower() or word.istitle() or word.isupper()):
        return "mixed case"
    if word.isupper() and not has_upper_neighbour(text, start, end):
        return "lone upper case"
    if is_other_language(text, start, end):
        return "other language"
    return None


def is_compound(text: str, start: int, end: int) -> bool:
    """A hyphen compound that begins with the pronoun: he-man, HER-2; not down-on-his-luck."""
    begins = text[start - 1 : start] != "-" or not text[max(0, start - 2) : start - 1].isalnum()
    return begins and text[end : end + 1] == "-" and text[end + 1 : end + 2].isalnum()


def is_code(text: str, start: int, end: int) -> bool:
    """Characters that touch identifiers, addresses and paths: /he/, x=her, $his, his(1), obj.his, his.name."""
    before, after = text[start - 1 : start], text[end : end + 1]
    if before in {"/", "\\", "=", "$", "@", "#"} or after in {"/", "\\", "=", "(", "@"}:
        return True
    beyond = text[end + 1 : end + 2]
    attribute = after == "." and (beyond.islower() or beyond.isdigit() or beyond == "_")
    member = before == "." and text[start:end].islower() and text[max(0, start - 2) : start - 1].isalnum()
    return attribute or member


def has_upper_neighbour(text: str, start: int, end: int) -> bool:
    """Whether the word before or after is upper-case and longer than a letter."""
    contraction = CONTRACTION.match(text, end)
    neighbours = (word_before(text, start), word_after(text, contraction.end() if contraction else end))
    return any(len(word) > 1 and word.isupper() for word in neighbours)


def is_other_language(text: str, start: int, end: int) -> bool:
    """Whether there are words enough around to judge, and too few of them are English."""
    before = WORD.findall(text[max(0, start - LANGUAGE_CHARS) : start])[-LANGUAGE_WINDOW_WORDS:]
    after = WORD.findall(text[end : end + LANGUAGE_CHARS])[:LANGUAGE_WINDOW_WORDS]
    words = [word.lower() for word in (*before, *after)]
    english = sum(word in FUNCTION_WORDS for word in words)
    return len(words) >= LANGUAGE_MINIMUM_WORDS and english < LANGUAGE_MINIMUM_HITS


# --- which role does it have? ----------------------------------------------------------------------------------


def role(text: str, start: int, end: int) -> str:
    """Role of the pronoun at [start, end): subject, object, determiner, alone or reflexive."""
    word = text[start:end].lower()
    if word == "his":
        return "alone" if stands_alone(text, start, end) else "determiner"
    if word == "her":
        return "object" if is_object(text, start, end) else "determiner"
    return FIXED_ROLE[word]


def is_object(text: str, start: int, end: int) -> bool:
    """Whether `her` is an object: nothing, punctuation or a word of the stop list follows, or "sent her home"."""
    following = next_word(text, end)
    if following is None or following in OBJECT_STOP_LIST:
        return True
    return following == "home" and word_before(text, start).lower() in BRINGING_VERBS


def stands_alone(text: str, start: int, end: int) -> bool:
    """Whether `his` has no noun: "is his." and "of his." end a clause, a copula or the verb of its noun follows."""
    following = next_word(text, end)
    before = word_before(text, start).lower().replace("’", "'")
    if following is None:
        return before in COPULAS or before in {"of", "than", "as", "like", "and", "not"}
    if before == "of":
        return has_verb_after_genitive(text, start, following)
    return following in {"is", "was", "are", "were"} or (before in COPULAS and following in AFTER_ALONE)


def has_verb_after_genitive(text: str, start: int, following: str) -> bool:
    """Whether "of his" closes a double genitive ("a cousin of his called") and no noun follows."""
    opened = DOUBLE_GENITIVE.search(text[max(0, start - CONTEXT_CHARS) : start])
    if opened is None or opened[1].lower() not in INDEFINITES:
        return False
    return following in PAST_FORMS or following in OBJECT_STOP_LIST or following.endswith("ed")


def next_word(text: str, end: int) -> str | None:
    """The word that follows across white space only; None: punctuation or the end of the text follows."""
    rest = text[end : end + CONTEXT_CHARS]
    stripped = rest.lstrip()
    if stripped == rest:
        return None
    found = re.match(r"[*_\"'“‘(]*([^\W_]+)", stripped)
    return found[1].lower() if found else None


def word_before(text: str, start: int) -> str:
    """The word before `start` on the same line, or ''."""
    found = WORD_BEFORE.search(text[max(0, start - CONTEXT_CHARS) : start])
    return found[1] if found else ""


def word_after(text: str, end: int) -> str:
    """The word after `end` on the same line, or ''."""
    found = WORD_AFTER.match(text[end : end + CONTEXT_CHARS])
    return found[1] if found else ""


def with_case(word: str, model: str) -> str:
    """`word` in the case of `model`: lower, Title or UPPER."""
    if model.islower():
        return word
    return word.upper() if model.isupper() else word.title()
