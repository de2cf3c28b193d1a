"""Differences between two models over the same items, or between two treatments over seeds: intervals and tests."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy

from bias_intervene.statistics.estimates import (
    LEVEL,
    ROUNDING,
    mean_and_stderr,
    num_units,
    perplexity_and_stderr,
    wilson_interval,
)

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
    """0 where every item changed by the same: then there is neither an interval nor a p."""
    df: float | None = None
    """Degrees of freedom of Student's t; None: the normal distribution, an exact test, or no test."""
    discordant: int | None = None
    """Number of items that changed, where McNemar's exact test of 0/1 items was used; None: another test."""


def compare_paired(
    baseline: np.ndarray,
    treatment: np.ndarray,
    *,
    clusters: Sequence[Any] | np.ndarray | None = None,
    level: float = LEVEL,
) -> PairedComparison:
    """Paired difference with its interval and p.

    baseline, treatment: (n,), the same items in the same order. Independent 0/1 items: McNemar's exact test and its
    interval (`mcnemar_interval`). Other independent items: the paired t test. With clusters: the t test on the
    clustered standard error, with one degree of freedom less than clusters (Cameron and Miller 2015; see `num_units`).
    """
    if baseline.shape != treatment.shape:
        raise ValueError(f"unequal numbers of items: {baseline.shape} and {treatment.shape}")
    differences = treatment.astype(np.float64) - baseline.astype(np.float64)
    size = float(max(np.abs(baseline).mean(), np.abs(treatment).mean()))
    mean, stderr = mean_and_stderr(differences, clusters, size=size)
    n = differences.size
    if clusters is None and np.isin(baseline, (0.0, 1.0)).all() and np.isin(treatment, (0.0, 1.0)).all():
        gained, lost = int((differences > 0).sum()), int((differences < 0).sum())
        low, high = mcnemar_interval(gained=gained, lost=lost, n=n, level=level)
        p = mcnemar_exact(gained=gained, lost=lost)
        return PairedComparison(mean, low, high, p, n, stderr, discordant=gained + lost)
    return _student(mean, stderr, df=num_units(n, clusters) - 1, n=n, level=level)


def _student(difference: float, stderr: float, *, df: float, n: int, level: float) -> PairedComparison:
    """A comparison by Student's t; without interval and p where the standard error is 0 or unknown."""
    if not stderr > 0:
        return PairedComparison(difference, float("nan"), float("nan"), float("nan"), n, stderr)
    half = float(scipy.stats.t.ppf(0.5 + level / 2, df)) * stderr
    p = float(2 * scipy.stats.t.sf(abs(difference) / stderr, df))
    return PairedComparison(difference, difference - half, difference + half, p, n, stderr, df)


def compare_unpaired(
    baseline: float,
    baseline_stderr: float | None,
    treatment: float,
    treatment_stderr: float | None,
    *,
    level: float = LEVEL,
) -> PairedComparison:
    """Difference of two values of which only the standard errors are known, taken as independent and normal.

    The interval is wider than that of a paired comparison of the same items, because the variation between items
    does not cancel. The interval and p are nan where a standard error is missing or both are 0. n is 0, because no
    items were compared.
    """
    difference = treatment - baseline
    stderr = math.hypot(*(float("nan") if stderr is None else stderr for stderr in (baseline_stderr, treatment_stderr)))
    if not stderr > ROUNDING * max(abs(baseline), abs(treatment)):
        return PairedComparison(difference, float("nan"), float("nan"), float("nan"), 0)
    half = float(scipy.stats.norm.ppf(0.5 + level / 2)) * stderr
    p = float(2 * scipy.stats.norm.sf(abs(difference) / stderr))
    return PairedComparison(difference, difference - half, difference + half, p, 0, stderr)


def compare_perplexity(baseline: np.ndarray, treatment: np.ndarray, *, level: float = LEVEL) -> PairedComparison:
    """Difference of two perplexities over the same items, its interval by the delta method, p of the paired t test.

    baseline, treatment: (n,) log-likelihoods in nats. To first order, the change of a perplexity is the perplexity
    times the change of the mean, so the standard error is that of the items' differences, each side weighted by its
    perplexity.
    """
    paired = compare_paired(baseline, treatment, level=level)
    perplexities = [perplexity_and_stderr(values)[0] for values in (baseline, treatment)]
    difference = perplexities[1] - perplexities[0] if paired.difference else 0.0
    if not paired.stderr > 0:
        return replace(paired, difference=difference)
    _, stderr = mean_and_stderr(perplexities[0] * baseline - perplexities[1] * treatment)
    return replace(_student(difference, stderr, df=paired.n - 1, n=paired.n, level=level), p=paired.p)


