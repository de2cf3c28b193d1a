"""Power: the smallest true difference that a test detects."""

import functools
from typing import Any

import numpy as np
import scipy

from bias_intervene.statistics.differences import mcnemar_exact
from bias_intervene.statistics.estimates import LEVEL


def minimum_detectable_effect(
    stderr: float, *, df: float | None = None, power: float = 0.8, level: float = LEVEL
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


@functools.cache
def minimum_detectable_share(n: int, discordant: int, *, power: float = 0.8, level: float = LEVEL) -> float:
    """The smallest true difference that McNemar's exact test of n items detects with probability `power`.

    discordant: the number of items that changed, which tells how many are to be expected; of a larger true difference
    more must change. nan where the test cannot detect any, as with fewer than 6 items.

    >>> round(minimum_detectable_share(262, 1), 3), minimum_detectable_share(5, 5)
    (0.03, nan)
    """
    if mcnemar_exact(gained=n, lost=0) >= 1 - level:
        return float("nan")
    detected: Any = scipy.optimize.brentq(
        lambda difference: mcnemar_power(difference, n=n, discordant=discordant, level=level) - power, 1e-9, 1.0
    )
    return float(detected)


def mcnemar_power(difference: float, *, n: int, discordant: float, level: float = LEVEL) -> float:
    """Probability that McNemar's exact test of n items is significant, of a true difference of shares.

    discordant: expected number of items that change; at least as many as the difference needs. Their number is
    binomial, and so is the number that gain among them. Source: Miettinen 1968, summed instead of approximated.
    """
    changing = min(1.0, max(discordant / n, difference))
    low, high = scipy.stats.binom.ppf((1e-9, 1 - 1e-9), n, changing)
    changed = np.arange(max(low, 1), high + 1)
    # The least number of gains, and of losses, that is significant; more than there are where none is.
    critical = scipy.stats.binom.isf((1 - level) / 2, changed, 0.5) + 1
    gaining = (1 + difference / changing) / 2
    significant = sum(scipy.stats.binom.sf(critical - 1, changed, share) for share in (gaining, 1 - gaining))
    return float((scipy.stats.binom.pmf(changed, n, changing) * significant).sum())
