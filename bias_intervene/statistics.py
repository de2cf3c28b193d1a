"""Standard errors, intervals, paired comparisons and power, as pure functions.

The unit of analysis is the item. Two models are scored on the same items, so differences are computed item by item and
not between two means. Items that share a template are not independent: where `clusters` are given, the cluster is the
unit. Items about two occupations each belong to two clusters at once, which cross: then there are two labels an item.
Every function names its source, and the tests compare it with statsmodels, closed forms and simulations.

Input: one number per item (or per seed).
Output: estimates with their standard errors, intervals and p-values.
Guarantees: no side effects and no random numbers. Where the spread cannot be estimated, the result is NaN, not 0.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

_LEVEL = 0.95
"""Confidence level of every interval."""


# --- one sample ------------------------------------------------------------------------------------------------


def mean_and_stderr(
    values: Sequence[float] | np.ndarray, clusters: Sequence[Any] | np.ndarray | None = None
) -> tuple[float, float]:
    """Mean and its standard error: s/sqrt(n), s with n-1 (as lm-evaluation-harness reports it), or clustered.

    values: (n,). clusters: (n,) or (n, 2) labels; items of one label may depend on each other in any way
    (`clustered_stderr`). One value, or one cluster, gives a standard error of nan: its spread cannot be estimated.

    >>> mean_and_stderr([0.0, 1.0, 1.0, 0.0])
    (0.5, 0.28867513459481287)
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        raise ValueError("no values to average")
    mean = float(array.mean())
    if clusters is not None:
        return mean, clustered_stderr(array - mean, clusters)
    stderr = float(array.std(ddof=1) / np.sqrt(array.size)) if array.size > 1 else float("nan")
    return mean, stderr


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


def cluster_sums(values: np.ndarray, clusters: Sequence[Any] | np.ndarray) -> np.ndarray:
    """(G,) sum of the values of each cluster. clusters: (n,) labels."""
    (numbers,) = _group_numbers(clusters)
    return np.bincount(numbers, weights=values)


def _num_units(n: int, clusters: Sequence[Any] | np.ndarray | None) -> int:
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


def wilson_interval(successes: int, n: int, *, level: float = _LEVEL) -> tuple[float, float]:
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


# --- two models, the same items --------------------------------------------------------------------------------


@dataclass(frozen=True)
class PairedComparison:
    """Difference treatment - baseline over the same items."""

    difference: float
    ci_low: float
    ci_high: float
    p: float
    n: int
    stderr: float = float("nan")
    df: float | None = None
    """Degrees of freedom of Student's t; None: the normal distribution, or an exact test."""


def compare_paired(
    baseline: np.ndarray,
    treatment: np.ndarray,
    *,
    clusters: Sequence[Any] | np.ndarray | None = None,
    level: float = _LEVEL,
) -> PairedComparison:
    """Paired difference with its t interval, and a p-value.

    baseline, treatment: (n,), the same items in the same order. p: McNemar's exact test for independent 0/1 items, the
    paired t test for other independent items; with clusters the t test on the clustered standard error, with one degree
    of freedom less than clusters (Cameron and Miller 2015; see `_num_units`). Identical items give p = 1.
    """
    if baseline.shape != treatment.shape:
        raise ValueError(f"unequal numbers of items: {baseline.shape} and {treatment.shape}")
    differences = treatment.astype(np.float64) - baseline.astype(np.float64)
    mean, stderr = mean_and_stderr(differences, clusters)
    n = differences.size
    units = _num_units(n, clusters)
    half = float(scipy.stats.t.ppf(0.5 + level / 2, units - 1)) * stderr if units > 1 else float("nan")
    df = units - 1 if units > 1 else None
    if not differences.any():
        p = 1.0
    elif clusters is None and np.isin(baseline, (0.0, 1.0)).all() and np.isin(treatment, (0.0, 1.0)).all():
        p, df = mcnemar_exact(gained=int((differences > 0).sum()), lost=int((differences < 0).sum())), None
    elif units > 1 and stderr > 0:
        p = float(2 * scipy.stats.t.sf(abs(mean) / stderr, units - 1))
    else:
        p = float("nan")
    return PairedComparison(mean, ci_low=mean - half, ci_high=mean + half, p=p, n=n, stderr=stderr, df=df)


def compare_unpaired(
    baseline: float,
    baseline_stderr: float | None,
    treatment: float,
    treatment_stderr: float | None,
    *,
    level: float = _LEVEL,
) -> PairedComparison:
    """Difference of two values of which only the standard errors are known, taken as independent and normal.

    The interval is wider than that of a paired comparison of the same items, because the variation between items
    does not cancel. The interval and p are nan where a standard error is missing or both are 0. n is 0, because no
    items were compared.
    """
    difference = treatment - baseline
    stderr = math.hypot(*(float("nan") if stderr is None else stderr for stderr in (baseline_stderr, treatment_stderr)))
    if not stderr > 0:
        return PairedComparison(difference, float("nan"), float("nan"), float("nan"), 0)
    half = float(scipy.stats.norm.ppf(0.5 + level / 2)) * stderr
    p = float(2 * scipy.stats.norm.sf(abs(difference) / stderr))
    return PairedComparison(difference, difference - half, difference + half, p, 0, stderr)


