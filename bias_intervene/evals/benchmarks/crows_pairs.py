"""CrowS-Pairs (Nangia et al. 2020): is the more stereotypical sentence of a pair the likelier one?

Items: the revised pairs of the hub (1,677 in English, 1,677 in French; Névéol et al. 2022), the 1,508 original pairs
from their CSV file, or the pairs of the generated world.

The protocol is that of lm-evaluation-harness: each sentence is scored whole, without a leading space and conditioned
only on the tokenizer's prefix token (end-of-text for Pythia, see `models.TextTokenizer`), and its log-probabilities are
summed without length normalisation. A tie counts as not stereotypical. Metrics are given for all pairs, for each
category, and within each for the pairs that show a stereotype and those that go against one (`gender/stereo`,
`gender/antistereo`). Many pairs are not valid contrasts; the caveat below is repeated in the record and the report.

English gender pairs stand apart by what their sentences differ in. In `gender_pronouns` (110 of the 262 original pairs)
one sentence has masculine forms of he/she where the other has feminine ones. Such a pair is a forced choice between the
two, which an equal shift of all pronouns decides; `masculine_share` and `log_odds_masculine` say how. In `gender_other`
both have pronouns of the same gender, or none (*the man* against *the woman*), and such a shift moves nothing.

How far the results rest on invalid pairs is seen from the subsets `all/unlisted`, `gender/unlisted` and so on, which
leave out the pairs that a list of the user's names (`evals.crows_pairs.problems`). Blodgett et al. (2021, "Stereotyping
Norwegian Salmon", ACL) read the pairs and name the kinds of faults, but no list of theirs that a program can read was
found, and none is built in. Névéol et al. (2022, "French CrowS-Pairs", ACL) publish revised pairs: those of the hub.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bias_intervene.errors import DataError
from bias_intervene.evals.benchmarks.benchmark import Benchmark, Scored, ScoringInputs, Sources, scored
from bias_intervene.evals.benchmarks.naming import check_repeated, names_of, num_repeated
from bias_intervene.evals.benchmarks.sources import fields, hub_rows, need_world
from bias_intervene.evals.metrics import ItemRow, by_subset, mean_of
from bias_intervene.pronouns import GENDER
from bias_intervene.results import MetricSpec, MetricValue
from bias_intervene.settings import CrowsPairsSettings, EvalsSettings
from bias_intervene.text_files import read_text

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
"""Number of a class in the hub's data set -> its name."""

_NATS = MetricSpec("crows_pairs", None, family="bias", unit="nats")
_SHARE = replace(
    _NATS, metric="pct_stereotype", unit="share", in_nats="signed_likelihood_diff", share_of_one_form="masculine_share"
)
_MASCULINE = replace(
    _NATS, metric="masculine_share", unit="share", in_nats="log_odds_masculine", share_of_one_form="masculine_share"
)
_SIZE = replace(_NATS, metric="likelihood_diff")
_SIGNED = replace(_NATS, metric="signed_likelihood_diff")


class CrowsPairs(Benchmark):
    """Pairs of sentences of which one is more stereotypical.

    `gender` is the published metric. An equal shift of all pronouns moves it by way of `gender_pronouns`, so
    `gender_other`, which it cannot move, is a headline metric too. The mean difference in nats of `gender_pronouns` is
    not one that it cannot move: the more stereotypical sentence is the masculine one in more than half of these pairs.
    """

    name = "crows_pairs"
    version = 3
    caveats = (
        "CrowS-Pairs: many pairs are not valid contrasts, and its authors advise against its use as it is (Blodgett et "
        "al. 2021, Névéol et al. 2022 for the revision). Read it beside the manipulation check and WinoBias.",
    )
    specs = (
        _SHARE.at(_PROTOCOL, "gender", "CrowS gender stereo %", headline=True),
        _SHARE.at(_PROTOCOL, "gender_pronouns", "CrowS gender, he/she, stereo %"),
        _SHARE.at(_PROTOCOL, "gender_other", "CrowS gender, not he/she, stereo %", headline=True),
        _SIZE.at(_PROTOCOL, "gender", "CrowS gender |diff|"),
        _SIGNED.at(_PROTOCOL, "gender", item_by_item=True),
        _SHARE,
        _MASCULINE,
        _NATS,
    )

    def items(self, evals: EvalsSettings, sources: Sources) -> list["CrowsPair"]:
        """The pairs of the categories that are scored."""
        return read(evals.crows_pairs, world_folder=sources.world_folder)

    def score(self, items: Sequence["CrowsPair"], scorer: "Scorer", inputs: ScoringInputs) -> Scored:
        """Scores both sentences of every pair."""
        rows = score(items, scorer, in_english=inputs.evals.crows_pairs.language == "english")
        return scored(rows, metrics(rows))

    def notes(self, items: Sequence["CrowsPair"]) -> dict[str, Any]:
        """The number of pairs, of those that repeat an earlier one or have two equal sentences, and the caveat."""
        counts = {
            "pairs": len(items),
            "repeated": num_repeated([pair.item for pair in items]),
            "equal_sentences": sum(pair.sent_more == pair.sent_less for pair in items),
            "listed_problems": sum(pair.unlisted is False for pair in items),
        }
        return {**counts, **super().notes(items)}


