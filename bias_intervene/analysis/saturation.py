"""Marks shares that say nothing, because the model says one form whatever it is asked.

A share of forced choices between a masculine and a feminine form (is the pro-stereotypical sentence the likelier one?)
is 50% by construction for a model that always says *she*: a shift of all pronouns alike moves it there. The difference
in nats behind the share is not bounded, so it is to be read in its place (`ComparisonRow.difference_nats`).

Input: the rows that compare one pair of checkpoints, or that hold the values of one.
Output: the same rows, each side marked as saturated or not.
Guarantees: what is a forced choice is read from the specs. A share without a share of its forms is not marked.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bias_intervene.results import ComparisonRow, MetricKey, MetricSpecs

_NEAR = 0.05
"""A model that says one form in 95% of the choices or more: what is left for the items is at most 5 points."""
_LEAST_FORCED = 0.25
"""A share over items of which fewer than this are forced choices (all pairs of CrowS-Pairs) is another matter."""


def read_with(metrics: Iterable[str], specs: MetricSpecs) -> set[str]:
    """Names of metrics, with those that must be compared too so that these can be read: their nats and their forms."""
    names = set(metrics)
    behind = [name for spec in specs if spec.metric in names for name in (spec.in_nats, spec.share_of_one_form)]
    return names.union(name for name in behind if name is not None)


def with_saturation(rows: Sequence[ComparisonRow]) -> list[ComparisonRow]:
    """The rows with `saturated` and `baseline_saturated` set. rows: of every metric of the checkpoints."""
    by_key = {row.key: row for row in rows}
    return [_marked(row, by_key) for row in rows]


def is_saturated(row: ComparisonRow) -> bool:
    """Whether either side of a row is marked."""
    return bool(row.saturated or row.baseline_saturated)


def _marked(row: ComparisonRow, by_key: dict[MetricKey, ComparisonRow]) -> ComparisonRow:
    """The row, marked if it is a share of forced choices."""
    if row.spec.share_of_one_form is None:
        return row
    forms = by_key.get(row.key._replace(metric=row.spec.share_of_one_form))
    if forms is None or (forms.n is not None and row.n is not None and forms.n < _LEAST_FORCED * row.n):
        return row
    return replace(row, saturated=_is_one_form(forms.value), baseline_saturated=_is_one_form(forms.baseline))


def _is_one_form(masculine_share: float | None) -> bool | None:
    """Whether nearly all choices are masculine, or nearly none."""
    return None if masculine_share is None else min(masculine_share, 1 - masculine_share) <= _NEAR
