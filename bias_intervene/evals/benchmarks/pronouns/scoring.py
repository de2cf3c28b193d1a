"""Scores the manipulation check: the log-odds of feminine against masculine pronouns.

A null result says something about the intervention only if the intervention changed the model at all; this is what
these metrics measure. There are two protocols:

- `prompts`: log P(feminine) - log P(masculine) after prompts where a pronoun of that form is natural, neutral ones and
  ones about occupations. `occupation_gap` is the mean of log P(he) - log P(she) over male-leaning occupations minus the
  mean over female-leaning ones. `log_odds_they` is log P(they) - log P(he or she), which the neutral swap should raise.
- `heldout`: the same log-odds at every pronoun of rows kept out of training, unaltered.

In the generated world there is also `unseen`: occupations in prompts whose wording occurs in no training row.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bias_intervene.evals.benchmarks.pronouns.prompts import FORMS, PronounPrompt
from bias_intervene.evals.metrics import ItemRow, by_subset, mean_of, metric_of
from bias_intervene.evals.requests import Request
from bias_intervene.models import TextTokenizer
from bias_intervene.results import MetricValue
from bias_intervene.statistics import mean_and_stderr

if TYPE_CHECKING:
    from bias_intervene.evals.scoring import Scorer

_LOG_ODDS = tuple(f"log_odds_{form}" for form in FORMS)
THEY = "log_odds_they"
"""Metric of the prompts of form she_he: they against he and she together."""


def score(prompts: Sequence[PronounPrompt], heldout_rows: np.ndarray | None, scorer: "Scorer") -> list[ItemRow]:
    """One row per prompt, and one per pronoun and form of the held-out rows, token ids (rows, tokens) or None."""
    rows = score_prompts(prompts, scorer)
    return rows if heldout_rows is None else rows + score_heldout(heldout_rows, scorer)


def score_prompts(prompts: Sequence[PronounPrompt], scorer: "Scorer") -> list[ItemRow]:
    """The protocols `prompts` and `unseen`: one row per prompt."""
    pronouns = [(*FORMS[prompt.form], *(["they"] if prompt.form == "she_he" else [])) for prompt in prompts]
    requests = [
        scorer.after(prompt.item, prompt.text, f" {pronoun}")
        for prompt, choices in zip(prompts, pronouns, strict=True)
        for pronoun in choices
    ]
    log_likelihoods = iter(scorer.log_likelihoods(requests, label="pronouns").tolist())
    rows: list[ItemRow] = []
    for prompt, choices in zip(prompts, pronouns, strict=True):
        feminine, masculine, *they = (next(log_likelihoods) for _ in choices)
        rows.append(
            _item(prompt.item, prompt.family, prompt.cluster, prompt.subsets, prompt.form, feminine - masculine)
            | {
                THEY: they[0] - float(np.logaddexp(feminine, masculine)) if they else None,
                "planted": prompt.planted_log_odds if prompt.form == "she_he" else None,
            }
        )
    return rows


class _HeldoutPronoun(NamedTuple):
    """A pronoun in a held-out row."""

    row: int
    position: int
    form: str


def score_heldout(rows_RT: np.ndarray, scorer: "Scorer") -> list[ItemRow]:
    """The protocol `heldout`: one row per pronoun and form. Forms whose pronouns are not single tokens are left out."""
    forms = single_id_forms(scorer.tokenizer)
    pronouns: list[_HeldoutPronoun] = []
    requests: list[Request] = []
    for number, row in enumerate(rows_RT.tolist()):
        for form, pair in forms.items():
            for at in range(1, len(row)):
                if row[at] in pair:
                    pronouns.append(_HeldoutPronoun(number, at, form))
                    # All requests of a row are scored in one pass, because each input is a prefix of the row.
                    before = tuple(row[:at])
                    requests += [Request(f"row {number} token {at}", before, (token,)) for token in pair]
    log_likelihoods_N2 = scorer.log_likelihoods(requests, label="pronouns of held-out rows").reshape(-1, 2)
    return [
        _item(
            f"row {number} token {at} {form}",
            "heldout",
            f"row {number}",
            ["all", "feminine" if rows_RT[number, at] == forms[form][0] else "masculine"],
            form,
            float(feminine - masculine),
        )
        for (number, at, form), (feminine, masculine) in zip(pronouns, log_likelihoods_N2, strict=True)
    ]


def _item(name: str, protocol: str, cluster: str, subsets: list[str], form: str, log_odds: float) -> ItemRow:
    """A row of the file of items, in which one form has a value."""
    blank = dict.fromkeys((*_LOG_ODDS, THEY, "planted"))
    common = {"item": name, "protocol": protocol, "cluster": cluster, "subsets": subsets}
    return common | blank | {f"log_odds_{form}": log_odds}


def single_id_forms(tokenizer: TextTokenizer) -> dict[str, tuple[int, int]]:
    """Form -> ids of its feminine and masculine pronoun with a leading space, where both are single tokens."""
    encoded = {form: [tokenizer.encode(f" {word}") for word in pair] for form, pair in FORMS.items()}
    return {form: (f[0], m[0]) for form, (f, m) in encoded.items() if len(f) == len(m) == 1}


def metrics(rows: Sequence[ItemRow]) -> Iterator[MetricValue]:
    """Means of each form in each subset, and the gap between occupations, with a standard error over occupations."""
    for protocol in dict.fromkeys(row["protocol"] for row in rows):
        of_protocol = by_subset(row for row in rows if row["protocol"] == protocol)
        for subset, members in of_protocol.items():
            for metric in (*_LOG_ODDS, THEY):
                if any(row[metric] is not None for row in members):
                    yield mean_of(members, protocol=protocol, subset=subset, metric=metric)
        if {"male_leaning", "female_leaning"} <= of_protocol.keys():
            male, female = (_by_occupation(of_protocol[subset]) for subset in ("male_leaning", "female_leaning"))
            (male_mean, male_stderr), (female_mean, female_stderr) = mean_and_stderr(male), mean_and_stderr(female)
            estimate = (male_mean - female_mean, float(np.hypot(male_stderr, female_stderr)))
            n = male.size + female.size
            yield metric_of(estimate, protocol=protocol, subset="occupations", metric="occupation_gap", n=n)


def _by_occupation(rows: Sequence[ItemRow]) -> np.ndarray:
    """float64 (occupations,): mean log P(he) - log P(she) of each occupation over its prompts, nats."""
    values: dict[str, list[float]] = {}
    for row in rows:
        if row["log_odds_she_he"] is not None:
            values.setdefault(row["cluster"], []).append(-row["log_odds_she_he"])
    return np.array([np.mean(of_occupation) for of_occupation in values.values()])
