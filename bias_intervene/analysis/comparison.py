"""The comparison of runs: one row per metric, arm and baseline, and the manipulation check of each arm.

With one replicate of an arm, the standard errors are those over items, and say nothing about other seeds. With several,
each seed is one observation: the interval and the test are Student's over seeds, and the standard deviation between
seeds is given beside the standard error that a single run reports.

Input: directories and options.
Output: rows with value, difference, interval, p, p after Holm's correction, the least effect that the design could have
detected, and a sentence.
Guarantees: every arm is compared with its control, with the checkpoint it started from ("base"), because the control
changes too, and with the original run's last checkpoint ("published"), where these were scored. How a metric is
compared and printed is read from the specs in the records.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from bias_intervene.analysis import claims as claimed
from bias_intervene.analysis import harness_results
from bias_intervene.analysis.claims import ClaimTest
from bias_intervene.analysis.identity import BitwiseComparison, compare_bitwise
from bias_intervene.analysis.pairing import Arm, arms, check_comparable, paired_items
from bias_intervene.analysis.records import Run, RunSet, find, specs_of
from bias_intervene.analysis.replicates import none_if_not_finite, over_replicates
from bias_intervene.analysis.report.sentences import in_words
from bias_intervene.analysis.saturation import read_with, with_saturation
from bias_intervene.analysis.verdicts import ManipulationCheck, expected_effect, manipulation_check
from bias_intervene.errors import RunDirectoryError, did_you_mean
from bias_intervene.record import is_complete
from bias_intervene.results import BASE, PUBLISHED, ComparisonRow, MetricKey, MetricRow, MetricSpec, MetricSpecs
from bias_intervene.statistics import PairedComparison, compare_unpaired, holm, minimum_detectable_effect


@dataclass(frozen=True)
class ComparisonOptions:
    """How runs are compared."""

    baseline: str | None = None
    """The arm that serves as the control; None: `none`."""
    metrics: tuple[str, ...] = ()
    """Names of the metrics to compare; empty: all."""
    force: bool = False
    """Compare runs even if they were scored differently."""
    published: bool = False
    """Show the case study's published numbers beside ours."""


@dataclass(frozen=True)
class Comparison:
    """The result of comparing runs: what tables, figures and exports are made from."""

    runs: RunSet
    arms: list[Arm]
    rows: list[ComparisonRow]
    verdicts: list[ManipulationCheck]
    specs: MetricSpecs
    """How the metrics are compared and printed, and which of them are shown first."""
    claims: list[ClaimTest] = field(default_factory=list[ClaimTest])
    """The tests of what was claimed before the runs."""
    options: ComparisonOptions = field(default_factory=ComparisonOptions)
    identity: BitwiseComparison | None = None
    """The bitwise comparison of two runs that were given one by one."""

    def to_json(self) -> dict[str, Any]:
        """Rows and verdicts as comparison.json holds them, and the bitwise comparison if there is one."""
        identity = {"identity": asdict(self.identity)} if self.identity else {}
        return {
            "rows": [row.to_json() for row in self.rows],
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
            "claims": [asdict(test) for test in self.claims],
            **identity,
        }


def compare(paths: Sequence[Path], options: ComparisonOptions | None = None) -> Comparison:
    """Compares all runs below the directories, and all result files of lm-evaluation-harness.

    If every path is a single run, the first one is the baseline of the others. Raises `RunDirectoryError`.
    """
    options = options or ComparisonOptions()
    runs = _read_runs(paths)
    are_single_runs = len(runs.runs) == len(paths) > 1 and all(
        is_complete(path) or not _holds_run_directories(path) for path in paths
    )
    return compare_runs(runs, options, as_given=options.baseline is None and are_single_runs)


def _read_runs(paths: Sequence[Path]) -> RunSet:
    """Run directories and result files of the harness as runs; whichever kind the first path is of comes first."""
    folders: list[Path] = []
    harness_files: list[Path] = []
    for path in paths:
        if path.is_file():
            harness_files.append(path)
        elif path.is_dir() and not _holds_run_directories(path):
            results = [file for file in sorted(path.rglob("*.json")) if harness_results.is_results(file)]
            harness_files += results
            folders += [] if results else [path]
        else:
            folders.append(path)
    ours = find(folders) if folders else RunSet([], [])
    harness_runs = harness_results.read_runs(harness_files)
    harness_first = bool(paths) and paths[0] not in folders
    return RunSet([*harness_runs, *ours.runs] if harness_first else [*ours.runs, *harness_runs], ours.unfinished)


