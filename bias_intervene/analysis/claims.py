"""Tests what was claimed before the runs, and sets it apart from what was explored.

A claim (`settings.claims`) names metrics, a direction and perhaps a margin. It is tested for every arm that has a
control, and Holm's correction covers all these tests together, whichever rows are shown afterwards.

- higher, lower: the two-sided test of the row; with a margin the same test against the margin in place of 0 (Student's
  t, or normal where the row's test has no degrees of freedom).
- equal: the difference lies within the margin, by two one-sided tests (Schuirmann 1987).

Input: runs; the rows that compare them.
Output: the claims of the runs; the test of each claim, and the rows labelled by it.
Guarantees: runs whose claims differ are refused, and so is a record whose claims were altered afterwards. A claim that
fits no row is reported as not tested.
"""

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import scipy

from bias_intervene.analysis.records import Run
from bias_intervene.analysis.verdicts import ALPHA, probability
from bias_intervene.errors import RunDirectoryError
from bias_intervene.record import fingerprint
from bias_intervene.results import ComparisonRow, MetricKey
from bias_intervene.settings import Claim
from bias_intervene.statistics import holm


@dataclass(frozen=True)
class ClaimTest:
    """The test of one claim on one metric of one arm. Everything but the claim is None where it was not tested."""

    claim: str
    """As it was stated, in words."""
    metric: str | None = None
    """BENCHMARK/PROTOCOL/SUBSET/METRIC."""
    step: int | None = None
    arm: str | None = None
    baseline_arm: str | None = None
    difference: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p: float | None = None
    """Of the claim; with a margin it is not the row's."""
    p_holm: float | None = None
    """After Holm's correction over all claims that were tested."""
    shown: bool | None = None
    """Whether the claim was shown. None: it was not tested, or the spread is unknown."""
    sentence: str = ""


class Labelled(NamedTuple):
    """Rows and the tests of the claims about them."""

    rows: list[ComparisonRow]
    tests: list[ClaimTest]


def claims_of(runs: Iterable[Run]) -> list[Claim]:
    """The claims that all runs state. Raises `RunDirectoryError` where they differ, or were altered after a run."""
    first: Run | None = None
    stated: list[dict[str, Any]] = []
    for run in runs:
        if run.foreign:
            continue
        claims = run.record["settings"].get("claims", [])
        recorded = run.record["fingerprints"].get("claims", fingerprint([]))
        if recorded != fingerprint(claims):
            raise RunDirectoryError(f"{run.folder}: its claims are not the ones that it was started with")
        if first is None:
            first, stated = run, claims
        elif claims != stated:
            raise RunDirectoryError(
                f"{run.folder} and {first.folder}: they state other claims, {_listed(claims)} and {_listed(stated)}. "
                "A claim is stated before the runs, in all of them; compare runs of other claims apart"
            )
    return [Claim(**values) for values in stated]


def _listed(claims: Sequence[dict[str, Any]]) -> str:
    """Claims in a message."""
    return "; ".join(_in_words(Claim(**values)) for values in claims) or "none"


def _in_words(claim: Claim) -> str:
    """A claim as it was stated."""
    words = "within" if claim.direction == "equal" else "by more than"
    return f"{claim.metric} {claim.direction}" + (f" {words} {claim.margin:g}" if claim.margin is not None else "")


def label(rows: Sequence[ComparisonRow], claims: Sequence[Claim], *, chosen: Sequence[str]) -> Labelled:
    """The rows with their origin, those claimed with p after Holm's correction over the claims, and the claims' tests.

    chosen: names of the metrics that were asked for when the runs were compared. Of two claims that fit a row the first
    one counts.
    """
    claim_of = {
        number: claim
        for number, row in enumerate(rows)
        if row.is_against_control and (claim := _fitting(claims, row.key)) is not None
    }
    p_values = {number: _p_value(claim, rows[number]) for number, claim in claim_of.items()}
    adjusted = holm([float("nan") if p is None else p for p in p_values.values()])
    tests: list[ClaimTest] = []
    labelled = [_not_claimed(row, any_claims=bool(claims), is_chosen=row.metric in chosen) for row in rows]
    for number, p_holm in zip(claim_of, adjusted, strict=True):
        row, claim, p = rows[number], claim_of[number], p_values[number]
        tests.append(_test(claim, row, p=p, p_holm=None if p is None else p_holm))
        is_of_the_row = claim.margin is None and p is not None
        labelled[number] = replace(row, origin="claimed", p_holm=p_holm if is_of_the_row else None)
    for claim in claims:
        if claim not in claim_of.values():
            words = _in_words(claim)
            tests.append(
                ClaimTest(words, sentence=f"claimed: {words}: not tested, no arm with a control has this metric")
            )
    return Labelled(labelled, tests)


def _not_claimed(row: ComparisonRow, *, any_claims: bool, is_chosen: bool) -> ComparisonRow:
    """A row that no claim is about. Where there are claims, what is explored beside them is corrected for nothing."""
    if is_chosen:
        return replace(row, origin="chosen at comparison time")
    return replace(row, origin="explored", p_holm=None) if any_claims else row


def _fitting(claims: Sequence[Claim], key: MetricKey) -> Claim | None:
    """The first claim whose pattern the metric's names match."""
    names = "/".join(key)
    return next((c for c in claims if names == c.metric or fnmatch.fnmatchcase(names, c.metric)), None)


def _p_value(claim: Claim, row: ComparisonRow) -> float | None:
    """The p-value of a claim; None where the spread of the difference is unknown."""
    difference, stderr, margin = row.difference, row.difference_stderr, claim.margin
    if margin is None:
        return row.p
    if difference is None or stderr is None:
        return None
    if stderr == 0:  # Every item is the same in both.
        return float(claim.direction != "equal") if difference == 0 else None

    def beyond(distance: float) -> float:
        """The chance of so large a distance above a bound, if the true difference lies on it."""
        t = distance / stderr
        return float(scipy.stats.norm.sf(t) if row.df is None else scipy.stats.t.sf(t, row.df))

    if claim.direction == "equal":
        return max(beyond(margin - difference), beyond(margin + difference))
    return min(1.0, 2 * beyond(difference - margin if claim.direction == "higher" else -difference - margin))


def _test(claim: Claim, row: ComparisonRow, *, p: float | None, p_holm: float | None) -> ClaimTest:
    """The outcome of a claim."""
    assert row.difference is not None or p is None
    sign = {"higher": 1, "lower": -1, "equal": 0}[claim.direction]
    shown = None if p_holm is None else p_holm < ALPHA and (sign == 0 or (row.difference or 0) * sign > 0)
    outcome = "cannot be said" if shown is None else "shown" if shown else "not shown"
    scale, unit = row.spec.scale, {"share": " points", "nats": " nats", "plain": ""}[row.spec.unit]
    numbers = [None if value is None else scale * value for value in (row.difference, row.ci_low, row.ci_high)]
    found, low, high = ("?" if value is None else f"{value:+.3g}" for value in numbers)
    words, names = _in_words(claim), "/".join(row.key)
    name = "" if names == claim.metric else f", {names}"
    evidence = f"{found}{unit} [{low}, {high}]" + (
        f", p {probability(p_holm)} after Holm" if p_holm is not None else ""
    )
    return ClaimTest(
        claim=words, metric=names, step=row.step, arm=row.arm, baseline_arm=row.baseline_arm,
        difference=row.difference, ci_low=row.ci_low, ci_high=row.ci_high, p=p, p_holm=p_holm, shown=shown,
        sentence=f"claimed: {words}{name}: {outcome} for {row.arm} ({evidence})",
    )  # fmt: skip
