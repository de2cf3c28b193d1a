"""Perplexity of rows kept out of training, unaltered: what an intervention costs.

A token's log-probability given all that stands before it in its row; `log_likelihood` is the mean over a row's tokens,
`perplexity` exp of minus the mean over rows, which are of one length. The subset `without_pronouns` leaves out the
tokens that the swap is about: there the model is meant to change, elsewhere it is not.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bias_intervene.evals.metrics import by_subset, mean_of, metric_of
from bias_intervene.evals.pronouns import single_id_forms
from bias_intervene.evals.scoring import Request, Scorer
from bias_intervene.statistics import perplexity_and_stderr

VERSION = 1
"""Raise when the same rows and weights would be scored differently."""
PROTOCOL = "heldout"


def score(rows_RT: np.ndarray, scorer: Scorer) -> list[dict[str, Any]]:
    """Two rows a held-out row: all its tokens, and those that are no pronouns. rows_RT: (rows, tokens)."""
    pronouns = {token for pair in single_id_forms(scorer.tokenizer).values() for token in pair}
    rows = [tuple(int(token) for token in row) for row in rows_RT]
    requests: list[Request] = []
    for number, row in enumerate(rows):
        requests.append(Request(f"row {number}", row[:1], row[1:]))
        # Read off the same pass: each is a beginning of the row.
        requests += [
            Request(f"row {number} token {at}", row[:at], row[at : at + 1])
            for at in range(1, len(row))
            if row[at] in pronouns
        ]
    found = iter(zip(requests, scorer.log_likelihoods(requests, label="held-out rows"), strict=True))
    made: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        _, total = next(found)
        of_pronouns = [value for token in row[1:] if token in pronouns for _, value in [next(found)]]
        others = len(row) - 1 - len(of_pronouns)
        made.append(item(number, "all", total / (len(row) - 1)))
        if others:
            made.append(item(number, "without_pronouns", (total - sum(of_pronouns)) / others))
    return made


def item(number: int, subset: str, log_likelihood: float) -> dict[str, Any]:
    """A row of the items' file."""
    return {
        "item": f"row {number}", "protocol": PROTOCOL, "subsets": [subset], "log_likelihood": float(log_likelihood),
    }  # fmt: skip


def metrics(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Mean log-likelihood of a token in nats, and perplexity."""
    for subset, members in by_subset(rows).items():
        yield mean_of(members, protocol=PROTOCOL, subset=subset, metric="log_likelihood")
        estimate = perplexity_and_stderr([row["log_likelihood"] for row in members])
        yield metric_of(estimate, protocol=PROTOCOL, subset=subset, metric="perplexity", n=len(members))