def _holds_run_directories(path: Path) -> bool:
    """Whether there are run directories, complete or not, at or below the path."""
    return path.is_dir() and any(path.rglob("settings.json"))


def compare_runs(run_set: RunSet, options: ComparisonOptions, *, as_given: bool) -> Comparison:
    """As `compare`, for runs that were read already. as_given: the first run is the baseline of the others."""
    runs = run_set.runs
    metric_names = {row.metric for run in runs for row in run.rows}
    unknown = [name for name in options.metrics if name not in metric_names]
    if unknown:
        raise RunDirectoryError(f"--metric {unknown[0]}: no run has it; {did_you_mean(unknown[0], metric_names)}")
    claims = claimed.claims_of(runs)
    all_arms = arms(runs, as_given=as_given, baseline=options.baseline)
    if not options.force:
        for arm in all_arms:
            for run, control in arm.paired:
                check_comparable(run, control)
    specs = specs_of(runs)
    needed = read_with(options.metrics, specs) if options.metrics and not claims else metric_names
    rows = _corrected([row for arm in all_arms for row in _rows_of(arm, specs, needed)], options)
    rows, claim_tests = claimed.label(rows, claims, chosen=options.metrics)
    shown = [row for row in rows if not options.metrics or row.metric in options.metrics]
    rows = [replace(row, sentence=in_words(row)) for row in shown]
    verdicts = [verdict for arm in all_arms if (verdict := verdict_of(arm)) is not None]
    are_two_of_ours = as_given and len(runs) == 2 and not any(run.foreign for run in runs)
    return Comparison(
        runs=run_set,
        arms=all_arms,
        rows=rows,
        verdicts=verdicts,
        claims=claim_tests,
        specs=specs,
        options=options,
        identity=compare_bitwise(*runs) if are_two_of_ours else None,
    )


class _CheckpointPair(NamedTuple):
    """A checkpoint of a run, and the one that it is compared with. None: it was not scored."""

    run: Run
    checkpoint: str | None
    baseline_run: Run
    baseline_checkpoint: str | None


def _rows_of(arm: Arm, specs: MetricSpecs, needed: set[str]) -> Iterator[ComparisonRow]:
    """Every metric of an arm's last checkpoint against base, the original run's last checkpoint, and control.

    Where there is none of these, every metric with its value alone. needed: names of metrics.
    """
    trained = [run for run, _ in arm.replicates if run.last != run.base]
    pairs_by_label = {
        BASE: [_CheckpointPair(run, run.last, run, run.base) for run in trained],
        PUBLISHED: [_CheckpointPair(run, run.last, run, run.published) for run in trained],
    }
    if arm.control_label is not None:
        pairs_by_label[arm.control_label] = [
            _CheckpointPair(run, run.last, control, _same_step(run, control)) for run, control in arm.paired
        ]
    is_compared = False
    for label, pairs in pairs_by_label.items():
        by_replicate = [
            with_saturation(list(_compared(pair, specs, label=label, is_wanted=lambda key: key.metric in needed)))
            for pair in pairs
            if pair.baseline_checkpoint is not None
        ]
        for row in over_replicates(by_replicate):
            is_compared = True
            yield row
    if not is_compared:
        values = [
            with_saturation(
                [
                    _row_without_baseline(run, metric, specs.of(metric.key))
                    for metric in run.metrics(run.last)
                    if metric.metric in needed
                ]
            )
            for run, _ in arm.replicates
            if run.last
        ]
        yield from over_replicates(values)


def _same_step(run: Run, control: Run) -> str | None:
    """The control's checkpoint at the run's last step, or its last one if it was not scored at that step."""
    return (control.checkpoint(run.steps[-1]) if run.steps else None) or control.last


