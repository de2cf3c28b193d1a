"""Scores the manipulation check: the log-odds of feminine against masculine pronouns.

A null result says something about the intervention only if the intervention changed the model at all; this is what
these metrics measure. There are two protocols:

- `prompts`: log P(feminine) - log P(masculine) after prompts where a pronoun of that form is natural, neutral ones and
  ones about occupations. `occupation_gap` is the mean of log P(he) - log P(she) over male-leaning occupations minus the
  mean over female-leaning ones. `log_odds_they` is log P(they) - log P(he or she), which the neutral swap should raise.
- `heldout`: the same log-odds at every pronoun of rows kept out of training, unaltered (`before_window`: of rows that
  the base model was trained on last of all). Where `her` stands, its
  probability is compared with those of `him` and `his` together (`log_odds_her_him_his`), because the text alone does
  not tell which of the two it stands for.

In the generated world there is also `unseen`: occupations in prompts whose wording occurs in no training row.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bias_intervene.data.corpus import HELDOUT
from bias_intervene.evals.benchmarks.naming import names_of
from bias_intervene.evals.benchmarks.pronouns.prompts import FORMS, PronounPrompt
from bias_intervene.evals.benchmarks.pronouns.rows import PronounInRow, common_beginning, pronouns_of
from bias_intervene.evals.metrics import ItemRow, by_subset, mean_of, metric_of
from bias_intervene.evals.requests import Request
from bias_intervene.models import TextTokenizer
from bias_intervene.pronouns import GENDER
from bias_intervene.results import MetricValue
from bias_intervene.statistics import mean_and_stderr

if TYPE_CHECKING:
    from bias_intervene.evals.scoring import Scorer

THEY = "log_odds_they"
"""Metric of the prompts of form she_he: they against he and she together."""


def score(
    prompts: Sequence[PronounPrompt],
    heldout_rows: np.ndarray | None,
    scorer: "Scorer",
    *,
    heldout_protocol: str = HELDOUT,
) -> list[ItemRow]:
    """One row per prompt, and one per pronoun of the held-out rows, token ids (rows, tokens) or None."""
    rows = score_prompts(prompts, scorer)
    return rows if heldout_rows is None else rows + score_heldout(heldout_rows, scorer, protocol=heldout_protocol)


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


class _Choice(NamedTuple):
    """What is compared where a pronoun stands in a held-out row."""

    form: str
    feminine: tuple[str, ...]
    masculine: tuple[str, ...]


def _choices() -> dict[str, _Choice]:
    """Pronoun -> the forms that are compared where it stands."""
    by_word = {word: _Choice(form, (pair[0],), (pair[1],)) for form, pair in FORMS.items() for word in pair}
    return by_word | {
        # The text alone does not tell whether him or his would stand in the place of her, so both together do.
        "her": _Choice("her_him_his", ("her",), ("him", "his")),
        "hers": _Choice("hers_his", ("hers",), ("his",)),
    }


_CHOICES = _choices()
_HELDOUT_FORMS = tuple(dict.fromkeys(choice.form for choice in _CHOICES.values()))


def score_heldout(rows_RT: np.ndarray, scorer: "Scorer", *, protocol: str = HELDOUT) -> list[ItemRow]:
    """The protocol `heldout`, or `before_window`: one row per pronoun, but for those that a row begins with."""
    pronouns: list[tuple[str, PronounInRow]] = []
    requests: list[Request] = []
    rows = rows_RT.tolist()
    for name, row in zip(names_of(rows), rows, strict=True):
        for pronoun in pronouns_of(row, scorer.tokenizer):
            if pronoun.can_be_scored:
                pronouns.append((name, pronoun))
                requests += _requests(f"row {name} token {pronoun.first}", row, pronoun, scorer.tokenizer)
    log_likelihoods = iter(scorer.log_likelihoods(requests, label="pronouns of held-out rows").tolist())
    items: list[ItemRow] = []
    for name, pronoun in pronouns:
        form, *genders = _CHOICES[pronoun.word.lower()]
        # log of the summed probabilities of the forms of each gender
        feminine, masculine = (np.logaddexp.reduce([next(log_likelihoods) for _ in words]) for words in genders)
        items.append(
            _item(
                f"row {name} token {pronoun.first} {form}",
                protocol,
                f"row {name}",
                ["all", GENDER[pronoun.word.lower()]],
                form,
                float(feminine - masculine),
            )
        )
    return items


def _requests(name: str, row: list[int], pronoun: PronounInRow, tokenizer: TextTokenizer) -> list[Request]:
    """The requests for the forms that could stand in the place of a pronoun, its own included, feminine ones first.

    name: of the place, for messages. What the tokens of all forms begin with belongs to the context.
    """
    choice = _CHOICES[pronoun.word.lower()]
    own = row[pronoun.text_first : pronoun.end]
    spelt = [
        own if word == pronoun.word.lower() else pronoun.written_as(word, tokenizer)
        for word in (*choice.feminine, *choice.masculine)
    ]
    shared = common_beginning(spelt)
    # The requests of a row are scored in one pass where each form is one token: each input is a prefix of the row.
    context = tuple(row[: pronoun.text_first] + own[:shared])
    return [Request(name, context, tuple(ids[shared:])) for ids in spelt]


_LOG_ODDS = tuple(f"log_odds_{form}" for form in dict.fromkeys((*FORMS, *_HELDOUT_FORMS)))


def _item(name: str, protocol: str, cluster: str, subsets: list[str], form: str, log_odds: float) -> ItemRow:
    """A row of the file of items, in which one form has a value."""
    blank = dict.fromkeys((*_LOG_ODDS, THEY, "planted"))
    common = {"item": name, "protocol": protocol, "cluster": cluster, "subsets": subsets}
    return common | blank | {f"log_odds_{form}": log_odds}


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
