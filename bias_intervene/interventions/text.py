"""The swap as a rule over words: readable, pure, and the reference that any faster form must equal.

Input: a text and a direction. Output: the text with its pronouns swapped, every swap with its place, and every pronoun
that was left alone with the reason. Guarantees: nothing but the pronouns changes; case is kept; whatever is no
whole-word pronoun (history, his_var, hé, he-man, a path) stays.

The rule. A pronoun is a form of the lexicon whose neighbours are no letters, digits, combining marks or underscores
(_he_ as emphasis counts as a pronoun). Lower, Title and UPPER case are swapped, others left. UPPER forms need an
upper-case neighbour, or they are an acronym (HIS, HER). Left alone, each counted: compounds that begin with the pronoun
(he-man, HER-2); code and paths (obj.his, x=her, /he/); s/he and (s)he, and, but for `both`, coordinations that already
name both (he or she); pronouns in a text of another language (Spanish `he`, Danish `her`): one with enough words around
to judge, of which fewer than four are common English ones.
"""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bias_intervene.interventions.lexicon import (
    DIRECTIONS,
    DOCUMENT_MARKS,
    FIXED_ROLE,
    FUNCTION_WORDS,
    LANGUAGE_MINIMUM_FUNCTION_WORDS,
    LANGUAGE_MINIMUM_WORDS,
    LANGUAGE_WINDOW_WORDS,
)
from bias_intervene.interventions.possessive import CONTEXT_CHARS, WORD_LISTS, Possessives, neighbours
from bias_intervene.pronouns import ANY_SPELLING, GENDER, PRONOUN, ROLES, is_part_of_word, with_case

_LINK = r"(?:\s{1,32}(?:or|OR)\s{1,32}|\s?/\s?)"
_LINKED_BEFORE = re.compile(rf"\b({ANY_SPELLING}){_LINK}$")
_LINKED_AFTER = re.compile(rf"{_LINK}({ANY_SPELLING})\b")
"""The other half of "he or she"."""
_EITHER_BEFORE = re.compile(r"(?:\b[sS]/|\([sS]\))$")
_EITHER_CHARS = 8
"""Characters searched for the first half of s/he and (s)he: a search through all that precedes would be slow."""
CODE_MARKS_BEFORE, CODE_MARKS_AFTER = frozenset("/\\=$@#"), frozenset("/\\=(@")
"""Marks that touch identifiers, addresses and paths."""
CONTRACTION = re.compile(r"['’](?:s|d|ll|ve|re)\b(?:['’]ve\b)?", re.IGNORECASE)
_WORD_BEFORE = re.compile(r"[^\w\n]*([^\W_]+(?:['’][^\W_]+)*)")
"""In the text read from its end, so that the rest of it is not searched."""
_WORD_AFTER = re.compile(r"[^\w\n]*([^\W_]+)")
WORD = re.compile(r"[^\W\d_]+")


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
    """A text after the swap, and what was changed in it."""

    text: str
    swaps: list[Swap]
    skipped: Counter[str] = field(default_factory=Counter[str])
    """Pronouns of the direction left alone, by reason."""


def swap_text(
    text: str,
    direction: str,
    possessives: Possessives = WORD_LISTS,
    *,
    is_cut: bool = False,
    marks: Sequence[str] = DOCUMENT_MARKS,
) -> Swapped:
    """Swaps the pronouns of `text`.

    direction: a key of `lexicon.DIRECTIONS`. possessives: decides between her and hers, his and him. is_cut: the text
    was cut from a longer one, so a pronoun it begins with may be the tail of a word and is left. marks: strings that
    end a document; one document is no context for the next.

    >>> swap_text("The nurse said he lost his keys; the fault is his.", "masculine_to_feminine").text
    'The nurse said she lost her keys; the fault is hers.'
    """
    swaps: list[Swap] = []
    skipped: Counter[str] = Counter()
    for at, document in _documents(text, marks):
        for start, end, after in _hits(document, direction, possessives, is_cut=is_cut and at == 0):
            if after in _REASONS:
                skipped[after] += 1
            else:
                swaps.append(Swap(at + start, at + end, document[start:end], after))
    return Swapped(text=apply(text, swaps), swaps=swaps, skipped=skipped)


def _documents(text: str, marks: Sequence[str]) -> Iterator[tuple[int, str]]:
    """(where it begins, text) of what stands between the marks."""
    at = 0
    if marks:
        for match in re.finditer("|".join(map(re.escape, marks)), text):
            yield at, text[at : match.start()]
            at = match.end()
    yield at, text[at:]


def _hits(text: str, direction: str, possessives: Possessives, *, is_cut: bool) -> Iterator[tuple[int, int, str]]:
    """(start, end, what replaces it or the reason why nothing does) of each pronoun of the direction."""
    language: TextLanguage | None = None
    for match in PRONOUN.finditer(text):
        start, end = match.span()
        outcome = judge(text, start, end, direction, possessives)
        if outcome is None:
            continue
        language = language or TextLanguage(text)
        if is_cut and start == 0:
            outcome = "row edge"
        elif outcome not in LOCAL_REASONS and language.is_other(start, end):
            outcome = "other language"
        yield start, end, outcome


def judge(text: str, start: int, end: int, direction: str, possessives: Possessives) -> str | None:
    """What replaces the form at [start, end), or one of LOCAL_REASONS; None: it is no pronoun of the direction.

    Looks at CONTEXT_CHARS on either side at most, so a window of a text that holds them gives the same.
    """
    word = text[start:end]
    target = DIRECTIONS[direction].get(GENDER[word.lower()])
    if target is None or is_part_of_word(text, start, end):
        return None
    reason = _reason_to_keep(text, start, end, direction)
    if reason is not None:
        return reason
    role = _role_of(text, start, end, possessives)
    return "unsure role" if role is None else with_case(ROLES[target][role], word)