def _compared(
    pair: _CheckpointPair, specs: MetricSpecs, *, label: str, is_wanted: Callable[[MetricKey], bool]
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
            _row_without_baseline(run, metric, spec),
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
    pair: _CheckpointPair, metric: MetricRow, baseline_metric: MetricRow, spec: MetricSpec
) -> tuple[PairedComparison, bool]:
    """(the difference of one metric between two checkpoints that were scored, whether it is paired over items)."""
    baseline = baseline_metric.value
    if not math.isfinite(metric.value - baseline):
        # A mean over the items that are left would be another metric.
        return compare_unpaired(baseline, None, metric.value, None), False
    if pair.run.foreign or pair.baseline_run.foreign:
        return compare_unpaired(baseline, baseline_metric.stderr, metric.value, metric.stderr), False
    items = pair.run.items(metric.benchmark, str(pair.checkpoint))
    if spec.pairing == "mean_if_kept" and not items.has(metric.metric):
        return compare_unpaired(baseline, None, metric.value, None), False
    baseline_items = pair.baseline_run.items(metric.benchmark, str(pair.baseline_checkpoint))
    return paired_items(metric.key, spec, items, baseline_items), True


def _row_without_baseline(run: Run, metric: MetricRow, spec: MetricSpec) -> ComparisonRow:
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


# --- the family of tests -----------------------------------------------------------------------------------------


def _corrected(rows: Sequence[ComparisonRow], options: ComparisonOptions) -> list[ComparisonRow]:
    """The rows with p after Holm's correction, the least detectable effect, and the difference in nats of shares."""
    family = [number for number, row in enumerate(rows) if _in_family(row, options)]
    adjusted = holm([float("nan") if (p := rows[number].p) is None else p for number in family])
    p_holm = {number: none_if_not_finite(p) for number, p in zip(family, adjusted, strict=True)}
    by_names = {(row.arm, row.baseline_arm, row.key): row for row in rows}
    return [
        replace(
            row,
            p_holm=p_holm.get(number),
            minimum_detectable_effect=minimum_detectable_effect(row.difference_stderr, df=row.df)
            if row.difference_stderr
            else None,
            difference_nats=_in_nats(row, by_names),
        )
        for number, row in enumerate(rows)
    ]


def _in_nats(row: ComparisonRow, by_names: dict[tuple[str, str | None, MetricKey], ComparisonRow]) -> float | None:
    """For a share: the difference of the mean log-likelihood difference that it is computed from, in nats."""
    if row.spec.in_nats is None:
        return None
    other = by_names.get((row.arm, row.baseline_arm, row.key._replace(metric=row.spec.in_nats)))
    return None if other is None else other.difference


def _in_family(row: ComparisonRow, options: ComparisonOptions) -> bool:
    """Whether a row belongs to the tests that Holm's correction covers: comparisons with a control, of the headline
    metrics of bias, or of the metrics that the user names.
    """
    if not row.is_against_control or row.spec.family == "manipulation_check":
        return False
    return row.metric in options.metrics if options.metrics else row.spec.headline and row.spec.family == "bias"


# --- the manipulation check ------------------------------------------------------------------------------------


def verdict_of(arm: Arm) -> ManipulationCheck | None:
    """The manipulation check of an arm at every step scored, against its control, or without one against its base.

    None: no effect is expected of the arm, or the metric was not scored.
    """
    effect = expected_effect(arm.first.record)
    if effect is None:
        return None
    key = MetricKey(effect.benchmark, effect.protocol, effect.subset, effect.metric)
    rows: list[ComparisonRow] = []
    specs = specs_of(run for run, _ in arm.replicates)
    plan = arm.first.record["plan"]
    for step in arm.first.steps:
        if plan["num_steps"] and step <= plan["start_step"]:
            continue  # A checkpoint from before the training.
        if arm.paired:
            pairs = [
                _CheckpointPair(run, run.checkpoint(step), control, control.checkpoint(step))
                for run, control in arm.paired
            ]
        else:
            pairs = [
                _CheckpointPair(run, run.checkpoint(step), run, run.base)
                for run, _ in arm.replicates
                if run.checkpoint(step) != run.base
            ]
        label = arm.control_label or BASE
        by_replicate = [
            list(_compared(pair, specs, label=label, is_wanted=lambda other: other == key)) for pair in pairs
        ]
        rows += over_replicates(by_replicate)
    return manipulation_check(effect, [row.to_json() for row in rows])
