"""The rows of a comparison: plain JSON, one a metric, arm and baseline, and what all who read them ask of them.

Enters and leaves: rows. Here are the names of the baselines that are no control, the metrics that are tested together,
those that people read in per cent, and the log-likelihoods behind these.
"""

from collections.abc import Iterator
from typing import Any

from bias_intervene.analysis.verdicts import ALPHA, probability

BASE = "base"
PUBLISHED = "published"
Row = dict[str, Any]
Key = tuple[str, str, str, str]

HEADLINE: tuple[Key, ...] = (
    ("winobias", "sentence", "all", "stereotype_accuracy"),
    ("winobias", "pronoun_choice_mean", "all", "stereotype_accuracy"),
    ("winobias", "exact_match", "all", "net_bias"),
    ("winobias", "referent_choice", "all", "net_bias"),
    ("crows_pairs", "likelihood", "gender", "pct_stereotype"),
)
"""The bias metrics that are tested as one family: Holm over all of them and all arms. With --metric those asked for."""
IN_NATS = {
    "stereotype_accuracy": "likelihood_diff",
    "masculine_share": "log_odds_masculine",
    "pct_stereotype": "signed_likelihood_diff",
    "net_bias": "likelihood_diff",
}
"""A share -> the mean log-likelihood difference behind it."""
SHARES = {
    "pct_stereotype", "stereotype_accuracy", "masculine_share", "accuracy", "net_bias", "accuracy_pro", "accuracy_anti",
}  # fmt: skip
"""Metrics that people read in points of per cent."""


def metric_key(row: Row) -> Key:
    """The four names of a metric."""
    return row["benchmark"], row["protocol"], row["subset"], row["metric"]


def is_against_control(row: Row) -> bool:
    """Whether a row compares an arm with another arm, and not with what it started from or was published."""
    return row["baseline_arm"] not in {None, BASE, PUBLISHED}


def scale(key: Key) -> float:
    """100 for shares, which people read in per cent."""
    return 100.0 if key[3] in SHARES else 1.0


# --- in words ---------------------------------------------------------------------------------------------------


def in_words(row: Row) -> str:
    """The row in words."""
    if row["difference"] is None:
        return "scored alone: nothing to compare with"
    p = row["p"] if row["p_holm"] is None else row["p_holm"]
    if p is None:
        return "too little to say whether there is a difference"
    provisos = "".join(f"; {words}" for words in provisos_of(row))
    if p < ALPHA:
        direction = "higher" if row["difference"] > 0 else "lower"
        interval = f"[{amount(row, 'ci_low')}, {amount(row, 'ci_high')}]"
        holm_ = " after Holm" if row["p_holm"] is not None else ""
        moved = f"{direction} by {amount(row, 'difference', absolute=True)} {interval}"
        return f"{moved}, p {probability(p)}{holm_}{provisos}"
    if row["minimum_detectable_effect"] is None:
        return "no difference: every item is the same"
    seen = amount(row, "minimum_detectable_effect")
    if row["p"] < ALPHA:
        return f"no difference that outlasts Holm's correction (p {probability(row['p'])} alone{provisos})"
    return f"no difference detected; this design sees {seen} with 80% power{provisos}"


def provisos_of(row: Row) -> Iterator[str]:
    """What a p-value and an interval do not cover."""
    if not row["paired"]:
        yield "unpaired, since one side has no items"
    if row["seeds"] == 1 and is_against_control(row):
        yield "one training of each arm"


def amount(row: Row, name: str, *, absolute: bool = False) -> str:
    """A difference for people: points of per cent for shares, nats for log-likelihoods."""
    value = abs(row[name]) if absolute else row[name]
    if value is None:
        return "?"
    if row["metric"] in SHARES:
        return f"{100 * value:.1f} points"
    return f"{value:.3g}" if row["metric"] == "perplexity" or row["benchmark"] == "harness" else f"{value:.3g} nats"
