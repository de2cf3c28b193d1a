"""Several seeds of one arm as one row.

Input: rows of the comparison, those of each seed by themselves. Output: one row a metric and step. Guarantees: each
seed is one observation: interval and test are Student's over seeds, and the standard error that one seed alone reports
is kept beside the spread between seeds.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import scipy

from bias_intervene.results import ComparisonRow, MetricKey
from bias_intervene.statistics import over_seeds


def finite(value: float) -> float | None:
    """None, JSON's null, for a value that is unknown."""
    return value if np.isfinite(value) else None


def over_replicates(by_replicate: Sequence[Iterable[ComparisonRow]]) -> list[ComparisonRow]:
    """One row a metric for several seeds: those of one seed as they are, of several with Student's interval."""
    by_metric: dict[tuple[MetricKey, int], list[ComparisonRow]] = {}
    for rows in by_replicate:
        for row in rows:
            by_metric.setdefault((row.key, row.step), []).append(row)
    return [rows[0] if len(rows) == 1 else _over_seeds(rows) for rows in by_metric.values()]


def _over_seeds(rows: Sequence[ComparisonRow]) -> ComparisonRow:
    """Several seeds as one row, each an observation."""
    value = over_seeds([row.value for row in rows])
    row = replace(
        rows[0],
        value=value.mean,
        stderr=finite(value.standard_deviation / np.sqrt(value.seeds)),
        seeds=value.seeds,
    )
    known = [one.difference for one in rows if one.difference is not None]
    baselines = [one.baseline for one in rows if one.baseline is not None]
    if len(known) < len(rows):
        return row
    differences = np.array(known)
    baseline, difference = over_seeds(baselines), over_seeds(differences)
    stderr = difference.standard_deviation / np.sqrt(difference.seeds)
    if not differences.any():
        p = 1.0
    elif stderr > 0:
        p = float(2 * scipy.stats.t.sf(abs(difference.mean) / stderr, difference.seeds - 1))
    else:
        p = float("nan")
    single = [one.difference_stderr for one in rows if one.difference_stderr is not None]
    return replace(
        row,
        baseline=baseline.mean,
        baseline_stderr=finite(baseline.standard_deviation / np.sqrt(baseline.seeds)),
        difference=difference.mean,
        difference_stderr=finite(stderr),
        df=difference.seeds - 1,
        ci_low=finite(difference.ci_low),
        ci_high=finite(difference.ci_high),
        p=finite(p),
        between_seeds_sd=finite(difference.standard_deviation),
        single_run_stderr=float(np.mean(single)) if len(single) == len(rows) else None,
    )
