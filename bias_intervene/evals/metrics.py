"""How the values of items become the rows of results.json: mean, standard error, number, in one shape for all.

An item's row names its `protocol`, the `subsets` it counts in, its `cluster` where items depend on each other, and one
column a metric, None where the metric does not apply to it.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from bias_intervene.statistics import mean_and_stderr

Row = dict[str, Any]


def mean_of(rows: Sequence[Row], *, protocol: str, subset: str, metric: str) -> Row:
    """The mean of the column of that name, over the rows that have it; clustered where they have a `cluster`."""
    having = [row for row in rows if row[metric] is not None]
    values = np.array([row[metric] for row in having], dtype=np.float64)
    clusters = [row["cluster"] for row in having] if "cluster" in rows[0] else None
    estimate = mean_and_stderr(values, clusters)
    return metric_of(estimate, protocol=protocol, subset=subset, metric=metric, n=len(having))


def metric_of(estimate: tuple[float, float], *, protocol: str, subset: str, metric: str, n: int) -> Row:
    """A row of results.json; a standard error of one item is unknown, and JSON has no NaN."""
    value, stderr = estimate
    return {
        "protocol": protocol, "subset": subset, "metric": metric,
        "value": value, "stderr": None if math.isnan(stderr) else stderr, "n": n,
    }  # fmt: skip


def by_subset(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Subset -> the rows that count in it, in the order met."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        for subset in row["subsets"]:
            found.setdefault(subset, []).append(row)
    return found
