"""WinoBias (Zhao et al. 2018): pronouns of occupations. `items` reads the sentences, `scoring` has four protocols."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bias_intervene.errors import DataError
from bias_intervene.evals.benchmarks.benchmark import Benchmark, Scored, ScoringInputs, Sources, scored
from bias_intervene.evals.benchmarks.winobias import faults, scoring
from bias_intervene.evals.benchmarks.winobias import items as sentences
from bias_intervene.evals.benchmarks.winobias.items import WinobiasPair, WinobiasSentence
from bias_intervene.evals.benchmarks.winobias.scoring import questions
from bias_intervene.results import MetricSpec
from bias_intervene.settings import EvalsSettings

if TYPE_CHECKING:
    from bias_intervene.evals.scoring import Scorer

__all__ = ["WinoBias", "WinobiasPair", "WinobiasSentence", "questions"]

_NATS = MetricSpec("winobias", None, family="bias", unit="nats")
_FORCED = replace(_NATS, unit="share", share_of_one_form="masculine_share")
_STEREOTYPE = replace(_FORCED, metric="stereotype_accuracy", in_nats="likelihood_diff")
_MASCULINE = replace(_FORCED, metric="masculine_share", in_nats="log_odds_masculine")
_GAP = replace(_NATS, metric="likelihood_diff")
_NET_BIAS = replace(_NATS, metric="net_bias", unit="share", in_nats="likelihood_diff")
_RIGHT, _RIGHT_PRO, _RIGHT_ANTI = (
    replace(_NATS, metric=name, unit="share") for name in ("accuracy", "accuracy_pro", "accuracy_anti")
)


class WinoBias(Benchmark):
    """Pairs of a pro- and an anti-stereotypical sentence.

    A shift of all pronouns alike moves the share of pro-stereotypical sentences, to 50% in the end. It does not move
    `likelihood_diff` of `sentence`, because the pro-stereotypical pronoun is masculine in half of the pairs (198 of 396
    of each type and split), nor the net bias of the protocols that ask for the referent. So both kinds are headline
    metrics.
    """

    name = "winobias"
    version = 4
    specs = (
        _STEREOTYPE.at("sentence", "all", "WB sentence stereo %", headline=True),
        _GAP.at("sentence", "all", "WB sentence gap, nats", headline=True, item_by_item=True),
        _MASCULINE.at("sentence", "all", "WB sentence masc. %", over_steps=True),
        _STEREOTYPE.at("pronoun_choice", "all", "WB choice stereo %"),
        _MASCULINE.at("pronoun_choice", "all", "WB choice masc. %"),
        _STEREOTYPE.at("pronoun_choice_mean", "all", "WB choice, both orders, stereo %", headline=True),
        _MASCULINE.at("pronoun_choice_mean", "all", "WB choice, both orders, masc. %"),
        _NET_BIAS.at("exact_match", "all", "WB exact match net bias %", headline=True),
        _RIGHT.at("exact_match", "all", "WB exact match right %"),
        _NET_BIAS.at("referent_choice", "all", "WB referent net bias %", headline=True),
        _RIGHT.at("referent_choice", "all", "WB referent right %"),
        *(
            replace(spec.at(protocol, subset), listed=True)
            for spec, protocol in (
                (_STEREOTYPE, "sentence"), (_GAP, "sentence"), (_STEREOTYPE, "pronoun_choice_mean"),
                (_NET_BIAS, "exact_match"), (_NET_BIAS, "referent_choice"),
            )
            for subset in ("matched_pairs", "no_second_pronoun")
        ),
        _STEREOTYPE, _MASCULINE, _NET_BIAS, _RIGHT, _RIGHT_PRO, _RIGHT_ANTI, _NATS,
    )  # fmt: skip

    def items(self, evals: EvalsSettings, sources: Sources) -> list[WinobiasPair]:
        """The pairs of type 1 and type 2, of which every protocol can score some."""
        pairs = sentences.read(evals.winobias, world_folder=sources.world_folder)
        for protocol in evals.winobias.protocols:
            if not any(scoring.applies(protocol, pair) for pair in pairs):
                raise DataError(
                    f"evals.winobias.protocols: {protocol} can score none of the {len(pairs)} pairs: "
                    + (
                        "all pronouns are himself or herself"
                        if protocol == "pronoun_choice"
                        else "no sentence names two of the occupations"
                    )
                    + "; leave it out"
                )
        return pairs

    def score(self, items: Sequence[WinobiasPair], scorer: "Scorer", inputs: ScoringInputs) -> Scored:
        """Scores every pair by every protocol of the settings."""
        rows = scoring.score(items, scorer, protocols=inputs.evals.winobias.protocols)
        return scored(rows, scoring.metrics(rows))

    def identity(self, items: Any, evals: EvalsSettings, heldout_rows: list[Any] | None) -> dict[str, Any]:
        """Includes the protocols."""
        return {**super().identity(items, evals, heldout_rows), "protocols": evals.winobias.protocols}

    def notes(self, items: Sequence[WinobiasPair]) -> dict[str, Any]:
        """The number of pairs, the number and the list of those of each peculiar kind, and caveats."""
        listed = faults.items_by_kind(items)
        counts = {kind: len(of_kind) for kind, of_kind in listed.items()}
        notes = {"pairs": len(items), **counts, "listed": listed, **super().notes(items)}
        caveats = faults.caveats(items)
        return notes | {"caveats": caveats} if caveats else notes
