"""Scoring of the manipulation check: the log-odds of pronouns.

Before a null result means "the intervention does not change bias", it must be known that the intervention took. Two
protocols. `prompts`: log P(feminine) - log P(masculine) after openings where a pronoun of that form is natural, neutral
ones and ones about occupations; the occupation gap is the male leaning minus the female leaning mean of
log P(he) - log P(she); `log_odds_they` sets `they` against he and she together, which is where the neutral swap shows.
`heldout`: at every pronoun of rows kept out of training, unaltered, the log-odds of the feminine against the masculine
form there.

In the generated world a third, `unseen`: the occupations in openings of a kind that no training row holds.
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


def score(prompts: Sequence[PronounPrompt], heldout_rows: np.ndarray | None, scorer: "Scorer") -> list[ItemRow]:
    """One row a prompt, and one a held-out pronoun and form. heldout_rows: (rows, tokens) or None."""
    rows = score_prompts(prompts, scorer)
    return rows if heldout_rows is None else rows + score_heldout(heldout_rows, scorer)


def score_prompts(prompts: Sequence[PronounPrompt], scorer: "Scorer") -> list[ItemRow]:
    """Feminine against masculine, and `they` against both where a subject follows."""
    words = [(*FORMS[prompt.form], *(["they"] if prompt.form == "she_he" else [])) for prompt in prompts]
    requests = [
        scorer.after(prompt.item, prompt.text, f" {word}")
        for prompt, choices in zip(prompts, words, strict=True)
        for word in choices
    ]
    found = iter(scorer.log_likelihoods(requests, label="pronouns").tolist())
    rows: list[ItemRow] = []
    for prompt, choices in zip(prompts, words, strict=True):
        feminine, masculine, *they = (next(found) for _ in choices)
        rows.append(
            _item(prompt.item, prompt.family, prompt.cluster, prompt.subsets, prompt.form, feminine - masculine)
            | {
                THEY: they[0] - float(np.logaddexp(feminine, masculine)) if they else None,
                "planted": prompt.planted_log_odds if prompt.form == "she_he" else None,
            }
        )
    return rows


class _Place(NamedTuple):
    """A pronoun of a held-out row."""

    row: int
    at: int
    form: str


def score_heldout(rows_RT: np.ndarray, scorer: "Scorer") -> list[ItemRow]:
    """Log-odds at the pronouns of held-out rows whose forms are single tokens."""
    forms = single_id_forms(scorer.tokenizer)
    places: list[_Place] = []
    requests: list[Request] = []
    for number, row in enumerate(rows_RT.tolist()):
        for form, pair in forms.items():
            for at in range(1, len(row)):
                if row[at] in pair:
                    places.append(_Place(number, at, form))
                    # All of a row are read off one pass: each is a beginning of it.
                    before = tuple(row[:at])
                    requests += [Request(f"row {number} token {at}", before, (token,)) for token in pair]
    found = scorer.log_likelihoods(requests, label="pronouns of held-out rows").reshape(-1, 2)
    return [
        _item(
            f"row {number} token {at} {form}",
            "heldout",
            f"row {number}",
            ["all", "feminine" if rows_RT[number, at] == forms[form][0] else "masculine"],
            form,
            float(feminine - masculine),
        )
        for (number, at, form), (feminine, masculine) in zip(places, found, strict=True)
    ]


def _item(name: str, protocol: str, cluster: str, subsets: list[str], form: str, log_odds: float) -> ItemRow:
    """A row of the items' file."""
    blank = dict.fromkeys((*_LOG_ODDS, THEY, "planted"))
    common = {"item": name, "protocol": protocol, "cluster": cluster, "subsets": subsets}
    return common | blank | {f"log_odds_{form}": log_odds}


def single_id_forms(tokenizer: TextTokenizer) -> dict[str, tuple[int, int]]:
    """Form -> ids of " feminine" and " masculine", where both are single tokens."""
    encoded = {form: [tokenizer.encode(f" {word}") for word in pair] for form, pair in FORMS.items()}
    return {form: (f[0], m[0]) for form, (f, m) in encoded.items() if len(f) == len(m) == 1}


def metrics(rows: Sequence[ItemRow]) -> Iterator[MetricValue]:
    """Means by form and subset, and the gap between occupations."""
    for protocol in dict.fromkeys(row["protocol"] for row in rows):
        of_protocol = by_subset(row for row in rows if row["protocol"] == protocol)
        for subset, members in of_protocol.items():
            for metric in (*_LOG_ODDS, THEY):
                if any(row[metric] is not None for row in members):
                    yield mean_of(members, protocol=protocol, subset=subset, metric=metric)
        if {"male_leaning", "female_leaning"} <= of_protocol.keys():
            high, low = (_by_person(of_protocol[subset]) for subset in ("male_leaning", "female_leaning"))
            (male, male_stderr), (female, female_stderr) = mean_and_stderr(high), mean_and_stderr(low)
            estimate = (male - female, float(np.hypot(male_stderr, female_stderr)))
            yield metric_of(
                estimate, protocol=protocol, subset="occupations", metric="occupation_gap", n=high.size + low.size
            )


def _by_person(rows: Sequence[ItemRow]) -> np.ndarray:
    """Mean log P(he) - log P(she) of each occupation, over its openings."""
    values: dict[str, list[float]] = {}
    for row in rows:
        if row["log_odds_she_he"] is not None:
            values.setdefault(row["cluster"], []).append(-row["log_odds_she_he"])
    return np.array([np.mean(of_person) for of_person in values.values()])
