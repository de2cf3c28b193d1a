"""The tables of `possessive`, fitted on a corpus without labels.

Enters: texts. Leaves: `Possessives`. Promised: the same texts give the same tables; a word whose marked role is too
rare in them keeps the word lists, and a notice says so.

English spells the distinction apart elsewhere: `him them me us` against `his their my our` stand where `her` would,
`hers theirs ours yours` against `their our your my` where `his` would. A logistic regression on the three neighbours is
fitted on those and applied to `her` and `his`. Its weights are drawn to those of the word lists, so that what the
corpus does not show stays as they have it: a neighbour never seen there has their entry.
"""

# pyright: standard
# SciPy has no types.

import re
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import expit, log_expit

from bias_intervene.interventions.possessive import (
    AMBIGUOUS,
    SLOTS,
    WORD_LISTS,
    Neighbours,
    Possessives,
    Table,
    neighbours,
)

LABELS = {
    "her": (("him", "them", "me", "us"), ("his", "their", "my", "our")),
    "his": (("hers", "theirs", "ours", "yours"), ("their", "our", "your", "my")),
}
"""word -> (forms that spell its marked role apart, forms of the determiner)."""
MINIMUM_CONTEXTS = 50
"""With fewer contexts of the marked role than this the word lists decide."""
MAX_CONTEXTS = 200_000
"""Contexts read for one word; more change little and take memory."""
PENALTY = 0.2
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
    for word, found in contexts(texts).items():
        marked = sum(is_marked for _, is_marked in found)
        enough = MINIMUM_CONTEXTS <= marked < len(found)
        tables[word] = fit_table(WORD_LISTS.tables[word], found) if enough else WORD_LISTS.tables[word]
        num_contexts[word] = len(found) if enough else 0
        if not enough:
            notices.append(
                f"{word}: too little text to fit its role, {marked} of {', '.join(LABELS[word][0])} found and "
                f"{MINIMUM_CONTEXTS} needed; the word lists decide"
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
        seen = sorted({place[index] for place, _ in found})
        for key in dict.fromkeys([*prior.entries[slot], *seen]):
            columns[slot, key] = len(columns)
    used = np.array([[columns[slot, key] for slot, key in zip(SLOTS, place, strict=True)] for place, _ in found])
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

    # Imported here: SciPy's optimisers take half a second, and most processes fit nothing.
    from scipy.optimize import minimize

    weights = minimize(loss, origin, jac=True, method="L-BFGS-B").x.tolist()
    entries: dict[str, dict[str, float]] = {slot: {} for slot in SLOTS}
    for (slot, key), column in columns.items():
        entries[slot][key] = weights[column]
    return Table(bias=weights[-1], entries=entries)
