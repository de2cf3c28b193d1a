"""States a row of the comparison in one sentence.

Input: a row with its difference, its p-values and the least effect that its design could have detected.
Output: a sentence.
Guarantees: a sentence that reports no difference also states the difference that the design would have detected, or
that it can detect none. Where there is no test, the sentence says why.
"""

from collections.abc import Iterator

from bias_intervene.analysis.saturation import is_saturated
from bias_intervene.analysis.verdicts import ALPHA, probability
from bias_intervene.results import ComparisonRow


def in_words(row: ComparisonRow) -> str:
    """The row as a sentence."""
    if row.difference is None and row.baseline is not None:
        return "no difference can be stated: one of the values is not a finite number"
    if row.difference is None:
        return "".join(["scored alone: nothing to compare with", *(f"; {phrase}" for phrase in _saturation_of(row))])
    provisos = "".join(f"; {phrase}" for phrase in _provisos_of(row))
    if row.p is None:
        return _without_test(row) + provisos
    p = row.p if row.p_holm is None else row.p_holm
    if p < ALPHA:
        direction = "higher" if row.difference > 0 else "lower"
        interval = f"[{_amount(row.ci_low, row)}, {_amount(row.ci_high, row)}]"
        after_holm = " after Holm" if row.p_holm is not None else ""
        change = f"{direction} by {_amount(abs(row.difference), row)} {interval}"
        return f"{change}, p {probability(p)}{after_holm}{provisos}"
    if row.p < ALPHA:
        return f"no difference that outlasts Holm's correction (p {probability(row.p)} alone{provisos})"
    found = "no difference: every item is the same" if row.discordant == 0 else "no difference detected"
    if row.minimum_detectable_effect is None:
        return f"{found}; with {row.n} items this test can detect none{provisos}"
    detectable = _amount(row.minimum_detectable_effect, row)
    return f"{found}; this design sees {detectable} with 80% power{provisos}"


def _without_test(row: ComparisonRow) -> str:
    """What was found where there is no p: a difference without any spread, or too few observations."""
    if row.difference_stderr != 0:
        return "too little to say whether there is a difference"
    if row.seeds > 1:
        return f"the seeds gave the same difference, {_amount(row.difference, row)}: no spread to test it by"
    if row.difference == 0:
        return "no difference: every item is the same"
    return f"every item differs by the same, {_amount(row.difference, row)}: no spread to test it by"


def _provisos_of(row: ComparisonRow) -> Iterator[str]:
    """Phrases that limit the claim: an unpaired comparison, a single training of each arm."""
    if not row.paired:
        yield "unpaired, since one side has no items"
    if row.seeds == 1 and row.is_against_control:
        yield "one training of each arm"
    if row.origin in {"explored", "chosen at comparison time"}:
        yield row.origin
    yield from _saturation_of(row)


def _saturation_of(row: ComparisonRow) -> Iterator[str]:
    """A phrase that says which side of a share is saturated, with the difference in nats."""
    if is_saturated(row):
        sides = (("baseline", row.baseline_saturated), ("arm", row.saturated))
        nats = "" if row.difference_nats is None else f"; {row.difference_nats:+.3g} nats"
        yield f"saturated: nearly always one form in the {' and the '.join(name for name, flag in sides if flag)}{nats}"


def _amount(value: float | None, row: ComparisonRow) -> str:
    """A difference as it is printed: percentage points for shares, nats for log-likelihoods."""
    if value is None:
        return "?"
    if row.spec.unit == "share":
        return f"{100 * value:.1f} points"
    return f"{value:.3g} nats" if row.spec.unit == "nats" else f"{value:.3g}"