def compare_perplexity(baseline: np.ndarray, treatment: np.ndarray, *, level: float = _LEVEL) -> PairedComparison:
    """Difference of two perplexities over the same items, its interval by the delta method, p of the paired t test.

    baseline, treatment: (n,) log-likelihoods in nats. To first order, the change of a perplexity is the perplexity
    times the change of the mean, so the standard error is that of the items' differences, each side weighted by its
    perplexity.
    """
    perplexities = [perplexity_and_stderr(values)[0] for values in (baseline, treatment)]
    difference = perplexities[1] - perplexities[0]
    weighted = perplexities[0] * baseline - perplexities[1] * treatment
    n = weighted.size
    _, stderr = mean_and_stderr(weighted)
    half = float(scipy.stats.t.ppf(0.5 + level / 2, n - 1)) * stderr if n > 1 else float("nan")
    p = compare_paired(baseline, treatment, level=level).p
    return PairedComparison(difference, difference - half, difference + half, p, n, stderr, n - 1 if n > 1 else None)


def mcnemar_exact(*, gained: int, lost: int) -> float:
    """Two-sided exact p-value of `gained` against `lost` discordant pairs. Source: McNemar 1947, binomial form.

    >>> mcnemar_exact(gained=5, lost=0)
    0.0625
    """
    if gained + lost == 0:
        return 1.0
    return float(scipy.stats.binomtest(gained, gained + lost, 0.5).pvalue)


def compare_gap(high: np.ndarray, low: np.ndarray, *, level: float = _LEVEL) -> PairedComparison:
    """Change of the gap between two groups of items: mean(high) - mean(low), with Welch's interval and test.

    high, low: the paired differences (treatment - baseline) of the items of each group. Source: Welch 1947.
    """
    difference = float(high.mean() - low.mean())
    n = high.size + low.size
    if not high.any() and not low.any():
        return PairedComparison(difference=0.0, ci_low=0.0, ci_high=0.0, p=1.0, n=n, stderr=0.0)
    if min(high.size, low.size) < 2:
        return PairedComparison(difference, float("nan"), float("nan"), float("nan"), n)
    test: Any = scipy.stats.ttest_ind(high, low, equal_var=False)
    interval = test.confidence_interval(level)
    stderr = float(np.hypot(mean_and_stderr(high)[1], mean_and_stderr(low)[1]))
    return PairedComparison(
        difference, float(interval.low), float(interval.high), float(test.pvalue), n, stderr, float(test.df)
    )


# --- several comparisons, power, seeds -------------------------------------------------------------------------


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of a family, in its order. nan stays nan and is not counted as a test. Source: Holm 1979.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    adjusted = np.full(p.size, np.nan)
    scaled = p[order] * np.arange(order.size, 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(scaled))
    return [float(value) for value in adjusted]


def minimum_detectable_effect(
    stderr: float, *, df: float | None = None, power: float = 0.8, level: float = _LEVEL
) -> float:
    """The smallest true difference that a two-sided test at 1 - level detects with probability `power`.

    stderr: of the paired difference. df: degrees of freedom of its t test; None: normal (Bloom 1995). With few degrees
    of freedom the critical value is larger and the standard error itself is uncertain: noncentral t (Cohen 1988, 2.5).

    >>> round(minimum_detectable_effect(1.0), 3), round(minimum_detectable_effect(1.0, df=2), 3)
    (2.802, 5.653)
    """
    return _stderrs_detected(df, power, level) * stderr


@functools.cache
def _stderrs_detected(df: float | None, power: float, level: float) -> float:
    """The effect that is detected with probability `power`, in standard errors."""
    if df is None:
        return float(scipy.stats.norm.ppf(0.5 + level / 2) + scipy.stats.norm.ppf(power))
    critical = float(scipy.stats.t.ppf(0.5 + level / 2, df))
    # The noncentral t as a mixture of normals over the estimated variance: scipy's own gives nan for few df.
    quantiles = (np.arange(2000) + 0.5) / 2000
    thresholds = critical * np.sqrt(scipy.stats.chi2.ppf(quantiles, df) / df)

    def excess_power(effect: float) -> float:
        beyond = scipy.stats.norm.sf(thresholds - effect) + scipy.stats.norm.cdf(-thresholds - effect)
        return float(np.mean(beyond)) - power

    effect: Any = scipy.optimize.brentq(excess_power, 0.0, 20 * critical)
    return float(effect)


@dataclass(frozen=True)
class OverSeeds:
    """Summary of a quantity measured once per seed."""

    mean: float
    standard_deviation: float
    """Between seeds; nan for a single seed."""
    ci_low: float
    ci_high: float
    seeds: int


def over_seeds(values: Sequence[float] | np.ndarray, *, level: float = _LEVEL) -> OverSeeds:
    """Mean over seeds with Student's t interval (Student 1908), each seed being one observation.

    >>> summary = over_seeds([1.0, 2.0, 3.0]); summary.mean, round(summary.ci_low, 3), round(summary.ci_high, 3)
    (2.0, -0.484, 4.484)
    """
    array = np.asarray(values, dtype=np.float64)
    mean, stderr = mean_and_stderr(array)
    half = float(scipy.stats.t.ppf(0.5 + level / 2, array.size - 1)) * stderr if array.size > 1 else float("nan")
    spread = float(array.std(ddof=1)) if array.size > 1 else float("nan")
    return OverSeeds(mean, spread, mean - half, mean + half, int(array.size))
