"""Which role `her` and `his` have, told by their neighbours.

Enters: text, and the place of a pronoun in it. Leaves: its role: `her` is a determiner ("her keys", masculine `his`) or
an object ("saw her", `him`); `his` is a determiner (`her`) or stands alone ("the fault is his", `hers`). Promised: the
decision depends on three neighbours and nothing else (the word or mark before, and the two after), by a sum of table
entries, so that it can be read, saved, and applied to token ids.

The tables are fitted without labels, on the corpus that is about to be altered. English spells the same distinction
apart elsewhere: `him them me us` against `his their my our` stand where `her` would, `hers theirs ours yours` against
`their our your my` where `his` would. A logistic regression over the three neighbours is fitted on those and applied
to `her` and `his`. Its weights are drawn to those of the word lists, which decide alone where there is too little text.
"""

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import expit, log_expit

from bias_intervene.errors import DataError
from bias_intervene.interventions.lexicon import (
    AFTER_ALONE,
    BRINGING_VERBS,
    COPULAS,
    OBJECT_STOP_LIST,
    PAST_FORMS,
)

WORD, MARK, NUMBER, END = "<word>", "<mark>", "<number>", "<end>"
"""Neighbours without an entry of their own: a rare word, a rare mark, a number, the end of text or paragraph."""
SLOTS = ("before", "after", "second")
AMBIGUOUS = ("her", "his")
MARKED_ROLE = {"her": "object", "his": "alone"}
"""word -> the role that a positive score means; a negative one means determiner."""

LABELS = {
    "her": (("him", "them", "me", "us"), ("his", "their", "my", "our")),
    "his": (("hers", "theirs", "ours", "yours"), ("their", "our", "your", "my")),
}
"""word -> (forms that spell its marked role apart, forms of the determiner)."""
MINIMUM_CONTEXTS = 50
"""With fewer contexts of the marked role than this the word lists decide."""
MAX_CONTEXTS = 200_000
"""Contexts read for one word; more change little and take memory."""
MINIMUM_COUNT = 3
"""Neighbours seen less often share the entry of the rare ones."""
PENALTY = 0.5
"""Half the squared distance of the weights to those of the word lists counts this much, in nats."""


class Neighbours(NamedTuple):
    """What stands beside a pronoun; lower-case words, marks, or one of WORD, MARK, NUMBER, END."""

    before: str
    after: str
    second: str


# --- reading neighbours in text --------------------------------------------------------------------------------


def neighbours(text: str, start: int, end: int) -> Neighbours:
    """The neighbours of the word at [start, end).

    >>> neighbours("They sent her home, at noon.", 10, 13)
    Neighbours(before='sent', after='home', second=',')
    """
    after, at = following(text, end)
    second = following(text, at)[0] if is_word(after) else END
    return Neighbours(preceding(text, start), after, second)


def following(text: str, at: int) -> tuple[str, int]:
    """(the word or mark that follows `at`, where it ends). A mark after white space keeps one space in its name."""
    first = at
    while first < len(text) and text[first].isspace():
        first += 1
    if first == len(text) or text.count("\n", at, first) > 1:
        return END, first
    if not text[first].isalnum():
        return (" " if first > at else "") + text[first], first + 1
    last = first
    while last < len(text) and text[last].isalnum():
        last += 1
    return named(text[first:last]), last


def is_word(key: str) -> bool:
    """Whether a neighbour is a word or number and no mark."""
    return key[0].isalpha() or key in (WORD, NUMBER)


def preceding(text: str, at: int) -> str:
    """The word or mark before `at`, whatever the space between."""
    last = at
    while last > 0 and text[last - 1].isspace():
        last -= 1
    if last == 0 or text.count("\n", last, at) > 1:
        return END
    if not text[last - 1].isalnum():
        return text[last - 1]
    first = last
    while first > 0 and text[first - 1].isalnum():
        first -= 1
    return named(text[first:last])


def named(word: str) -> str:
    """Name of a run of letters and digits."""
    if not word[0].isalpha():
        return NUMBER
    return word.lower() if word.isascii() else WORD