def compare_gap(high: np.ndarray, low: np.ndarray, *, level: float = LEVEL) -> PairedComparison:
    """Change of the gap between two groups of items: mean(high) - mean(low), with Welch's interval and test.

    high, low: the paired differences (treatment - baseline) of the items of each group. Source: Welch 1947.
    """
    size = float(max(np.abs(high).mean(), np.abs(low).mean()))
    (high_mean, high_stderr), (low_mean, low_stderr) = (mean_and_stderr(group, size=size) for group in (high, low))
    difference, stderr, n = high_mean - low_mean, math.hypot(high_stderr, low_stderr), high.size + low.size
    if not stderr > 0:
        return PairedComparison(difference, float("nan"), float("nan"), float("nan"), n, 0.0 if size == 0 else math.nan)
    df = stderr**4 / (high_stderr**4 / (high.size - 1) + low_stderr**4 / (low.size - 1))
    return _student(difference, stderr, df=df, n=n, level=level)


# --- McNemar's test --------------------------------------------------------------------------------------------


def mcnemar_exact(*, gained: int, lost: int) -> float:
    """Two-sided exact p-value of `gained` against `lost` discordant pairs. Source: McNemar 1947, binomial form.

    >>> mcnemar_exact(gained=5, lost=0)
    0.0625
    """
    if gained + lost == 0:
        return 1.0
    return float(scipy.stats.binomtest(gained, gained + lost, 0.5).pvalue)


def mcnemar_interval(*, gained: int, lost: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Interval of the difference (gained - lost) / n, which excludes 0 where `mcnemar_exact` gives p < 1 - level.

    The difference is a product: the share of items that changed, times how far the changes go one way (-1 to 1). The
    first has Wilson's interval, the second the exact one of the test (Clopper and Pearson 1934), and both are put
    together by the distances of their ends (Donner and Zou 2012). The second interval alone, which takes the number of
    changes as given, would be too narrow where most go one way. Without a change there is none: (nan, nan).

    >>> tuple(round(x, 3) for x in mcnemar_interval(gained=5, lost=0, n=5))
    (-0.13, 1.0)
    """
    changed = gained + lost
    if changed == 0:
        return float("nan"), float("nan")
    share, (fewest, most) = changed / n, wilson_interval(changed, n, level=level)
    exact = scipy.stats.binomtest(gained, changed).proportion_ci(level, method="exact")
    way, way_low, way_high = (gained - lost) / changed, 2 * float(exact.low) - 1, 2 * float(exact.high) - 1
    to_low, to_high = (share - fewest, most - share) if way > 0 else (most - share, share - fewest)
    low = share * way - math.hypot(share * (way - way_low), way * to_low)
    high = share * way + math.hypot(share * (way_high - way), way * to_high)
    # An end on the side of the difference stays there if the test is significant.
    low = max(low, fewest * way_low) if way_low > 0 else max(low, -1.0)
    high = min(high, fewest * way_high) if way_high < 0 else min(high, 1.0)
    return low, high


# --- several comparisons, several seeds ------------------------------------------------------------------------


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


@dataclass(frozen=True)
class OverSeeds:
    """Summary of a quantity measured once per seed."""

    mean: float
    standard_deviation: float
    """Between seeds; nan for a single seed."""
    ci_low: float
    ci_high: float
    p: float
    """Of Student's test of a mean of 0; two-sided."""
    seeds: int


def over_seeds(values: Sequence[float] | np.ndarray, *, size: float = 0.0, level: float = LEVEL) -> OverSeeds:
    """Mean over seeds with Student's t interval (Student 1908), each seed being one observation.

    size: see `mean_and_stderr`. Equal values have a standard deviation of 0, and neither an interval nor a p.

    >>> summary = over_seeds([1.0, 2.0, 3.0]); summary.mean, round(summary.ci_low, 3), round(summary.ci_high, 3)
    (2.0, -0.484, 4.484)
    """
    n = len(values)
    test = _student(*mean_and_stderr(values, size=size), df=n - 1, n=n, level=level)
    return OverSeeds(test.difference, test.stderr * math.sqrt(n), test.ci_low, test.ci_high, test.p, n)
