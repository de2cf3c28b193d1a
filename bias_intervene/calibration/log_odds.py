"""Reads the log-odds of pronouns from the items of the manipulation check (benchmark `pronouns`).

Input: tables of items, or runs.
Output: planted and measured log-odds of occupations, their regression line, and probabilities of pronouns.
Guarantees: values are those of the items, log-odds in nats; nothing is scored again.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from bias_intervene.analysis.records import ItemTable, Run

_OCCUPATION_SUBSETS = ("female_leaning", "male_leaning")


class LogOdds(NamedTuple):
    """log P(he) - log P(she) of one occupation, nats."""

    planted: float
    measured: float
    """Mean over the prompts."""


def log_odds_by_occupation(items: ItemTable, protocol: str) -> dict[str, LogOdds]:
    """Occupation -> planted and measured log-odds; empty for items of models whose truth is unknown."""
    if not items.has("planted"):
        return {}
    planted_of: dict[str, float] = {}
    measured_of: dict[str, list[float]] = {}
    for subset in _OCCUPATION_SUBSETS:
        for row in items.rows_of(protocol, subset, "log_odds_she_he"):
            planted, she_to_he = (float(items.column(name)[row]) for name in ("planted", "log_odds_she_he"))
            if items.clusters is not None and not np.isnan(planted):
                occupation = str(items.clusters[row])
                planted_of.setdefault(occupation, planted)
                measured_of.setdefault(occupation, []).append(-she_to_he)
    return {name: LogOdds(planted_of[name], float(np.mean(values))) for name, values in measured_of.items()}


@dataclass(frozen=True)
class Line:
    """The least-squares line of measured on planted log-odds."""

    slope: float
    intercept: float
    correlation: float


def fitted_line(log_odds: dict[str, LogOdds]) -> Line:
    """The line through the points of the occupations."""
    planted, measured = np.array(list(log_odds.values())).T
    slope, intercept = np.polyfit(planted, measured, 1)
    return Line(float(slope), float(intercept), float(np.corrcoef(planted, measured)[0, 1]))


def probability_gap(run: Run) -> float:
    """Mean P(he) / (P(he) + P(she)) of male-leaning minus female-leaning occupations, at the last checkpoint."""
    items = run.items("pronouns", str(run.last))
    female, male = (
        float(expit(-items.column("log_odds_she_he")[items.rows_of("prompts", subset, "log_odds_she_he")]).mean())
        for subset in _OCCUPATION_SUBSETS
    )
    return male - female


class PronounProbabilities(NamedTuple):
    """Mean probabilities after neutral prompts, as shares of the three together."""

    she: float
    he: float
    they: float


def pronoun_probabilities(run: Run) -> PronounProbabilities:
    """The probabilities of the three pronouns at the run's last checkpoint."""
    items = run.items("pronouns", str(run.last))
    rows = items.rows_of("prompts", "neutral", "log_odds_they")
    they, she = (expit(items.column(name)[rows]) for name in ("log_odds_they", "log_odds_she_he"))
    return PronounProbabilities(
        she=float(((1 - they) * she).mean()), he=float(((1 - they) * (1 - she)).mean()), they=float(they.mean())
    )
