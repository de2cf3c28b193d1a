"""Compares the metrics of two checkpoints, each with the test that its spec names.

Input: two checkpoints of runs, and the specs of their metrics.
Output: one row per metric that both have, for one replicate.
Guarantees: differences are paired over the items that both have, where both have items; a row says whether it is.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from bias_intervene.analysis.pairing import paired_items
from bias_intervene.analysis.records import Run
from bias_intervene.analysis.replicates import none_if_not_finite
from bias_intervene.results import ComparisonRow, MetricKey, MetricRow, MetricSpec, MetricSpecs
from bias_intervene.statistics import PairedComparison, compare_unpaired


class CheckpointPair(NamedTuple):
    """A checkpoint of a run, and the one that it is compared with. None: it was not scored."""

    run: Run
    checkpoint: str | None
    baseline_run: Run
    baseline_checkpoint: str | None


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
        other, spec = baseline_metrics[key], specs.of(key)
        test, is_paired = _difference(pair, metric, other, spec)
        yield replace(
            row_without_baseline(run, metric, spec),
            paired=is_paired,
            baseline_arm=label,
            baseline=other.value,
            baseline_stderr=other.stderr,
            difference=none_if_not_finite(test.difference),
            difference_stderr=none_if_not_finite(test.stderr),
            df=test.df,
            ci_low=none_if_not_finite(test.ci_low),
            ci_high=none_if_not_finite(test.ci_high),
            p=none_if_not_finite(test.p),
            n=test.n if is_paired else metric.n,
        )


def _difference(
    pair: CheckpointPair, metric: MetricRow, baseline_metric: MetricRow, spec: MetricSpec
) -> tuple[PairedComparison, bool]:
    """(the difference of one metric between two checkpoints that were scored, whether it is paired over items)."""
    baseline = baseline_metric.value
    if pair.run.foreign or pair.baseline_run.foreign:
        return compare_unpaired(baseline, baseline_metric.stderr, metric.value, metric.stderr), False
    items = pair.run.items(metric.benchmark, str(pair.checkpoint))
    if spec.pairing == "mean_if_kept" and not items.has(metric.metric):
        return compare_unpaired(baseline, None, metric.value, None), False
    baseline_items = pair.baseline_run.items(metric.benchmark, str(pair.baseline_checkpoint))
    return paired_items(metric.key, spec, items, baseline_items), True


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
