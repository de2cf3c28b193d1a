"""Compares the metrics of two checkpoints, each with the test that its spec names.

Input: two checkpoints of runs, and the specs of their metrics.
Output: one row per metric that both have, for one replicate.
Guarantees: differences are paired over the items that both have, where both have items; a row says whether it is. The
difference is that of the two values in the row: where items are partly common, all three are over the common ones.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from bias_intervene.analysis.items import ItemTable
from bias_intervene.analysis.pairing import aligned, paired_items
from bias_intervene.analysis.records import Run
from bias_intervene.errors import RunDirectoryError
from bias_intervene.results import ComparisonRow, MetricKey, MetricRow, MetricSpec, MetricSpecs, none_if_not_finite
from bias_intervene.statistics import (
    PairedComparison,
    cluster_means,
    compare_unpaired,
    mean_and_stderr,
    perplexity_and_stderr,
)


class CheckpointPair(NamedTuple):
    """A checkpoint of a run, and the one that it is compared with. None: it was not scored."""

    run: Run
    checkpoint: str | None
    baseline_run: Run
    baseline_checkpoint: str | None


class _Estimate(NamedTuple):
    """A value with its standard error over items; None: it is unknown."""

    value: float
    stderr: float | None = None

    @classmethod
    def of(cls, value: float, stderr: float) -> "_Estimate":
        """From a standard error that is NaN where it cannot be estimated."""
        return cls(value, none_if_not_finite(stderr))


class _Difference(NamedTuple):
    """The comparison of one metric, and the values of both sides that it is the difference of."""

    test: PairedComparison
    is_paired: bool
    baseline: _Estimate
    value: _Estimate
    items_left_out: int | None = None
    """Items that one side alone has; None: not paired."""


def compared(
    pair: CheckpointPair, specs: MetricSpecs, *, label: str, is_wanted: Callable[[MetricKey], bool]
) -> Iterator[ComparisonRow]:
    """One row per wanted metric that both checkpoints have. label: of the baseline."""
    run, checkpoint, baseline_run, baseline_checkpoint = pair
    if checkpoint is None or baseline_checkpoint is None:
        return
    baseline_metrics = {metric.key: metric for metric in baseline_run.metrics(baseline_checkpoint)}
    for metric in run.metrics(checkpoint):
        key = metric.key
        if key not in baseline_metrics or not is_wanted(key):
            continue
        spec = specs.of(key)
        found = _difference(pair, metric, baseline_metrics[key], spec)
        test = found.test
        yield replace(
            row_without_baseline(run, metric, spec),
            value=found.value.value,
            stderr=found.value.stderr,
            paired=found.is_paired,
            baseline_arm=label,
            baseline=found.baseline.value,
            baseline_stderr=found.baseline.stderr,
            difference=none_if_not_finite(test.difference),
            difference_stderr=none_if_not_finite(test.stderr),
            df=test.df,
            ci_low=none_if_not_finite(test.ci_low),
            ci_high=none_if_not_finite(test.ci_high),
            p=none_if_not_finite(test.p),
            discordant=test.discordant,
            n=test.n if found.is_paired else metric.n,
            items_left_out=found.items_left_out,
        )


def _difference(pair: CheckpointPair, metric: MetricRow, baseline_metric: MetricRow, spec: MetricSpec) -> _Difference:
    """The difference of one metric between two checkpoints that were scored."""
    baseline, value = (_Estimate(each.value, each.stderr) for each in (baseline_metric, metric))
    if not math.isfinite(value.value - baseline.value):
        # A mean over the items that are left would be another metric.
        return _Difference(compare_unpaired(baseline.value, None, value.value, None), False, baseline, value)
    if pair.run.foreign or pair.baseline_run.foreign:
        test = compare_unpaired(baseline.value, baseline.stderr, value.value, value.stderr)
        return _Difference(test, False, baseline, value)
    items = pair.run.items(metric.benchmark, str(pair.checkpoint))
    if spec.pairing == "mean_if_kept" and not items.has(metric.metric):
        return _Difference(compare_unpaired(baseline.value, None, value.value, None), False, baseline, value)
    baseline_items = pair.baseline_run.items(metric.benchmark, str(pair.baseline_checkpoint))
    try:
        test = paired_items(metric.key, spec, items, baseline_items)
    except RunDirectoryError as error:
        raise RunDirectoryError(f"{pair.run.place} and {pair.baseline_run.place}: {error}") from None
    # A gap counts groups of items.
    has_all = spec.pairing != "gap" and metric.n == baseline_metric.n == test.n
    left_out = 0 if has_all else _num_left_out(metric.key, spec, items, baseline_items)
    if left_out:
        baseline, value = _over_common_items(metric.key, spec, items, baseline_items)
    return _Difference(test, True, baseline, value, left_out)


# --- partly common items -----------------------------------------------------------------------------------------


def _num_left_out(key: MetricKey, spec: MetricSpec, ours: ItemTable, theirs: ItemTable) -> int:
    """Number of items of a metric that one of the two files alone has."""
    count = 0
    for subset in spec.groups or (key.subset,):
        column = spec.column or key.metric
        first, second = (set(items.ids[items.rows_of(key.protocol, subset, column)]) for items in (ours, theirs))
        count += len(first ^ second)
    return count


def _over_common_items(
    key: MetricKey, spec: MetricSpec, ours: ItemTable, theirs: ItemTable
) -> tuple[_Estimate, _Estimate]:
    """(baseline, value) of a metric over the items that both files have."""
    column = spec.column or key.metric
    pairs = [aligned(key.protocol, subset, column, ours, theirs) for subset in spec.groups or (key.subset,)]
    sides = [[values.baseline for values in pairs], [values.treatment for values in pairs]]
    if spec.pairing == "gap":
        high, low = ([cluster_means(of_side[n], pairs[n].clusters).mean() for of_side in sides] for n in (0, 1))
        return _Estimate(float(low[0] - high[0]), None), _Estimate(float(low[1] - high[1]), None)
    estimate = perplexity_and_stderr if spec.pairing == "perplexity" else mean_and_stderr
    clusters = () if spec.pairing == "perplexity" else (pairs[0].clusters,)
    baseline, value = (estimate(of_side[0], *clusters) for of_side in sides)
    return _Estimate.of(*baseline), _Estimate.of(*value)


def row_without_baseline(run: Run, metric: MetricRow, spec: MetricSpec) -> ComparisonRow:
    """A row with the value of a metric and no comparison."""
    return ComparisonRow(
        benchmark=metric.benchmark,
        protocol=metric.protocol,
        subset=metric.subset,
        metric=metric.metric,
        step=metric.step,
        arm=run.label,
        baseline_arm=None,
        baseline=None,
        baseline_stderr=None,
        value=metric.value,
        stderr=metric.stderr,
        n=metric.n,
        paired=None,
        difference=None,
        difference_stderr=None,
        df=None,
        ci_low=None,
        ci_high=None,
        p=None,
        seeds=1,
        between_seeds_sd=None,
        single_run_stderr=None,
        spec=spec,
    )
