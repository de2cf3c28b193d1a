"""Fits the tables that decide the role of `her` and `his`, on a corpus without labels.

Input: texts, or stored rows and their tokenizer. Output: `Possessives`. Guarantees: the same texts give the same
tables; a word whose marked role is too rare in them keeps its word list, and a notice says so.

Other English pronouns have a form of their own for each role: `him them me us` and `his their my our` stand where `her`
would, `hers theirs ours yours` and `their our your my` where `his` would. A logistic regression on the three neighbours
is fitted on those and applied to `her` and `his`. The penalty pulls its weights towards those of the word lists, so a
neighbour that the corpus never shows keeps the entry it has there.
"""

# pyright: standard
# SciPy has no types.

import re
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import expit, log_expit
from tokenizers import Tokenizer

from bias_intervene.interventions.possessive import (
    AMBIGUOUS,
    SLOTS,
    WORD_LISTS,
    Neighbours,
    Possessives,
    Table,
    neighbours,
)

_LABELS = {
    "her": (("him", "them", "me", "us"), ("his", "their", "my", "our")),
    "his": (("hers", "theirs", "ours", "yours"), ("their", "our", "your", "my")),
}
"""word -> (forms that only have its marked role, forms that only are determiners)."""
_FIT_TOKENS = 2_000_000
"""Tokens of stored rows that are read: more of them change the tables little and take longer."""
MINIMUM_CONTEXTS = 50
"""With fewer contexts of the marked role than this the word lists decide."""
_MAX_CONTEXTS = 200_000
"""Contexts read for one word: more of them change the tables little and take memory."""
_PENALTY = 0.2
"""Half the squared distance of the weights to those of the word lists counts this much, in nats. Less of it restores
more pronouns when both are swapped twice, more of it is better on text unlike the corpus; between 0.1 and 0.5 either
changes by half a point."""


def fit(texts: Iterable[str]) -> Possessives:
    """Tables fitted on `texts`; the same texts give the same tables.

    A word with fewer than MINIMUM_CONTEXTS of its marked role keeps the word lists, and a notice says so.
    """
    tables: dict[str, Table] = {}
    num_contexts: dict[str, int] = {}
    notices: list[str] = []
    for word, labelled in contexts(texts).items():
        marked = sum(is_marked for _, is_marked in labelled)
        enough = MINIMUM_CONTEXTS <= marked < len(labelled)
        tables[word] = _fit_table(WORD_LISTS.tables[word], labelled) if enough else WORD_LISTS.tables[word]
        num_contexts[word] = len(labelled) if enough else 0
        if not enough:
            notices.append(
                f"{word}: too little text to fit its role, {marked} of {', '.join(_LABELS[word][0])} found and "
                f"{MINIMUM_CONTEXTS} needed; the word lists decide"
            )
    return Possessives(tables=tables, num_contexts=num_contexts, notices=tuple(notices))


class StoredRows(Protocol):
    """Rows of token ids by their number, as `data.indexed.Rows` reads them."""

    @property
    def row_tokens(self) -> int:
        """Tokens a row."""
        ...

    def __getitem__(self, row: int) -> np.ndarray:
        """(row_tokens,) ids."""
        ...


def fit_to_rows(rows: StoredRows, window: range, tokenizer: Tokenizer) -> Possessives:
    """Tables fitted on rows spread evenly over `window`, FIT_TOKENS of them at most."""
    count = min(len(window), max(1, _FIT_TOKENS // rows.row_tokens))
    numbers = np.linspace(window.start, window.stop - 1, count, dtype=np.int64).tolist()
    return fit(tokenizer.decode(rows[number].tolist(), skip_special_tokens=True) for number in numbers)


def contexts(texts: Iterable[str]) -> dict[str, list[tuple[Neighbours, bool]]]:
    """word -> (neighbours, whether the role is the marked one) of each form with a known role, at most MAX_CONTEXTS."""
    forms = sorted({form for kinds in _LABELS.values() for kind in kinds for form in kind}, key=len, reverse=True)
    pattern = re.compile(rf"(?<![^\W_])(?:{'|'.join(forms)})(?![^\W_])", re.IGNORECASE | re.ASCII)
    labelled: dict[str, list[tuple[Neighbours, bool]]] = {word: [] for word in AMBIGUOUS}
    for text in texts:
        for match in pattern.finditer(text):
            form, place = match[0].lower(), neighbours(text, *match.span())
            for word, (marked, determiners) in _LABELS.items():
                if (form in marked or form in determiners) and len(labelled[word]) < _MAX_CONTEXTS:
                    labelled[word].append((place, form in marked))
    return labelled


def _fit_table(prior: Table, labelled: Sequence[tuple[Neighbours, bool]]) -> Table:
    """Logistic regression of the marked role on the three neighbours, penalised towards `prior`; the bias is free."""
    columns: dict[tuple[str, str], int] = {}
    for index, slot in enumerate(SLOTS):
        seen = sorted({place[index] for place, _ in labelled})
        for key in dict.fromkeys([*prior.entries[slot], *seen]):
            columns[slot, key] = len(columns)
    used = np.array([[columns[slot, key] for slot, key in zip(SLOTS, place, strict=True)] for place, _ in labelled])
    starts = np.arange(0, used.size + 1, len(SLOTS))
    design = csr_matrix((np.ones(used.size), used.ravel(), starts), shape=(len(labelled), len(columns)))
    sign = np.where([is_marked for _, is_marked in labelled], 1.0, -1.0)
    origin = np.array([*(prior.entry(slot, key) for slot, key in columns), prior.bias])

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        """Negative log-likelihood and penalty in nats, and the gradient."""
        margin = (design @ weights[:-1] + weights[-1]) * sign
        away = weights - origin
        away[-1] = 0
        slope = -sign * expit(-margin)
        gradient = np.append(design.T @ slope, slope.sum()) + _PENALTY * away
        return float(-log_expit(margin).sum() + _PENALTY / 2 * (away @ away)), gradient

    # Imported here: SciPy's optimisers take half a second, and most processes fit nothing.
    from scipy.optimize import minimize

    weights = minimize(loss, origin, jac=True, method="L-BFGS-B").x.tolist()
    entries: dict[str, dict[str, float]] = {slot: {} for slot in SLOTS}
    for (slot, key), column in columns.items():
        entries[slot][key] = weights[column]
    return Table(bias=weights[-1], entries=entries)
