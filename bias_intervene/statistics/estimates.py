"""Estimates from the items of one model: means, perplexities, shares, and their standard errors."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy

LEVEL = 0.95
"""Confidence level of every interval."""
ROUNDING = 1e-9
"""A spread of less than this share of the values is rounding: their sums were computed in another order."""


def mean_and_stderr(
    values: Sequence[float] | np.ndarray, clusters: Sequence[Any] | np.ndarray | None = None, *, size: float = 0.0
) -> tuple[float, float]:
    """Mean and its standard error: s/sqrt(n), s with n-1 (as lm-evaluation-harness reports it), or clustered.

    values: (n,). clusters: (n,) or (n, 2) labels; items of one label may depend on each other in any way
    (`clustered_stderr`). size: of what the values are differences of, to tell a spread from rounding. One value, or one
    cluster, gives a standard error of nan: its spread cannot be estimated. Equal values give 0.

    >>> mean_and_stderr([0.0, 1.0, 1.0, 0.0])
    (0.5, 0.28867513459481287)
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        raise ValueError("no values to average")
    mean = float(array.mean())
    if array.size == 1:
        return mean, float("nan")
    spread, rounding = float(array.std(ddof=1)), ROUNDING * max(abs(mean), size)
    if spread <= rounding:
        return (mean if abs(mean) > rounding else 0.0), 0.0
    if clusters is None:
        return mean, float(spread / np.sqrt(array.size))
    stderr = clustered_stderr(array - mean, clusters)
    # Different values whose clusters have equal sums: how far clusters differ is not known.
    return mean, stderr if stderr > rounding else float("nan")


def clustered_stderr(residuals: np.ndarray, clusters: Sequence[Any] | np.ndarray) -> float:
    """Cluster-robust standard error of a mean: sqrt(G/(G-1) * sum of squared cluster sums) / n.

    residuals: (n,), value minus mean. G: number of clusters. Source: Liang and Zeger 1986, with the small-sample factor
    G/(G-1); with clusters of one item it is s/sqrt(n).

    Two labels an item, (n, 2): items that share either label may depend on each other. The variance is that by the
    first label plus that by the second minus that by both together, each with its own factor (Cameron, Gelbach and
    Miller 2011). This difference can be too small or negative by chance where the labels matter little. Cameron,
    Gelbach and Miller replace a negative variance by 0, which as a standard error would make any difference
    significant; here the variance is never below that by both labels together.

    >>> round(clustered_stderr(np.array([-1.0, -1.0, 1.0, 1.0]), ["a", "a", "b", "b"]), 4)
    1.0
    """
    factors = _group_numbers(clusters)
    if min(map(_num_groups, factors)) < 2:
        return float("nan")
    if len(factors) == 1:
        return math.sqrt(_variance_of_sum(residuals, factors[0])) / residuals.size
    first, second = factors
    by_both = _variance_of_sum(residuals, np.unique(first * _num_groups(second) + second, return_inverse=True)[1])
    by_either = _variance_of_sum(residuals, first) + _variance_of_sum(residuals, second)
    return math.sqrt(max(by_either - by_both, by_both)) / residuals.size


def cluster_means(values: np.ndarray, clusters: Sequence[Any] | np.ndarray | None) -> np.ndarray:
    """(G,) mean of the values of each cluster; the values themselves without clusters. clusters: (n,) labels."""
    if clusters is None:
        return values
    (numbers,) = _group_numbers(clusters)
    return np.bincount(numbers, weights=values) / np.bincount(numbers)


def num_units(n: int, clusters: Sequence[Any] | np.ndarray | None) -> int:
    """Number of independent units among n items: the items; the clusters; or, of crossed clusters, those of the factor
    that has fewer of them, as the degrees of freedom want it (Cameron, Gelbach and Miller 2011).
    """
    return n if clusters is None else min(map(_num_groups, _group_numbers(clusters)))


def _group_numbers(clusters: Sequence[Any] | np.ndarray) -> list[np.ndarray]:
    """Of each factor, the number of every item's group, (n,) from 0."""
    labels = np.asarray(clusters)
    columns = [labels] if labels.ndim == 1 else list(labels.T)
    return [np.unique(column, return_inverse=True)[1] for column in columns]


def _num_groups(numbers: np.ndarray) -> int:
    """Number of groups, of items whose groups are numbered from 0."""
    return int(numbers.max()) + 1


def _variance_of_sum(residuals: np.ndarray, numbers: np.ndarray) -> float:
    """The variance of the sum of the residuals, clustered by one factor, whose groups are numbered from 0."""
    sums = np.bincount(numbers, weights=residuals)
    return float(sums.size / (sums.size - 1) * (sums**2).sum())


def perplexity_and_stderr(log_likelihoods: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """exp of minus the mean log-likelihood an item (nats), and its standard error by the delta method.

    >>> perplexity_and_stderr([-1.0, -1.0, -1.0])
    (2.718281828459045, 0.0)
    """
    mean, stderr = mean_and_stderr(log_likelihoods)
    perplexity = float(np.exp(-mean))
    return perplexity, perplexity * stderr


def wilson_interval(successes: int, n: int, *, level: float = LEVEL) -> tuple[float, float]:
    """Score interval of a proportion. Source: Wilson 1927; Brown, Cai and DasGupta 2001 on why not the normal one.

    >>> tuple(round(x, 4) for x in wilson_interval(0, 10))
    (0.0, 0.2775)
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes of {n}")
    z = float(scipy.stats.norm.ppf(0.5 + level / 2))
    share = successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))