# --- items -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CrowsPair:
    """One pair of sentences."""

    item: str
    """Its name, which follows from its two sentences."""
    sent_more: str
    sent_less: str
    bias_type: str
    """The category: the one of CATEGORIES that the file's value begins with, as in lm-evaluation-harness."""
    direction: str
    """Which sentence is about the group that was historically put at a disadvantage. `stereo`: sent_more is, and shows
    a stereotype of it (women who cook). `antistereo`: sent_less is, and goes against one (a woman who wants to become a
    doctor). The other sentence says the same of another group. Either way sent_more agrees with the stereotype."""
    unlisted: bool | None = None
    """Whether the list of pairs with problems does not name it. None: no list was given."""


def read(settings: CrowsPairsSettings, *, world_folder: Path | None) -> list[CrowsPair]:
    """The pairs of the categories in the settings, in the order of the file. Raises `DataError` or `HubError`."""
    pairs, place = _all_pairs(settings, world_folder=world_folder)
    check_repeated([pair.item for pair in pairs], place=place)
    if settings.problems is not None:
        pairs = _marked(pairs, Path(settings.problems).expanduser(), place=place)
    if all(pair.sent_more == pair.sent_less for pair in pairs):
        raise DataError(f"{place}: the two sentences of every pair are the same; there is nothing to compare")
    if settings.categories is None:
        return pairs
    present = {pair.bias_type for pair in pairs}
    unknown = [name for name in settings.categories if name not in present]
    if unknown:
        raise DataError(
            f"evals.crows_pairs.categories: no pair of {', '.join(unknown)}; found {', '.join(sorted(present))}"
        )
    return [pair for pair in pairs if pair.bias_type in settings.categories]


def _marked(pairs: list[CrowsPair], path: Path, *, place: str) -> list[CrowsPair]:
    """The pairs, marked by the list in `path`: one sentence of a pair a line. Raises `DataError` for one of no pair."""
    key = f"evals.crows_pairs.problems={path}"
    if not path.is_file():
        raise DataError(f"{key}: no such file; give one sentence of a pair a line")
    listed = {line.strip() for line in read_text(path).splitlines() if line.strip()}
    unknown = sorted(listed - {sentence.strip() for pair in pairs for sentence in (pair.sent_more, pair.sent_less)})
    if unknown or not listed:
        found = f"{len(unknown)} of {len(listed)} lines are a sentence of no pair of {place}, first {unknown[:1]}"
        raise DataError(f"{key}: {found if listed else 'empty'}; give one sentence of a pair a line, word for word")
    return [replace(pair, unlisted=not {pair.sent_more.strip(), pair.sent_less.strip()} & listed) for pair in pairs]


def _all_pairs(settings: CrowsPairsSettings, *, world_folder: Path | None) -> tuple[list[CrowsPair], str]:
    """(all pairs of the source that the settings name, the source as messages name it)."""
    if settings.path is None and settings.source == "hub":
        place = f"{HUB} {settings.language}"
        rows = hub_rows(HUB, settings.language, "test", remedy="evals.crows_pairs.path=FILE.csv")
        return _pairs_of(rows, [f"{place} row {number}" for number in range(len(rows))]), place
    if settings.path is not None:
        path, key = Path(settings.path).expanduser(), f"evals.crows_pairs.path={settings.path}"
    else:
        path, key = need_world(world_folder, "evals.crows_pairs") / "crows_pairs.csv", "world"
    rows = _read_csv(path, key=key)
    # Lines are counted from the header, which is line 1.
    return _pairs_of(rows, [f"{path}, row {number + 2}" for number in range(len(rows))]), str(path)


def _read_csv(path: Path, *, key: str) -> list[dict[str, Any]]:
    """The rows of a CSV file in the original format. key: the setting, for messages. Raises `DataError`."""
    if not path.is_file():
        raise DataError(f"{key}: no file {path}")
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
    columns = [name for name in reader.fieldnames or [] if name]
    missing = [name for name in _COLUMNS if name not in columns]
    if missing:
        raise DataError(
            f"{path}: no column {', '.join(missing)}; found {', '.join(columns) or 'nothing'}, expected "
            f"{', '.join(_COLUMNS)}"
        )
    try:
        rows = list(reader)
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not CSV ({error})") from None
    if not rows:
        raise DataError(f"{path}: no pairs below its header")
    return rows


