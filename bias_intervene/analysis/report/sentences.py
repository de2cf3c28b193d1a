"""States a row of the comparison in one sentence.

Input: a row with its difference, its p-values and the least effect that its design could have detected.
Output: a sentence.
Guarantees: a sentence that reports no difference also states the difference that the design would have detected.
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
    p = row.p if row.p_holm is None else row.p_holm
    provisos = "".join(f"; {phrase}" for phrase in _provisos_of(row))
    if p is None or row.p is None:
        return f"too little to say whether there is a difference{provisos}"
    if p < ALPHA:
        direction = "higher" if row.difference > 0 else "lower"
        interval = f"[{_amount(row.ci_low, row)}, {_amount(row.ci_high, row)}]"
        after_holm = " after Holm" if row.p_holm is not None else ""
        change = f"{direction} by {_amount(abs(row.difference), row)} {interval}"
        return f"{change}, p {probability(p)}{after_holm}{provisos}"
    if row.minimum_detectable_effect is None:
        return f"no difference: every item is the same{provisos}"
    if row.p < ALPHA:
        return f"no difference that outlasts Holm's correction (p {probability(row.p)} alone{provisos})"
    detectable = _amount(row.minimum_detectable_effect, row)
    return f"no difference detected; this design sees {detectable} with 80% power{provisos}"


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
