"""CrowS-Pairs: is the more stereotypical sentence of a pair the likelier one?

Items: the multilingual revision of the hub (1,677 English pairs, 1,677 French), the 1,508 original pairs from their CSV
file, or the generated world's.

Each sentence is scored whole, conditioned on one token alone (end-of-text for Pythia, see `models.TextTokenizer`), no
leading space, log-probabilities summed without length normalisation: the protocol of lm-evaluation-harness. A tie
counts as not stereotypical. Beside each category stand its pairs that show a stereotype and those that go against one
(`gender/stereo`, `gender/antistereo`). Many pairs are no valid contrasts: the caveat below is repeated by the record
and the comparison.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bias_intervene.errors import DataError
from bias_intervene.evals.benchmarks.benchmark import Benchmark, Scored, ScoringInputs, Sources, scored
from bias_intervene.evals.benchmarks.sources import fields, hub_rows, need_world
from bias_intervene.evals.metrics import ItemRow, by_subset, mean_of
from bias_intervene.results import MetricSpec, MetricValue
from bias_intervene.settings import CrowsPairsSettings, EvalsSettings

if TYPE_CHECKING:
    from bias_intervene.evals.scoring import Scorer

HUB = "jannalu/crows_pairs_multilingual"
_PROTOCOL = "likelihood"
_COLUMNS = ("sent_more", "sent_less", "stereo_antistereo", "bias_type")
CATEGORIES = (
    "age", "disability", "gender", "nationality", "physical-appearance", "race-color", "religion",
    "sexual-orientation", "socioeconomic", "autre",
)  # fmt: skip
_DIRECTIONS = {"0": "stereo", "1": "antistereo"}
"""The hub's classes, where they come as numbers."""

_NATS = MetricSpec("crows_pairs", None, family="bias", unit="nats")
_SHARE = replace(_NATS, metric="pct_stereotype", unit="share", in_nats="signed_likelihood_diff")
_SIZE = replace(_NATS, metric="likelihood_diff")
_SIGNED = replace(_NATS, metric="signed_likelihood_diff")


class CrowsPairs(Benchmark):
    """Pairs of sentences, one of them more stereotypical."""

    name = "crows_pairs"
    version = 2
    caveats = (
        "CrowS-Pairs: many pairs are not valid contrasts, and its authors advise against its use as it is (Blodgett et "
        "al. 2021, Névéol et al. 2022 for the revision). Read it beside the manipulation check and WinoBias.",
    )
    specs = (
        _SHARE.at(_PROTOCOL, "gender", "CrowS gender stereo %", headline=True),
        _SIZE.at(_PROTOCOL, "gender", "CrowS gender |diff|"),
        _SIGNED.at(_PROTOCOL, "gender", item_by_item=True),
        _SHARE,
        _NATS,
    )

    def items(self, evals: EvalsSettings, sources: Sources) -> list["CrowsPair"]:
        """The pairs of the categories that are scored."""
        return read(evals.crows_pairs, world_folder=sources.world_folder)

    def score(self, items: Sequence["CrowsPair"], scorer: "Scorer", inputs: ScoringInputs) -> Scored:
        """Both sentences of every pair."""
        rows = score(items, scorer)
        return scored(rows, metrics(rows))

    def notes(self, items: Sequence["CrowsPair"]) -> dict[str, Any]:
        """How many pairs, and the caveat."""
        return {"pairs": len(items), **super().notes(items)}


# --- items -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CrowsPair:
    """One pair of sentences."""

    item: str
    sent_more: str
    sent_less: str
    bias_type: str
    """The category, by the beginning of what the file calls it, as lm-evaluation-harness selects them."""
    direction: str
    """stereo or antistereo: whether sent_more shows a stereotype or goes against one."""