# --- deciding --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """Log-odds of the marked role: `bias` plus one entry for each neighbour."""

    bias: float
    entries: dict[str, dict[str, float]]
    """slot -> neighbour -> nats. Neighbours that are not listed have the entry WORD or MARK."""

    def score(self, found: Neighbours) -> float:
        """Log-odds in nats; above 0 the marked role."""
        return self.bias + sum(self.entry(slot, key) for slot, key in zip(SLOTS, found, strict=True))

    def entry(self, slot: str, key: str) -> float:
        """One addend."""
        entries = self.entries[slot]
        return entries[key] if key in entries else entries[WORD if is_word(key) else MARK]


@dataclass(frozen=True)
class Possessives:
    """One table for each ambiguous word, and what they were fitted on."""

    tables: dict[str, Table]
    num_contexts: dict[str, int]
    """word -> contexts its table was fitted on; 0: the word lists."""
    notices: tuple[str, ...] = ()
    """Why a table was not fitted."""
    margin: float = 0.0
    """Nats: a word whose log-odds are closer to even than this is left alone."""

    def role(self, word: str, found: Neighbours) -> str | None:
        """Role of `word` (her, his) between `found`; None: within the margin."""
        score = self.tables[word].score(found)
        if abs(score) < self.margin:
            return None
        return MARKED_ROLE[word] if score > 0 else "determiner"

    def to_json(self) -> dict[str, Any]:
        """What `save` writes."""
        tables = {word: {"bias": table.bias, **table.entries} for word, table in self.tables.items()}
        return {
            "num_contexts": self.num_contexts,
            "notices": list(self.notices),
            "margin": self.margin,
            "tables": tables,
        }

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of the tables."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Writes the tables as JSON."""
        path.write_text(json.dumps(self.to_json(), indent=1, sort_keys=True, ensure_ascii=False), encoding="utf8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """The tables that `save` wrote. Raises `DataError` where the file holds no such tables."""
        try:
            values = json.loads(path.read_text(encoding="utf8"))
            tables = {word: read_table(values["tables"][word]) for word in AMBIGUOUS}
            num_contexts = {word: int(values["num_contexts"][word]) for word in AMBIGUOUS}
            notices, margin = tuple(map(str, values["notices"])), float(values["margin"])
            return cls(tables=tables, num_contexts=num_contexts, notices=notices, margin=margin)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: not a table of possessives as a run writes it ({error!r})") from None


def read_table(values: dict[str, Any]) -> Table:
    """One table of the file. Raises KeyError or ValueError."""
    entries = {slot: {key: float(value) for key, value in values[slot].items()} for slot in SLOTS}
    numbers = [float(values["bias"]), *(value for slot in entries.values() for value in slot.values())]
    if not all(map(math.isfinite, numbers)):
        raise ValueError("a weight is not finite")
    for slot in SLOTS:
        for key in (WORD, MARK, NUMBER, END):
            _ = entries[slot][key]
    return Table(bias=float(values["bias"]), entries=entries)


def entries_of(*groups: tuple[Iterable[str], float], word: float, mark: float, end: float) -> dict[str, float]:
    """Neighbour -> nats; a word of several groups gets their first."""
    entries = {WORD: word, MARK: mark, NUMBER: word, END: end}
    for words, weight in groups:
        for key in words:
            entries.setdefault(key, weight)
    return entries


NOTHING = entries_of(word=0, mark=0, end=0)
OPENING_MARKS = (' "', " “", " ‘", " '", " *", " _")

WORD_LISTS = Possessives(
    tables={
        # An object before nothing, a mark or a word of the stop list, and in "sent her home".
        "her": Table(
            bias=-2,
            entries={
                "before": entries_of((sorted(BRINGING_VERBS), 1.5), word=0, mark=0, end=0),
                "after": entries_of(
                    (("home",), 1), (sorted(OBJECT_STOP_LIST), 4), (OPENING_MARKS, 0), word=0, mark=4, end=4
                ),
                "second": NOTHING,
            },
        ),
        # Alone where two things agree: "is his.", "of his.", "is his and", "of his called"; or in "his is".
        "his": Table(
            bias=-3,
            entries={
                "before": entries_of((sorted(COPULAS), 2), (("of",), 1.5), word=0, mark=0, end=0),
                "after": entries_of(
                    (("is", "was", "are", "were"), 4),
                    (sorted(AFTER_ALONE), 1.5),
                    (sorted(PAST_FORMS), 2),
                    (OPENING_MARKS, 0),
                    word=0,
                    mark=2,
                    end=2,
                ),
                "second": NOTHING,
            },
        ),
    },
    num_contexts=dict.fromkeys(AMBIGUOUS, 0),
)
"""The decision without a fit: the stop list for `her`, copulas and `of` for `his`."""


# --- fitting ---------------------------------------------------------------------------------------------------


def fit(texts: Iterable[str]) -> Possessives:
    """Tables fitted on `texts`; the same texts give the same tables.

    A word with fewer than MINIMUM_CONTEXTS of its marked role keeps the word lists, and a notice says so.
    """
    tables: dict[str, Table] = {}
    num_contexts: dict[str, int] = {}
    notices: list[str] = []
    for word, found in contexts(texts).items():
        marked = sum(is_marked for _, is_marked in found)
        enough = MINIMUM_CONTEXTS <= marked < len(found)
        tables[word] = fit_table(WORD_LISTS.tables[word], found) if enough else WORD_LISTS.tables[word]
        num_contexts[word] = len(found) if enough else 0
        if not enough:
            notices.append(
                f"{word}: too little text to fit its role ({marked} of {', '.join(LABELS[word][0])} found, "
                f"{MINIMUM_CONTEXTS} needed); the word lists decide"
            )
    return Possessives(tables=tables, num_contexts=num_contexts, notices=tuple(notices))


def contexts(texts: Iterable[str]) -> dict[str, list[tuple[Neighbours, bool]]]:
    """word -> (neighbours, whether of its marked role) for each form that tells, at most MAX_CONTEXTS of a word."""
    forms = sorted({form for kinds in LABELS.values() for kind in kinds for form in kind}, key=len, reverse=True)
    pattern = re.compile(rf"(?<![^\W_])(?:{'|'.join(forms)})(?![^\W_])", re.IGNORECASE | re.ASCII)
    found: dict[str, list[tuple[Neighbours, bool]]] = {word: [] for word in AMBIGUOUS}
    for text in texts:
        for match in pattern.finditer(text):
            form, place = match[0].lower(), neighbours(text, *match.span())
            for word, (marked, determiners) in LABELS.items():
                if (form in marked or form in determiners) and len(found[word]) < MAX_CONTEXTS:
                    found[word].append((place, form in marked))
    return found


def fit_table(prior: Table, found: Sequence[tuple[Neighbours, bool]]) -> Table:
    """Logistic regression of the marked role on the three neighbours, drawn to `prior`: the bias is free."""
    columns: dict[tuple[str, str], int] = {}
    for index, slot in enumerate(SLOTS):
        counts = Counter(place[index] for place, _ in found)
        frequent = sorted(key for key, count in counts.items() if count >= MINIMUM_COUNT)
        for key in dict.fromkeys([*prior.entries[slot], *frequent]):
            columns[slot, key] = len(columns)
    rare = {(slot, is_mark): columns[slot, MARK if is_mark else WORD] for slot in SLOTS for is_mark in (False, True)}
    used = np.array(
        [
            [columns.get((slot, key), rare[slot, not is_word(key)]) for slot, key in zip(SLOTS, place, strict=True)]
            for place, _ in found
        ]
    )
    starts = np.arange(0, used.size + 1, len(SLOTS))
    design = csr_matrix((np.ones(used.size), used.ravel(), starts), shape=(len(found), len(columns)))
    sign = np.where([is_marked for _, is_marked in found], 1.0, -1.0)
    origin = np.array([*(prior.entry(slot, key) for slot, key in columns), prior.bias])

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        """Negative log-likelihood and penalty in nats, and the gradient."""
        margin = (design @ weights[:-1] + weights[-1]) * sign
        away = weights - origin
        away[-1] = 0
        slope = -sign * expit(-margin)
        gradient = np.append(design.T @ slope, slope.sum()) + PENALTY * away
        return float(-log_expit(margin).sum() + PENALTY / 2 * (away @ away)), gradient

    weights = minimize(loss, origin, jac=True, method="L-BFGS-B").x.tolist()
    entries: dict[str, dict[str, float]] = {slot: {} for slot in SLOTS}
    for (slot, key), column in columns.items():
        entries[slot][key] = weights[column]
    return Table(bias=weights[-1], entries=entries)
