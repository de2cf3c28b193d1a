"""Standard errors, intervals, paired comparisons, power. Pure; scipy does the distributions.

Enters: one number an item. Leaves: estimates with their uncertainty. Items are the unit of analysis and two models are
scored on the same items, so a difference is always taken within an item and never between two averages. Items that
share a template are not independent: where `clusters` are given, the cluster is the unit. Every function names its
source; the tests hold them against statsmodels, closed forms and simulations.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, stats

LEVEL = 0.95
"""Of every interval."""
RESAMPLES = 10_000


# --- one sample ------------------------------------------------------------------------------------------------


def mean_and_stderr(
    values: Sequence[float] | np.ndarray, clusters: Sequence[Any] | np.ndarray | None = None
) -> tuple[float, float]:
    """Mean and its standard error: s/sqrt(n), s with n-1 (as lm-evaluation-harness reports it), or clustered.

    values: (n,). clusters: (n,) labels; items of one label may depend on each other in any way (`clustered_stderr`).
    One value, or one cluster, gives a standard error of nan: nothing is known of its spread.

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

    >>> round(clustered_stderr(np.array([-1.0, -1.0, 1.0, 1.0]), ["a", "a", "b", "b"]), 4)
    1.0
    """
    sums = cluster_sums(residuals, clusters)
    if sums.size < 2:
        return float("nan")
    return float(np.sqrt(sums.size / (sums.size - 1) * (sums**2).sum()) / residuals.size)


def cluster_sums(values: np.ndarray, clusters: Sequence[Any] | np.ndarray) -> np.ndarray:
    """(G,) sum of the values of each cluster."""
    _, labels = np.unique(np.asarray(clusters), return_inverse=True)
    return np.bincount(labels, weights=values)


def perplexity_and_stderr(log_likelihoods: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """exp of minus the mean log-likelihood an item (nats), and its standard error by the delta method.

    >>> perplexity_and_stderr([-1.0, -1.0, -1.0])
    (2.718281828459045, 0.0)
    """
    mean, stderr = mean_and_stderr(log_likelihoods)
    perplexity = float(np.exp(-mean))
    return perplexity, perplexity * stderr


def wilson_interval(successes: int, n: int, *, level: float = LEVEL) -> tuple[float, float]:
    """Score interval of a share. Source: Wilson 1927; Brown, Cai and DasGupta 2001 on why not the normal one.

    >>> tuple(round(x, 4) for x in wilson_interval(0, 10))
    (0.0, 0.2775)
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes of {n}")
    z = float(stats.norm.ppf(0.5 + level / 2))
    share = successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def bootstrap_interval(
    values: np.ndarray,
    *,
    statistic: Callable[..., Any] = np.mean,
    clusters: Sequence[Any] | np.ndarray | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Bootstrap interval of a statistic over items, or over whole clusters.

    values: (n,). statistic: takes (n,) and `axis`. Independent items: bias-corrected and accelerated (Efron 1987, by
    scipy). Clusters: percentile interval over clusters drawn with replacement (Davison and Hinkley 1997, 3.8).
    """
    if clusters is None:
        if np.ptp(values) == 0:
            return float(values[0]), float(values[0])
        found: Any = stats.bootstrap(
            (values,), statistic, confidence_level=level, n_resamples=resamples, rng=np.random.default_rng(seed)
        )
        return float(found.confidence_interval.low), float(found.confidence_interval.high)
    _, labels = np.unique(np.asarray(clusters), return_inverse=True)
    members = [np.flatnonzero(labels == label) for label in range(labels.max() + 1)]
    draw = np.random.default_rng(seed)
    drawn = [
        float(statistic(values[np.concatenate([members[i] for i in draw.integers(len(members), size=len(members))])]))
        for _ in range(resamples)
    ]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


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
    level: float = LEVEL,
) -> PairedComparison:
    """Paired difference with its t interval, and a p-value.

    baseline, treatment: (n,), the same items in the same order. p: McNemar's exact test for independent 0/1 items, the
    paired t test for other independent items; with clusters the t test on the clustered standard error, with one degree
    of freedom less than clusters (Cameron and Miller 2015). Identical items give p = 1.
    """
    if baseline.shape != treatment.shape:
        raise ValueError(f"unequal numbers of items: {baseline.shape} and {treatment.shape}")
    differences = treatment.astype(np.float64) - baseline.astype(np.float64)
    mean, stderr = mean_and_stderr(differences, clusters)
    n = differences.size
    units = n if clusters is None else len(set(np.asarray(clusters).tolist()))
    half = float(stats.t.ppf(0.5 + level / 2, units - 1)) * stderr if units > 1 else float("nan")
    df = units - 1 if units > 1 else None
    if not differences.any():
        p = 1.0
    elif clusters is None and np.isin(baseline, (0.0, 1.0)).all() and np.isin(treatment, (0.0, 1.0)).all():
        p, df = mcnemar_exact(gained=int((differences > 0).sum()), lost=int((differences < 0).sum())), None
    elif units > 1 and stderr > 0:
        p = float(2 * stats.t.sf(abs(mean) / stderr, units - 1))
    else:
        p = float("nan")
    return PairedComparison(mean, ci_low=mean - half, ci_high=mean + half, p=p, n=n, stderr=stderr, df=df)


def compare_unpaired(
    baseline: float,
    baseline_stderr: float | None,
    treatment: float,
    treatment_stderr: float | None,
    *,
    level: float = LEVEL,
) -> PairedComparison:
    """Difference of two values of which only the standard errors are known, taken as independent and normal.

    Wider than a paired comparison of the same items, because what the items have in common is not taken out. The
    interval and p are nan where a standard error is missing or both are 0; n is 0: no items were compared.
    """
    difference = treatment - baseline
    stderr = math.hypot(*(float("nan") if one is None else one for one in (baseline_stderr, treatment_stderr)))
    if not stderr > 0:
        return PairedComparison(difference, float("nan"), float("nan"), float("nan"), 0)
    half = float(stats.norm.ppf(0.5 + level / 2)) * stderr
    p = float(2 * stats.norm.sf(abs(difference) / stderr))
    return PairedComparison(difference, difference - half, difference + half, p, 0, stderr)


def compare_perplexity(baseline: np.ndarray, treatment: np.ndarray, *, level: float = LEVEL) -> PairedComparison:
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
    return PairedComparison(difference, difference - half, difference + half, p, n, stderr, n - 1 if n > 1 else None)


def mcnemar_exact(*, gained: int, lost: int) -> float:
    """Two-sided exact p-value of `gained` against `lost` discordant pairs. Source: McNemar 1947, binomial form.

    >>> mcnemar_exact(gained=5, lost=0)
    0.0625
    """
    if gained + lost == 0:
        return 1.0
    return float(stats.binomtest(gained, gained + lost, 0.5).pvalue)


def sign_flip_test(
    differences: np.ndarray,
    *,
    clusters: Sequence[Any] | np.ndarray | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> float:
    """Two-sided p-value of "the mean difference is 0" by flipping signs, of items or of whole clusters.

    differences: (n,). All sign patterns where there are at most `resamples` of them, else that many drawn ones, the
    observed one counted in (Phipson and Smyth 2010). Source: Fisher 1935; Good 2005, chapter 3.

    >>> sign_flip_test(np.array([1.0, 2.0, 3.0]))
    0.25
    """
    units = differences if clusters is None else cluster_sums(differences, clusters)
    units = units[units != 0]
    if units.size == 0:
        return 1.0
    observed = abs(units.sum())
    # Sums that are equal but for rounding count as equal.
    reached = observed * (1 - 1e-12)
    if 2**units.size <= resamples:
        patterns = (np.arange(2**units.size)[:, None] >> np.arange(units.size)) & 1
        return float((np.abs((1 - 2 * patterns) @ units) >= reached).mean())
    signs = np.random.default_rng(seed).integers(0, 2, size=(resamples, units.size), dtype=np.int8) * 2 - 1
    return float((1 + (np.abs(signs @ units) >= reached).sum()) / (1 + resamples))


def compare_gap(high: np.ndarray, low: np.ndarray, *, level: float = LEVEL) -> PairedComparison:
    """Change of the gap between two groups of items: mean(high) - mean(low), with Welch's interval and test.

    high, low: the paired differences (treatment - baseline) of the items of each group. Source: Welch 1947.
    """
    difference = float(high.mean() - low.mean())
    n = high.size + low.size
    if not high.any() and not low.any():
        return PairedComparison(difference=0.0, ci_low=0.0, ci_high=0.0, p=1.0, n=n, stderr=0.0)
    if min(high.size, low.size) < 2:
        return PairedComparison(difference, float("nan"), float("nan"), float("nan"), n)
    test: Any = stats.ttest_ind(high, low, equal_var=False)
    interval = test.confidence_interval(level)
    stderr = float(np.hypot(mean_and_stderr(high)[1], mean_and_stderr(low)[1]))
    return PairedComparison(
        difference, float(interval.low), float(interval.high), float(test.pvalue), n, stderr, float(test.df)
    )


# --- several comparisons, power, seeds, checkpoints ------------------------------------------------------------


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of a family, in its order. nan stays nan and is not counted. Source: Holm 1979.

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
    stderr: float, *, df: float | None = None, power: float = 0.8, level: float = LEVEL
) -> float:
    """The smallest true difference that a two-sided test at 1 - level finds with probability `power`.

    stderr: of the paired difference. df: degrees of freedom of its t test; None: normal (Bloom 1995). With few of them
    the critical value is larger and the standard error itself uncertain: noncentral t (Cohen 1988, 2.5).

    >>> round(minimum_detectable_effect(1.0), 3), round(minimum_detectable_effect(1.0, df=2), 3)
    (2.802, 5.653)
    """
    return stderrs_detected(df, power, level) * stderr


@functools.cache
def stderrs_detected(df: float | None, power: float, level: float) -> float:
    """The effect that is found with probability `power`, in standard errors."""
    if df is None:
        return float(stats.norm.ppf(0.5 + level / 2) + stats.norm.ppf(power))
    critical = float(stats.t.ppf(0.5 + level / 2, df))
    # The noncentral t as a mixture of normals over the estimated variance: scipy's own gives nan for few df.
    shares = (np.arange(2000) + 0.5) / 2000
    reach = critical * np.sqrt(stats.chi2.ppf(shares, df) / df)

    def lacking(effect: float) -> float:
        return float(np.mean(stats.norm.sf(reach - effect) + stats.norm.cdf(-reach - effect))) - power

    found: Any = optimize.brentq(lacking, 0.0, 20 * critical)
    return float(found)


@dataclass(frozen=True)
class OverSeeds:
    """A quantity over repetitions with other seeds."""

    mean: float
    standard_deviation: float
    """Between seeds; nan with one seed."""
    ci_low: float
    ci_high: float
    seeds: int


def over_seeds(values: Sequence[float] | np.ndarray, *, level: float = LEVEL) -> OverSeeds:
    """Mean over seeds with Student's t interval (Student 1908), each seed one observation.

    >>> found = over_seeds([1.0, 2.0, 3.0]); found.mean, round(found.ci_low, 3), round(found.ci_high, 3)
    (2.0, -0.484, 4.484)
    """
    array = np.asarray(values, dtype=np.float64)
    mean, stderr = mean_and_stderr(array)
    half = float(stats.t.ppf(0.5 + level / 2, array.size - 1)) * stderr if array.size > 1 else float("nan")
    spread = float(array.std(ddof=1)) if array.size > 1 else float("nan")
    return OverSeeds(mean, spread, mean - half, mean + half, int(array.size))


@dataclass(frozen=True)
class Trend:
    """A metric's line over training steps."""

    slope: float
    """A step."""
    ci_low: float
    ci_high: float
    p: float
    tau: float
    """Kendall's rank correlation: the monotone part, free of the line's shape."""
    tau_p: float


def trend(steps: Sequence[int] | np.ndarray, values: Sequence[float] | np.ndarray, *, level: float = LEVEL) -> Trend:
    """Least squares slope over checkpoints with its t interval, and Kendall's tau. (n,) each, n >= 3.

    Checkpoints of one run share their past, so this describes one run; it does not generalise to other runs. Source:
    Kendall 1938 for tau.
    """
    x, y = np.asarray(steps, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if x.size < 3:
        raise ValueError(f"a trend needs 3 checkpoints or more, found {x.size}")
    line: Any = stats.linregress(x, y)
    half = float(stats.t.ppf(0.5 + level / 2, x.size - 2)) * float(line.stderr)
    rank: Any = stats.kendalltau(x, y)
    return Trend(
        float(line.slope), float(line.slope) - half, float(line.slope) + half, float(line.pvalue),
        float(rank.statistic), float(rank.pvalue),
    )  # fmt: skip
