"""Perplexity of rows that the run does not train on, unaltered: a measure of capability.

Every token but the first of a row is scored given all tokens before it. `log_likelihood` is the mean over the tokens of
a row, and `perplexity` is exp of minus the mean over rows, which all have the same length. The subset
`without_pronouns` leaves out the tokens of the pronouns that the interventions swap, in any spelling
(`pronouns.rows`), because the model should change at these and nowhere else.

The protocol says what the rows are: no model was trained on those of `heldout`, while the base model was trained on
those of `before_window`, last of all. A model forgets such rows as it goes on, whatever it reads, so that their
perplexity is no measure of capability.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bias_intervene.data.corpus import BEFORE_WINDOW, HELDOUT
from bias_intervene.evals.benchmarks.benchmark import Benchmark, Scored, ScoringInputs, Sources, scored
from bias_intervene.evals.benchmarks.naming import names_of
from bias_intervene.evals.benchmarks.pronouns.rows import pronouns_of
from bias_intervene.evals.metrics import ItemRow, by_subset, mean_of, metric_of
from bias_intervene.evals.requests import Request
from bias_intervene.models import TextTokenizer
from bias_intervene.results import MetricSpec, MetricValue
from bias_intervene.settings import EvalsSettings
from bias_intervene.statistics import perplexity_and_stderr

if TYPE_CHECKING:
    from bias_intervene.evals.scoring import Scorer

_LOG_LIKELIHOOD = MetricSpec("perplexity", None, family="capability", unit="nats")
_PERPLEXITY = replace(_LOG_LIKELIHOOD, metric="perplexity", unit="plain", pairing="perplexity", column="log_likelihood")
_MEMORY = replace(_PERPLEXITY, family="other")
"""Of rows that the base model was trained on: no capability, because an arm forgets them as it goes on."""


class Perplexity(Benchmark):
    """Perplexity of held-out rows."""

    name = "perplexity"
    version = 2
    reads_heldout_rows = True
    specs = (
        _PERPLEXITY.at(HELDOUT, "all", "perplexity, held out", headline=True),
        _PERPLEXITY.at(HELDOUT, "without_pronouns", "the same but pronouns"),
        _MEMORY.at(BEFORE_WINDOW, "all", "perplexity, rows before the window"),
        _MEMORY.at(BEFORE_WINDOW, "without_pronouns", "the same rows but pronouns"),
        replace(_MEMORY, metric="log_likelihood", unit="nats", pairing="mean").at(BEFORE_WINDOW, "all"),
        replace(_MEMORY, metric="log_likelihood", unit="nats", pairing="mean").at(BEFORE_WINDOW, "without_pronouns"),
        _PERPLEXITY,
        _LOG_LIKELIHOOD,
    )

    def items(self, evals: EvalsSettings, sources: Sources) -> None:
        """None: it reads held-out rows only."""

    def score(self, items: None, scorer: "Scorer", inputs: ScoringInputs) -> Scored:
        """Scores every held-out row."""
        assert inputs.heldout_rows is not None
        rows = score(inputs.heldout_rows, scorer, protocol=inputs.heldout_protocol)
        return scored(rows, metrics(rows))


def score(rows_RT: np.ndarray, scorer: "Scorer", *, protocol: str = HELDOUT) -> list[ItemRow]:
    """Two item rows per held-out row: over all tokens, and over those that are no pronouns. rows_RT: token ids."""
    rows = [tuple(int(token) for token in row) for row in rows_RT]
    names = names_of(rows)
    pronoun_positions = [_pronoun_positions(row, scorer.tokenizer) for row in rows]
    requests: list[Request] = []
    for number, (row, positions) in enumerate(zip(rows, pronoun_positions, strict=True)):
        requests.append(Request(f"row {number}", row[:1], row[1:]))
        # These are scored in the same pass as the row, because each input is a prefix of it.
        requests += [Request(f"row {number} token {at}", row[:at], row[at : at + 1]) for at in positions]
    # In the order of the requests: of a row, then of each token of its pronouns.
    log_likelihoods = iter(scorer.log_likelihoods(requests, label="held-out rows"))
    item_rows: list[ItemRow] = []
    for name, row, positions in zip(names, rows, pronoun_positions, strict=True):
        total = next(log_likelihoods)
        of_pronouns = [next(log_likelihoods) for _ in positions]
        num_others = len(row) - 1 - len(of_pronouns)
        item_rows.append(_item(name, protocol, "all", total / (len(row) - 1)))
        if num_others:
            without = (total - sum(of_pronouns)) / num_others
            item_rows.append(_item(name, protocol, "without_pronouns", without))
    return item_rows


def _pronoun_positions(row: tuple[int, ...], tokenizer: TextTokenizer) -> list[int]:
    """The positions of the tokens of pronouns, but for the first token of the row, which is not scored."""
    positions = {at for pronoun in pronouns_of(row, tokenizer) for at in range(pronoun.first, pronoun.end)}
    return sorted(positions - {0})


def _item(name: str, protocol: str, subset: str, log_likelihood: float) -> ItemRow:
    """A row of the file of items. log_likelihood: mean over tokens, nats."""
    return {
        "item": f"row {name}", "protocol": protocol, "subsets": [subset], "log_likelihood": float(log_likelihood),
    }  # fmt: skip


def metrics(rows: Sequence[ItemRow]) -> Iterator[MetricValue]:
    """Mean log-likelihood of a token (nats) and perplexity, of both subsets."""
    for subset, members in by_subset(rows).items():
        protocol = members[0]["protocol"]
        yield mean_of(members, protocol=protocol, subset=subset, metric="log_likelihood")
        estimate = perplexity_and_stderr([row["log_likelihood"] for row in members])
        yield metric_of(estimate, protocol=protocol, subset=subset, metric="perplexity", n=len(members))