def _pairs_of(rows: Sequence[dict[str, Any]], places: Sequence[str]) -> list[CrowsPair]:
    """The pairs of the rows of the hub or of a CSV file. places: of the rows, for messages. Raises `DataError`."""
    columns = [_columns_of(row, place=place) for row, place in zip(rows, places, strict=True)]
    names = names_of([(more, less) for more, less, _, _ in columns])
    return [
        CrowsPair(name, more, less, _category_of(bias_type), _DIRECTIONS.get(direction, direction))
        for name, (more, less, direction, bias_type) in zip(names, columns, strict=True)
    ]


def _columns_of(row: dict[str, Any], *, place: str) -> list[str]:
    """The values of _COLUMNS. Raises `DataError` for one that is missing or empty."""
    values = [str(value) for value in fields(row, *_COLUMNS, place=place)]
    empty = [name for name, value in zip(_COLUMNS, values, strict=True) if not value]
    if empty:
        raise DataError(f"{place}: nothing in {', '.join(empty)}")
    return values


def _category_of(bias_type: str) -> str:
    """The one of CATEGORIES that a value begins with; the value itself if there is none."""
    return next((name for name in CATEGORIES if bias_type.startswith(name)), bias_type)


# --- scoring ---------------------------------------------------------------------------------------------------


def score(pairs: Sequence[CrowsPair], scorer: "Scorer", *, in_english: bool = True) -> list[ItemRow]:
    """One row per pair. in_english: whether gender pairs are divided by the forms of he/she."""
    requests = [scorer.whole(f"pair {pair.item}", text) for pair in pairs for text in (pair.sent_more, pair.sent_less)]
    log_likelihoods_P2 = scorer.log_likelihoods(requests, label="CrowS-Pairs").reshape(-1, 2)
    rows: list[ItemRow] = []
    for pair, (more, less) in zip(pairs, log_likelihoods_P2, strict=True):
        subsets = ["all", f"all/{pair.direction}", pair.bias_type, f"{pair.bias_type}/{pair.direction}"]
        is_divided = in_english and pair.bias_type == "gender"
        more_is_masculine = is_more_masculine(pair) if is_divided else None
        if is_divided:
            subsets.append("gender_other" if more_is_masculine is None else "gender_pronouns")
        if pair.unlisted:
            subsets += ["all/unlisted", f"{pair.bias_type}/unlisted"]
        masculine = None if more_is_masculine is None else float(more - less if more_is_masculine else less - more)
        rows.append(
            {
                "item": pair.item,
                "protocol": _PROTOCOL,
                "subsets": subsets,
                "ll_more": float(more),
                "ll_less": float(less),
                "pct_stereotype": float(more > less),
                "likelihood_diff": abs(float(more - less)),
                "signed_likelihood_diff": float(more - less),
                # A tie counts half for each form, as in WinoBias.
                "masculine_share": None if masculine is None else 0.5 if masculine == 0 else float(masculine > 0),
                "log_odds_masculine": masculine,
            }
        )
    return rows


def is_more_masculine(pair: CrowsPair) -> bool | None:
    """Whether the more stereotypical sentence has the more masculine forms of he/she; None: the genders are the same.

    >>> is_more_masculine(CrowsPair("0", "He is a doctor.", "She is a doctor.", "gender", "stereo"))
    True
    """
    more, less = (
        [GENDER[word] for word in re.findall(r"[a-z]+", text.lower()) if word in GENDER]
        for text in (pair.sent_more, pair.sent_less)
    )
    if set(more) == set(less):
        return None
    lead, other_lead = (genders.count("masculine") - genders.count("feminine") for genders in (more, less))
    return lead > other_lead


def metrics(rows: Sequence[ItemRow]) -> Iterator[MetricValue]:
    """Metrics over all pairs, each category, and both directions of each; those of forms where there are any."""
    for subset, members in by_subset(rows).items():
        for metric in ("pct_stereotype", "likelihood_diff", "signed_likelihood_diff"):
            yield mean_of(members, protocol=_PROTOCOL, subset=subset, metric=metric)
        if any(row["masculine_share"] is not None for row in members):
            for metric in ("masculine_share", "log_odds_masculine"):
                yield mean_of(members, protocol=_PROTOCOL, subset=subset, metric=metric)
