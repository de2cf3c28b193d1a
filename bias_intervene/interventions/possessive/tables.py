"""Tables that decide which role `her` and `his` have.

Input: `her` or `his`, and its three neighbours. Output: its role. `her` is a determiner ("her keys", masculine `his`)
or an object ("saw her", `him`); `his` is a determiner (`her`) or stands alone ("the fault is his", `hers`). Guarantees:
the decision depends on the three neighbours alone and is a sum of table entries, so that it can be read, saved, and
applied to token ids.

`WORD_LISTS` are tables made by hand from the lists of the lexicon; `possessive.fit` fits better ones on the corpus that
is about to be altered.
"""

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from bias_intervene.errors import DataError
from bias_intervene.interventions.lexicon import (
    AFTER_ALONE,
    AFTER_DOUBLE_GENITIVE,
    BRINGING_VERBS,
    COPULAS,
    OBJECT_STOP_LIST,
    PAST_FORMS,
)
from bias_intervene.interventions.possessive.reading import END, MARK, NUMBER, WORD, Neighbours, is_word

POSSESSIVES = "possessives.json"
"""The file of a run directory that holds the tables in use."""
SLOTS = ("before", "after", "second")
AMBIGUOUS = ("her", "his")
MARKED_ROLE = {"her": "object", "his": "alone"}
"""word -> the role that a positive score means; a negative one means determiner."""


@dataclass(frozen=True)
class Table:
    """Log-odds of the marked role: `bias` plus one entry for each neighbour."""

    bias: float
    entries: dict[str, dict[str, float]]
    """slot -> neighbour -> nats. Neighbours that are not listed have the entry WORD or MARK."""

    def score(self, neighbours: Neighbours) -> float:
        """Log-odds in nats; above 0 the marked role."""
        return self.bias + sum(self.entry(slot, key) for slot, key in zip(SLOTS, neighbours, strict=True))

    def entry(self, slot: str, key: str) -> float:
        """What one neighbour adds to the score."""
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

    def role(self, word: str, neighbours: Neighbours) -> str | None:
        """Role of `word` (her, his) between its neighbours. None: the score lies within the margin."""
        score = self.tables[word].score(neighbours)
        if abs(score) < self.margin:
            return None
        return MARKED_ROLE[word] if score > 0 else "determiner"

    def to_json(self) -> dict[str, Any]:
        """The content of possessives.json."""
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

    def summary(self) -> dict[str, Any]:
        """What record.json holds of them."""
        return {"fingerprint": self.fingerprint, "num_contexts": self.num_contexts, "notices": list(self.notices)}

    @classmethod
    def load(cls, path: Path) -> Self:
        """The tables of a file that holds `to_json`. Raises `DataError` where the file holds no such tables."""
        try:
            values = json.loads(path.read_text(encoding="utf-8-sig"))
            tables = {word: _read_table(values["tables"][word]) for word in AMBIGUOUS}
            num_contexts = {word: int(values["num_contexts"][word]) for word in AMBIGUOUS}
            notices, margin = tuple(map(str, values["notices"])), float(values["margin"])
            return cls(tables=tables, num_contexts=num_contexts, notices=notices, margin=margin)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"intervention.possessives: {path} is no {POSSESSIVES} of a run ({error!r}); allowed: fit, words, or "
                "the path of one"
            ) from None


def _read_table(values: dict[str, Any]) -> Table:
    """One table of the file. Raises KeyError or ValueError."""
    entries = {slot: {key: float(value) for key, value in values[slot].items()} for slot in SLOTS}
    numbers = [float(values["bias"]), *(value for slot in entries.values() for value in slot.values())]
    if not all(map(math.isfinite, numbers)):
        raise ValueError("a weight is not finite")
    for slot in SLOTS:
        for key in (WORD, MARK, NUMBER, END):
            _ = entries[slot][key]
    return Table(bias=float(values["bias"]), entries=entries)


def _entries_of(*groups: tuple[Iterable[str], float], word: float, mark: float, end: float) -> dict[str, float]:
    """Neighbour -> nats; a word of several groups gets their first."""
    entries = {WORD: word, MARK: mark, NUMBER: word, END: end}
    for words, weight in groups:
        for key in words:
            entries.setdefault(key, weight)
    return {key: float(weight) for key, weight in entries.items()}


_NOTHING = _entries_of(word=0, mark=0, end=0)
_OPENING_MARKS = (' "', " “", " ‘", " '", " *", " _")

WORD_LISTS = Possessives(
    tables={
        # An object before nothing, a mark or a word of the stop list, and in "sent her home".
        "her": Table(
            bias=-2.0,
            entries={
                "before": _entries_of((sorted(BRINGING_VERBS), 1.5), word=0, mark=0, end=0),
                "after": _entries_of(
                    (("home",), 1), (sorted(OBJECT_STOP_LIST), 4), (_OPENING_MARKS, 0), word=0, mark=4, end=4
                ),
                "second": _NOTHING,
            },
        ),
        # Alone where two things agree: "is his.", "of his.", "is his and", "of his called", but not "of his in-laws";
        # or in "his is".
        "his": Table(
            bias=-3.0,
            entries={
                "before": _entries_of((sorted(COPULAS), 2), (("of",), 1.5), word=0, mark=0, end=0),
                "after": _entries_of(
                    (("is", "was", "are", "were"), 4),
                    (sorted(PAST_FORMS | AFTER_DOUBLE_GENITIVE), 2),
                    (sorted(AFTER_ALONE), 1.5),
                    (_OPENING_MARKS, 0),
                    word=0,
                    mark=2,
                    end=2,
                ),
                "second": _entries_of((("-",), -3), word=0, mark=0, end=0),
            },
        ),
    },
    num_contexts=dict.fromkeys(AMBIGUOUS, 0),
)
"""The decision without a fit: the stop list for `her`, copulas and `of` for `his`."""
