"""Combines the comparison rows of several seeds of one arm into one row.

Input: the rows of the comparison of each seed.
Output: one row per metric and step.
Guarantees: each seed is one observation, so the interval and the test are Student's over seeds (Student 1908). The mean
standard error over items that a single run reports is kept beside the standard deviation between seeds. Seeds that give
the same difference have no interval and no p, however many they are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from bias_intervene.results import ComparisonRow, MetricKey, none_if_not_finite
from bias_intervene.statistics import over_seeds


def over_replicates(by_replicate: Sequence[Iterable[ComparisonRow]]) -> list[ComparisonRow]:
    """One row per metric and step. Where there is one seed only, its row is returned unchanged."""
    by_metric: dict[tuple[MetricKey, int | None], list[ComparisonRow]] = {}
    for rows in by_replicate:
        for row in rows:
            by_metric.setdefault((row.key, row.step), []).append(row)
    return [rows[0] if len(rows) == 1 else _over_seeds(rows) for rows in by_metric.values()]


def _over_seeds(rows: Sequence[ComparisonRow]) -> ComparisonRow:
    """The rows of one metric and step, one per seed, as one row. Without a difference in all, only the value."""
    value = over_seeds([row.value for row in rows])
    row = replace(
        rows[0],
        value=value.mean,
        stderr=none_if_not_finite(value.standard_deviation / np.sqrt(value.seeds)),
        seeds=value.seeds,
        saturated=_any_known([each.saturated for each in rows]),
        baseline_saturated=_any_known([each.baseline_saturated for each in rows]),
    )
    differences = np.array([each.difference for each in rows if each.difference is not None])
    if len(differences) < len(rows):
        none = dict.fromkeys(("difference", "difference_stderr", "df", "ci_low", "ci_high", "p"))
        baselines = [each.baseline for each in rows if each.baseline is not None]
        return replace(row, baseline=float(np.mean(baselines)) if baselines else None, baseline_stderr=None, **none)
    baseline = over_seeds([each.baseline for each in rows if each.baseline is not None])
    difference = over_seeds(differences, size=max(abs(value.mean), abs(baseline.mean)))
    single_run_stderrs = [each.difference_stderr for each in rows if each.difference_stderr is not None]
    return replace(
        row,
        baseline=baseline.mean,
        baseline_stderr=none_if_not_finite(baseline.standard_deviation / np.sqrt(baseline.seeds)),
        difference=difference.mean,
        difference_stderr=none_if_not_finite(difference.standard_deviation / np.sqrt(difference.seeds)),
        df=None if np.isnan(difference.p) else difference.seeds - 1,
        discordant=None,
        ci_low=none_if_not_finite(difference.ci_low),
        ci_high=none_if_not_finite(difference.ci_high),
        p=none_if_not_finite(difference.p),
        between_seeds_sd=none_if_not_finite(difference.standard_deviation),
        single_run_stderr=float(np.mean(single_run_stderrs)) if len(single_run_stderrs) == len(rows) else None,
    )


def _any_known(flags: Iterable[bool | None]) -> bool | None:
    """Whether any flag is set; None where none is known."""
    known = [flag for flag in flags if flag is not None]
    return any(known) if known else None
