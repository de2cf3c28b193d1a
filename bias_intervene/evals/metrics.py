"""How the values of items become metrics: mean, standard error, number, in one shape for all benchmarks.

Input: rows of items. Such a row names its `protocol`, the `subsets` it counts in, its `cluster` where items depend on
each other, and has one column a metric, None where the metric does not apply to it. Output: `MetricValue`s.
Guarantees: the standard error is clustered where the items are, and None where one item alone was scored.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from bias_intervene.results import MetricValue
from bias_intervene.statistics import mean_and_stderr

ItemRow = dict[str, Any]
"""A row of the items' file. Its columns are those of its benchmark."""


def mean_of(rows: Sequence[ItemRow], *, protocol: str, subset: str, metric: str) -> MetricValue:
    """The mean of the column of that name, over the rows that have it; clustered where they have a `cluster`."""
    having = [row for row in rows if row[metric] is not None]
    values = np.array([row[metric] for row in having], dtype=np.float64)
    clusters = [row["cluster"] for row in having] if "cluster" in rows[0] else None
    estimate = mean_and_stderr(values, clusters)
    return metric_of(estimate, protocol=protocol, subset=subset, metric=metric, n=len(having))


def metric_of(estimate: tuple[float, float], *, protocol: str, subset: str, metric: str, n: int) -> MetricValue:
    """A metric from its value and standard error; the standard error of one item is unknown."""
    value, stderr = estimate
    return MetricValue(
        protocol=protocol, subset=subset, metric=metric, value=value, stderr=None if math.isnan(stderr) else stderr, n=n
    )


def by_subset(rows: Iterable[ItemRow]) -> dict[str, list[ItemRow]]:
    """Subset -> the rows that count in it, in the order of the rows."""
    groups: dict[str, list[ItemRow]] = {}
    for row in rows:
        for subset in row["subsets"]:
            groups.setdefault(subset, []).append(row)
    return groups
