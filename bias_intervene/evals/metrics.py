"""Computes metrics (mean, standard error, number of items) from the rows of items, for all benchmarks.

Input: rows of items. A row names its `protocol`, the `subsets` it belongs to, its `cluster` if items depend on each
other (a label, or a list of two where an item belongs to two clusters that cross), and has one column per metric, which
is None where the metric does not apply to the item.
Output: `MetricValue`s.
Guarantees: standard errors are clustered if the rows have clusters, and None if only one item was scored.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from bias_intervene.results import MetricValue
from bias_intervene.statistics import mean_and_stderr

ItemRow = dict[str, Any]
"""A row of a file of items. Each benchmark has columns of its own."""


def mean_of(rows: Sequence[ItemRow], *, protocol: str, subset: str, metric: str) -> MetricValue:
    """The mean of the column `metric` over the rows where it is not None, with its standard error."""
    applicable = [row for row in rows if row[metric] is not None]
    values = np.array([row[metric] for row in applicable], dtype=np.float64)
    clusters = [row["cluster"] for row in applicable] if "cluster" in rows[0] else None
    estimate = mean_and_stderr(values, clusters)
    return metric_of(estimate, protocol=protocol, subset=subset, metric=metric, n=len(applicable))


def metric_of(estimate: tuple[float, float], *, protocol: str, subset: str, metric: str, n: int) -> MetricValue:
    """A metric from (value, standard error); a standard error of NaN, as of a single item, becomes None."""
    value, stderr = estimate
    return MetricValue(
        protocol=protocol, subset=subset, metric=metric, value=value, stderr=None if math.isnan(stderr) else stderr, n=n
    )


def by_subset(rows: Iterable[ItemRow]) -> dict[str, list[ItemRow]]:
    """Subset -> the rows that belong to it, in their order."""
    groups: dict[str, list[ItemRow]] = {}
    for row in rows:
        for subset in row["subsets"]:
            groups.setdefault(subset, []).append(row)
    return groups
