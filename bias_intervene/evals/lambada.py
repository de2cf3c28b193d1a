"""LAMBADA: does the model still find the last word of a passage? What an intervention costs.

The protocol of lm-evaluation-harness (`lambada_openai`): the context is the passage without its last word, the target a
space and that word. `accuracy`: every token of the target is the likeliest one (greedy decoding would give it).
`perplexity`: exp of minus the mean log-probability of a target, over passages and not over tokens.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from bias_intervene.evals.benchmarks.lambada import LambadaPassage
from bias_intervene.evals.metrics import mean_of, metric_of
from bias_intervene.evals.scoring import Scorer
from bias_intervene.statistics import perplexity_and_stderr

VERSION = 2
"""Raise when the same items and weights would be scored differently."""
PROTOCOL = "last_word"


def score(passages: Sequence[LambadaPassage], scorer: Scorer) -> list[dict[str, Any]]:
    """One row a passage."""
    requests = [scorer.after(f"passage {p.item}", p.context, p.target) for p in passages]
    log_likelihoods, greedy = scorer.scores(requests, label="LAMBADA")
    return [
        {
            "item": passage.item,
            "protocol": PROTOCOL,
            "subsets": ["all"],
            "log_likelihood": float(log_likelihood),
            "accuracy": float(is_greedy),
        }
        for passage, log_likelihood, is_greedy in zip(passages, log_likelihoods, greedy, strict=True)
    ]


def metrics(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Accuracy, mean log-likelihood of a target in nats, perplexity."""
    for metric in ("accuracy", "log_likelihood"):
        yield mean_of(rows, protocol=PROTOCOL, subset="all", metric=metric)
    estimate = perplexity_and_stderr([row["log_likelihood"] for row in rows])
    yield metric_of(estimate, protocol=PROTOCOL, subset="all", metric="perplexity", n=len(rows))
