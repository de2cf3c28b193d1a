"""The manipulation check: did the model's preference between pronouns change? `prompts` has the prompts, `rows`
finds the pronouns of held-out rows, `scoring` has the metrics.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bias_intervene.data.corpus import BEFORE_WINDOW, HELDOUT
from bias_intervene.evals.benchmarks.benchmark import Benchmark, Scored, ScoringInputs, Sources, scored
from bias_intervene.evals.benchmarks.pronouns import prompts, scoring
from bias_intervene.evals.benchmarks.pronouns.prompts import PronounPrompt
from bias_intervene.results import MetricSpec
from bias_intervene.settings import EvalsSettings

if TYPE_CHECKING:
    from bias_intervene.evals.scoring import Scorer

__all__ = ["PronounPrompt", "Pronouns"]

_LOG_ODDS = MetricSpec("pronouns", None, family="manipulation_check", unit="nats")
_SHE_HE = replace(_LOG_ODDS, metric="log_odds_she_he")
_GAP = replace(
    _LOG_ODDS,
    metric="occupation_gap",
    pairing="gap",
    column="log_odds_she_he",
    groups=("male_leaning", "female_leaning"),
)


class Pronouns(Benchmark):
    """The log-odds of pronouns after prompts, and at the pronouns of held-out rows."""

    name = "pronouns"
    version = 3
    reads_heldout_rows = True
    items_are_local = True
    specs = (
        _SHE_HE.at("prompts", "neutral", "she:he, neutral", headline=True),
        _SHE_HE.at("prompts", "female_leaning", "she:he, female leaning"),
        _SHE_HE.at("prompts", "male_leaning", "she:he, male leaning"),
        _GAP.at("prompts", "occupations", "gap, occupations", headline=True),
        replace(_LOG_ODDS, metric=scoring.THEY).at("prompts", "neutral", "they:he+she, neutral"),
        _SHE_HE.at(HELDOUT, "all", "she:he, held-out rows"),
        _SHE_HE.at(BEFORE_WINDOW, "all", "she:he, rows before the window"),
        _SHE_HE.at("prompts", "all", item_by_item=True),
        _GAP,
        _LOG_ODDS,
    )

    def items(self, evals: EvalsSettings, sources: Sources) -> list[PronounPrompt]:
        """The prompts."""
        return prompts.read(evals.pronouns, world_data=sources.world_data)

    def score(self, items: Sequence[PronounPrompt], scorer: "Scorer", inputs: ScoringInputs) -> Scored:
        """Scores every prompt, and every pronoun of the held-out rows if the run has any."""
        rows: list[dict[str, Any]] = scoring.score(
            items, inputs.heldout_rows, scorer, heldout_protocol=inputs.heldout_protocol
        )
        return scored(rows, scoring.metrics(rows))