def num_pronouns(text: str, direction: str) -> int:
    """Number of pronouns of the direction in `text`, whatever becomes of them.

    >>> num_pronouns("The history of his boat: he sank her himself.", "masculine_to_feminine")
    3
    """
    return sum(judge(text, *match.span(), direction, WORD_LISTS) is not None for match in PRONOUN.finditer(text))


LOCAL_REASONS = ("coordination", "hyphen compound", "code or path", "lone upper case", "unsure role")
_REASONS = (*LOCAL_REASONS, "row edge", "other language")
"""Why a pronoun is left alone."""


def apply(text: str, swaps: list[Swap]) -> str:
    """`text` with ascending, disjoint `swaps` applied."""
    parts: list[str] = []
    at = 0
    for swap in swaps:
        parts += (text[at : swap.start], swap.after)
        at = swap.end
    return "".join([*parts, text[at:]])


# --- is it a pronoun, and one to swap? -------------------------------------------------------------------------


def _reason_to_keep(text: str, start: int, end: int, direction: str) -> str | None:
    """Why the whole word at [start, end) is left alone, judged by its neighbourhood. None: it is swapped."""
    word = text[start:end]
    if _is_coordinated(text, start, end, direction):
        return "coordination"
    if _is_compound(text, start, end):
        return "hyphen compound"
    if _is_code(text, start, end):
        return "code or path"
    if word.isupper() and not _has_upper_neighbour(text, start, end):
        return "lone upper case"
    return None


def _is_coordinated(text: str, start: int, end: int, direction: str) -> bool:
    """Half of s/he or (s)he; and, but for `both`, of "he or she" and "he/she"."""
    gender, before = GENDER[text[start:end].lower()], text[max(0, start - CONTEXT_CHARS) : start]
    if _EITHER_BEFORE.search(before[-_EITHER_CHARS:]):
        return True
    if direction == "both":
        return False
    # The search is slow, and few pronouns follow such a word.
    is_linked = before.rstrip().endswith(("or", "OR", "/"))
    links = (_LINKED_BEFORE.search(before) if is_linked else None, _LINKED_AFTER.match(text, end))
    return any(link and GENDER[link[1].lower()] != gender for link in links)


def _is_compound(text: str, start: int, end: int) -> bool:
    """A hyphen compound that begins with the pronoun: he-man, HER-2; not down-on-his-luck."""
    begins = text[start - 1 : start] != "-" or not text[max(0, start - 2) : start - 1].isalnum()
    return begins and text[end : end + 1] == "-" and text[end + 1 : end + 2].isalnum()


def _is_code(text: str, start: int, end: int) -> bool:
    """Characters that touch identifiers, addresses and paths: /he/, x=her, $his, his(1), obj.his, his.name."""
    before, after = text[start - 1 : start], text[end : end + 1]
    if before in CODE_MARKS_BEFORE or after in CODE_MARKS_AFTER:
        return True
    beyond = text[end + 1 : end + 2]
    attribute = after == "." and (beyond.islower() or beyond.isdigit() or beyond == "_")
    member = before == "." and text[start:end].islower() and text[max(0, start - 2) : start - 1].isalnum()
    return attribute or member


def _has_upper_neighbour(text: str, start: int, end: int) -> bool:
    """Whether the word before or after is upper-case and longer than a letter."""
    contraction = CONTRACTION.match(text, end)
    neighbours = (_word_before(text, start), _word_after(text, contraction.end() if contraction else end))
    return any(len(word) > 1 and word.isupper() for word in neighbours)


class TextLanguage:
    """The words of a text, and which of them are common English ones: is the text around a place English?"""

    def __init__(self, text: str):
        self.starts: list[int] = []
        self.hits = [0]
        """hits[i]: function words among the first i words."""
        for match in WORD.finditer(text):
            self.starts.append(match.start())
            self.hits.append(self.hits[-1] + (match[0].lower() in FUNCTION_WORDS))

    def is_other(self, start: int, end: int) -> bool:
        """Whether the text around [start, end) has enough words to judge by, and too few common English ones."""
        own, after = bisect_left(self.starts, start), bisect_left(self.starts, end)
        low, high = max(0, own - LANGUAGE_WINDOW_WORDS), min(len(self.starts), after + LANGUAGE_WINDOW_WORDS)
        words = own - low + high - after
        english = self.hits[own] - self.hits[low] + self.hits[high] - self.hits[after]
        return words >= LANGUAGE_MINIMUM_WORDS and english < LANGUAGE_MINIMUM_FUNCTION_WORDS


# --- which role does it have, and how is it spelt? -------------------------------------------------------------


def _role_of(text: str, start: int, end: int, possessives: Possessives) -> str | None:
    """Role of the pronoun at [start, end): subject, object, determiner, alone or reflexive; None: unsure."""
    word = text[start:end].lower()
    fixed = FIXED_ROLE.get(word)
    return fixed if fixed is not None else possessives.role(word, neighbours(text, start, end))


def _word_before(text: str, start: int) -> str:
    """The word before `start` on the same line, or ''."""
    found = _WORD_BEFORE.match(text[max(0, start - CONTEXT_CHARS) : start][::-1])
    return found[1][::-1] if found else ""


def _word_after(text: str, end: int) -> str:
    """The word after `end` on the same line, or ''."""
    found = _WORD_AFTER.match(text[end : end + CONTEXT_CHARS])
    return found[1] if found else ""
