"""Standard errors and paired comparisons. Pure; scipy does the distributions.

Enters: one number an item. Leaves: estimates with their uncertainty. Items are the unit of analysis and two models are
scored on the same items, so a difference is always taken within an item and never between two averages.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats


def mean_and_stderr(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Mean and its standard error s/sqrt(n), s with n-1 (as lm-evaluation-harness reports it).

    values: (n,). One value gives a standard error of nan: nothing is known of its spread.

    >>> mean_and_stderr([0.0, 1.0, 1.0, 0.0])
    (0.5, 0.28867513459481287)
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        raise ValueError("no values to average")
    stderr = float(array.std(ddof=1) / np.sqrt(array.size)) if array.size > 1 else float("nan")
    return float(array.mean()), stderr


def perplexity_and_stderr(log_likelihoods: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """exp of minus the mean log-likelihood an item (nats), and its standard error by the delta method.

    >>> perplexity_and_stderr([-1.0, -1.0, -1.0])
    (2.718281828459045, 0.0)
    """
    mean, stderr = mean_and_stderr(log_likelihoods)
    perplexity = float(np.exp(-mean))
    return perplexity, perplexity * stderr


@dataclass(frozen=True)
class PairedComparison:
    """Difference treatment - baseline over the same items."""

    difference: float
    ci_low: float
    ci_high: float
    p: float
    n: int


def compare_paired(baseline: np.ndarray, treatment: np.ndarray, *, level: float = 0.95) -> PairedComparison:
    """Paired difference with its t interval, and a p-value: McNemar's exact test for 0/1 items, else the paired t.

    baseline, treatment: (n,), the same items in the same order. McNemar: McNemar 1947, exact binomial form on the
    discordant pairs. Identical items give p = 1.
    """
    if baseline.shape != treatment.shape:
        raise ValueError(f"unequal numbers of items: {baseline.shape} and {treatment.shape}")
    differences = treatment.astype(np.float64) - baseline.astype(np.float64)
    mean, stderr = mean_and_stderr(differences)
    n = differences.size
    half = float(stats.t.ppf(0.5 + level / 2, n - 1)) * stderr if n > 1 else float("nan")
    if not differences.any():
        p = 1.0
    elif np.isin(baseline, (0.0, 1.0)).all() and np.isin(treatment, (0.0, 1.0)).all():
        p = mcnemar_exact(gained=int((differences > 0).sum()), lost=int((differences < 0).sum()))
    elif n > 1 and stderr > 0:
        p = float(2 * stats.t.sf(abs(mean) / stderr, n - 1))
    else:
        p = float("nan")
    return PairedComparison(difference=mean, ci_low=mean - half, ci_high=mean + half, p=p, n=n)


def compare_perplexity(baseline: np.ndarray, treatment: np.ndarray, *, level: float = 0.95) -> PairedComparison:
    """Difference of two perplexities over the same items, its interval by the delta method, p of the paired t test.

    baseline, treatment: (n,) log-likelihoods in nats. To first order an item moves a perplexity by the perplexity times
    what it moves the mean, so the difference's spread is that of the items' weighted differences.
    """
    perplexities = [perplexity_and_stderr(values)[0] for values in (baseline, treatment)]
    difference = perplexities[1] - perplexities[0]
    weighted = perplexities[0] * baseline - perplexities[1] * treatment
    n = weighted.size
    _, stderr = mean_and_stderr(weighted)
    half = float(stats.t.ppf(0.5 + level / 2, n - 1)) * stderr if n > 1 else float("nan")
    p = compare_paired(baseline, treatment, level=level).p
    return PairedComparison(difference=difference, ci_low=difference - half, ci_high=difference + half, p=p, n=n)


def mcnemar_exact(*, gained: int, lost: int) -> float:
    """Two-sided exact p-value of `gained` against `lost` discordant pairs.

    >>> mcnemar_exact(gained=5, lost=0)
    0.0625
    """
    if gained + lost == 0:
        return 1.0
    return float(stats.binomtest(gained, gained + lost, 0.5).pvalue)


def compare_gap(high: np.ndarray, low: np.ndarray, *, level: float = 0.95) -> PairedComparison:
    """Change of the gap between two groups of items: mean(high) - mean(low), with Welch's interval and test.

    high, low: the paired differences (treatment - baseline) of the items of each group.
    """
    difference = float(high.mean() - low.mean())
    n = high.size + low.size
    if not high.any() and not low.any():
        return PairedComparison(difference=0.0, ci_low=0.0, ci_high=0.0, p=1.0, n=n)
    if min(high.size, low.size) < 2:
        return PairedComparison(difference, float("nan"), float("nan"), float("nan"), n)
    test: Any = stats.ttest_ind(high, low, equal_var=False)
    interval = test.confidence_interval(level)
    return PairedComparison(difference, float(interval.low), float(interval.high), float(test.pvalue), n)
