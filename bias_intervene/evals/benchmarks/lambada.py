"""LAMBADA (Paperno et al. 2016): does the model predict the last word of a passage? A measure of capability.

Items: the passages of the hub's `lambada_openai`, or JSON lines with the passages under `text`.

The protocol is that of lm-evaluation-harness (`lambada_openai`): the context is the passage without its last word, and
the target is a space and that word. `accuracy`: share of passages where greedy decoding gives the target. `perplexity`:
exp of minus the mean log-likelihood of a target, averaged over passages, not over tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bias_intervene.data.corpus import jsonl_documents
from bias_intervene.errors import DataError
from bias_intervene.evals.benchmarks.benchmark import Benchmark, Scored, ScoringInputs, Sources, scored
from bias_intervene.evals.benchmarks.naming import check_repeated, names_of, num_repeated
from bias_intervene.evals.benchmarks.sources import fields, hub_rows
from bias_intervene.evals.metrics import ItemRow, mean_of, metric_of
from bias_intervene.results import MetricSpec, MetricValue
from bias_intervene.settings import EvalsSettings, LambadaSettings
from bias_intervene.statistics import perplexity_and_stderr

if TYPE_CHECKING:
    from bias_intervene.evals.scoring import Scorer

HUB = "EleutherAI/lambada_openai"
_PROTOCOL = "last_word"
_ACCURACY = MetricSpec("lambada", "accuracy", family="capability", unit="share")
_PERPLEXITY = replace(_ACCURACY, metric="perplexity", unit="plain", pairing="perplexity", column="log_likelihood")


class Lambada(Benchmark):
    """Passages whose last word is to be predicted."""

    name = "lambada"
    version = 2
    specs = (
        _ACCURACY.at(_PROTOCOL, "all", "LAMBADA right %", headline=True),
        _PERPLEXITY.at(_PROTOCOL, "all", "LAMBADA perplexity"),
        _ACCURACY,
        _PERPLEXITY,
        replace(_ACCURACY, metric=None, unit="nats"),
    )

    def items(self, evals: EvalsSettings, sources: Sources) -> list["LambadaPassage"]:
        """The passages."""
        return read(evals.lambada)

    def score(self, items: Sequence["LambadaPassage"], scorer: "Scorer", inputs: ScoringInputs) -> Scored:
        """Scores the last word of every passage."""
        rows = score(items, scorer)
        return scored(rows, metrics(rows))

    def notes(self, items: Sequence["LambadaPassage"]) -> dict[str, Any]:
        """The number of passages, and of those that repeat an earlier one."""
        return {"passages": len(items), "repeated": num_repeated([passage.item for passage in items])}


# --- items -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LambadaPassage:
    """A passage without its last word, and that word with the space before it."""

    item: str
    """Its name, which follows from its text."""
    context: str
    target: str


def read(settings: LambadaSettings) -> list[LambadaPassage]:
    """The passages, in the order of their source. Raises `DataError` or `HubError`."""
    if settings.path is None:
        rows = hub_rows(HUB, None, "test", remedy="evals.lambada.path=FILE.jsonl")
        source, places = HUB, [f"{HUB} row {n}" for n in range(len(rows))]
        texts = [str(fields(row, "text", place=place)[0]) for row, place in zip(rows, places, strict=True)]
    else:
        path = Path(settings.path).expanduser()
        if not path.is_file():
            raise DataError(f"evals.lambada.path={settings.path}: no file {path}")
        texts = list(jsonl_documents(path, "text", key="text"))
        source, places = str(path), [f"{path}, passage {n + 1}" for n in range(len(texts))]
    names = names_of(texts)
    check_repeated(names, place=source)
    return [passage(name, text, place=place) for name, text, place in zip(names, texts, places, strict=True)]


def passage(item: str, text: str, *, place: str) -> LambadaPassage:
    """A passage divided before its last word. place: for messages. Raises `DataError` for less than two words.

    >>> passage("0", "He met her at the old mill", place="").target
    ' mill'
    """
    context, _, word = text.rpartition(" ")
    if not context.strip() or not word:
        raise DataError(f"{place}: no last word after a context: {text!r}")
    return LambadaPassage(item, context, f" {word}")


# --- scoring ---------------------------------------------------------------------------------------------------


def score(passages: Sequence[LambadaPassage], scorer: "Scorer") -> list[ItemRow]:
    """One row per passage."""
    requests = [scorer.after(f"passage {p.item}", p.context, p.target) for p in passages]
    log_likelihoods, greedy = scorer.scores(requests, label="LAMBADA")
    return [
        {
            "item": passage.item,
            "protocol": _PROTOCOL,
            "subsets": ["all"],
            "log_likelihood": float(log_likelihood),
            "accuracy": float(is_greedy),
        }
        for passage, log_likelihood, is_greedy in zip(passages, log_likelihoods, greedy, strict=True)
    ]


def metrics(rows: Sequence[ItemRow]) -> Iterator[MetricValue]:
    """Accuracy, mean log-likelihood of a target (nats), and perplexity."""
    for metric in ("accuracy", "log_likelihood"):
        yield mean_of(rows, protocol=_PROTOCOL, subset="all", metric=metric)
    estimate = perplexity_and_stderr([row["log_likelihood"] for row in rows])
    yield metric_of(estimate, protocol=_PROTOCOL, subset="all", metric="perplexity", n=len(rows))
