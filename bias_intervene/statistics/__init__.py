"""Standard errors, intervals, paired comparisons and power, as pure functions.

The unit of analysis is the item. Two models are scored on the same items, so differences are computed item by item and
not between two means. Items that share a template are not independent: where `clusters` are given, the cluster is the
unit. Items about two occupations each belong to two clusters at once, which cross: then there are two labels an item.
Every function names its source, and the tests compare it with statsmodels, closed forms and simulations.

Input: one number per item (or per seed).
Output: estimates with their standard errors, intervals and p-values.
Guarantees: no side effects and no random numbers. Where the spread cannot be estimated, the result is NaN, not 0. Where
there is no spread, which says nothing of the spread elsewhere, the standard error is 0, and interval and p are NaN.

`estimates` are of one model, `differences` of two models or over seeds, and `power` says what a test can detect.
"""

from bias_intervene.statistics.differences import (
    OverSeeds,
    PairedComparison,
    compare_gap,
    compare_paired,
    compare_perplexity,
    compare_unpaired,
    holm,
    mcnemar_exact,
    mcnemar_interval,
    over_seeds,
)
from bias_intervene.statistics.estimates import (
    cluster_means,
    clustered_stderr,
    mean_and_stderr,
    perplexity_and_stderr,
    wilson_interval,
)
from bias_intervene.statistics.power import mcnemar_power, minimum_detectable_effect, minimum_detectable_share

__all__ = [
    "OverSeeds",
    "PairedComparison",
    "cluster_means",
    "clustered_stderr",
    "compare_gap",
    "compare_paired",
    "compare_perplexity",
    "compare_unpaired",
    "holm",
    "mcnemar_exact",
    "mcnemar_interval",
    "mcnemar_power",
    "mean_and_stderr",
    "minimum_detectable_effect",
    "minimum_detectable_share",
    "over_seeds",
    "perplexity_and_stderr",
    "wilson_interval",
]