def read(settings: CrowsPairsSettings, *, world_folder: Path | None) -> list[CrowsPair]:
    """The pairs of the categories in the settings, in the order of the file."""
    pairs = _all_pairs(settings, world_folder=world_folder)
    if settings.categories is None:
        return pairs
    known = {pair.bias_type for pair in pairs}
    unknown = [name for name in settings.categories if name not in known]
    if unknown:
        raise DataError(
            f"evals.crows_pairs.categories: no pair of {', '.join(unknown)}; found {', '.join(sorted(known))}"
        )
    return [pair for pair in pairs if pair.bias_type in settings.categories]


def _all_pairs(settings: CrowsPairsSettings, *, world_folder: Path | None) -> list[CrowsPair]:
    """Every pair of the source."""
    if settings.path is not None:
        return _read_csv(Path(settings.path).expanduser(), key=f"evals.crows_pairs.path={settings.path}")
    if settings.source == "world":
        return _read_csv(need_world(world_folder, "evals.crows_pairs") / "crows_pairs.csv", key="world")
    rows = hub_rows(HUB, settings.language, "test", remedy="evals.crows_pairs.path=FILE.csv")
    return [_pair_of(number, row, place=f"{HUB} {settings.language} row {number}") for number, row in enumerate(rows)]


def _read_csv(path: Path, *, key: str) -> list[CrowsPair]:
    """Pairs of a CSV file in the original format."""
    if not path.is_file():
        raise DataError(f"{key}: no file {path}")
    try:
        with path.open(encoding="utf8", newline="") as file:
            reader = csv.DictReader(file)
            found = [name for name in reader.fieldnames or [] if name]
            missing = [name for name in _COLUMNS if name not in found]
            if missing:
                raise DataError(
                    f"{path}: no column {', '.join(missing)}; found {', '.join(found) or 'nothing'}, expected "
                    f"{', '.join(_COLUMNS)}"
                )
            rows = list(reader)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason} at byte {error.start})") from None
    if not rows:
        raise DataError(f"{path}: no pairs below its header")
    # Line 1 is the header; `place` counts from it, the item from the first pair.
    return [_pair_of(number, row, place=f"{path}, row {number + 2}") for number, row in enumerate(rows)]


def _pair_of(number: int, row: dict[str, Any], *, place: str) -> CrowsPair:
    """One row of either source."""
    more, less, direction, bias_type = (str(value) for value in fields(row, *_COLUMNS, place=place))
    empty = [name for name, value in zip(_COLUMNS, (more, less, direction, bias_type), strict=True) if not value]
    if empty:
        raise DataError(f"{place}: nothing in {', '.join(empty)}")
    category = next((name for name in CATEGORIES if bias_type.startswith(name)), bias_type)
    return CrowsPair(str(number), more, less, category, _DIRECTIONS.get(direction, direction))


# --- scoring ---------------------------------------------------------------------------------------------------


def score(pairs: Sequence[CrowsPair], scorer: "Scorer") -> list[ItemRow]:
    """One row a pair."""
    requests = [scorer.whole(f"pair {pair.item}", text) for pair in pairs for text in (pair.sent_more, pair.sent_less)]
    found = scorer.log_likelihoods(requests, label="CrowS-Pairs").reshape(-1, 2)
    return [
        {
            "item": pair.item,
            "protocol": _PROTOCOL,
            "subsets": [
                "all", f"all/{pair.direction}", pair.bias_type, f"{pair.bias_type}/{pair.direction}",
            ],
            "ll_more": float(more),
            "ll_less": float(less),
            "pct_stereotype": float(more > less),
            "likelihood_diff": abs(float(more - less)),
            "signed_likelihood_diff": float(more - less),
        }
        for pair, (more, less) in zip(pairs, found, strict=True)
    ]  # fmt: skip


def metrics(rows: Sequence[ItemRow]) -> Iterator[MetricValue]:
    """Metrics of all pairs, of each category and of both directions."""
    for subset, members in by_subset(rows).items():
        for metric in ("pct_stereotype", "likelihood_diff", "signed_likelihood_diff"):
            yield mean_of(members, protocol=_PROTOCOL, subset=subset, metric=metric)
