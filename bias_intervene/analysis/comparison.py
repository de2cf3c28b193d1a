"""What the runs say: one row a metric, arm and baseline, and whether each intervention took.

Input: directories and options. Output: rows with value, difference, interval, p, p after Holm, the least effect the
design could have detected, and one plain sentence each. Guarantees: every arm is compared with its control, with the
checkpoint it started from ("base"), since the control moves too, and with the original run's last one ("published"),
where these were scored. How a metric is compared and printed is read from the specs in the records.

One replicate: the uncertainty is that over items, and says nothing of other seeds. Several: each seed is one
observation, the interval and test are Student's over seeds, and the spread between seeds stands beside the standard
error that one run alone reports.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from bias_intervene.analysis import harness_results
from bias_intervene.analysis.identity import Identity, identity
from bias_intervene.analysis.pairing import Arm, arms, check_comparable, paired_items
from bias_intervene.analysis.records import Run, RunSet, find, specs_of
from bias_intervene.analysis.replicates import finite, over_replicates
from bias_intervene.analysis.report.sentences import in_words
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
    """Names of the metrics wanted; empty: all."""
    force: bool = False
    """Compare what was scored differently."""
    published: bool = False
    """Lay the case study's published numbers beside ours."""


@dataclass(frozen=True)
class Comparison:
    """What runs say."""

    runs: RunSet
    arms: list[Arm]
    rows: list[ComparisonRow]
    verdicts: list[ManipulationCheck]
    specs: MetricSpecs
    """How the metrics are read, and which of them are shown first."""
    options: ComparisonOptions = field(default_factory=ComparisonOptions)
    identity: Identity | None = None
    """Of two runs that are compared as they are given."""

    def to_json(self) -> dict[str, Any]:
        """Rows, verdicts, and whether two runs are identical."""
        same = {"identity": asdict(self.identity)} if self.identity else {}
        return {
            "rows": [row.to_json() for row in self.rows],
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
            **same,
        }


def compare(paths: Sequence[Path], options: ComparisonOptions | None = None) -> Comparison:
    """Everything below the directories, and in result files of lm-evaluation-harness, compared.

    Two paths that are one run each are taken as given, the first as the baseline.
    """
    options = options or ComparisonOptions()
    runs = _gathered(paths)
    single = len(runs.runs) == len(paths) > 1 and all(is_complete(path) or not _holds_ours(path) for path in paths)
    return compare_runs(runs, options, as_given=options.baseline is None and single)


def _gathered(paths: Sequence[Path]) -> RunSet:
    """Our runs and the harness's, in the order of the paths."""
    ours: list[Path] = []
    theirs: list[Path] = []
    for path in paths:
        if path.is_file():
            theirs.append(path)
        elif path.is_dir() and not _holds_ours(path):
            results = [file for file in sorted(path.rglob("*.json")) if harness_results.is_results(file)]
            theirs += results
            ours += [] if results else [path]
        else:
            ours.append(path)
    own = find(ours) if ours else RunSet([], [])
    others = harness_results.read_runs(theirs)
    others_first = bool(paths) and paths[0] not in ours
    return RunSet([*others, *own.runs] if others_first else [*own.runs, *others], own.unfinished)


def _holds_ours(path: Path) -> bool:
    """Whether runs of ours, complete or not, lie below."""
    return path.is_dir() and any(path.rglob("settings.json"))


def compare_runs(run_set: RunSet, options: ComparisonOptions, *, as_given: bool) -> Comparison:
    """The same of runs that are read already."""
    runs = run_set.runs
    known = {row.metric for run in runs for row in run.rows}
    unknown = [name for name in options.metrics if name not in known]
    if unknown:
        raise RunDirectoryError(f"--metric {unknown[0]}: no run has it; {did_you_mean(unknown[0], known)}")
    all_arms = arms(runs, as_given=as_given, baseline=options.baseline)
    if not options.force:
        for arm in all_arms:
            for run, control in arm.paired:
                check_comparable(run, control)
    specs = specs_of(runs)
    rows = [row for arm in all_arms for row in _rows_of(arm, specs, options)]
    rows = [replace(row, sentence=in_words(row)) for row in _corrected(rows, options)]
    verdicts = [one for arm in all_arms if (one := verdict_of(arm)) is not None]
    are_two = as_given and len(runs) == 2 and not any(run.foreign for run in runs)
    return Comparison(run_set, all_arms, rows, verdicts, specs, options, identity(*runs) if are_two else None)


def _rows_of(arm: Arm, specs: MetricSpecs, options: ComparisonOptions) -> Iterator[ComparisonRow]:
    """Every metric of an arm's last checkpoint against base, published last checkpoint and control."""
    trained = [run for run, _ in arm.replicates if run.last != run.base]
    pairs = {
        BASE: [(run, run, run.base) for run in trained],
        PUBLISHED: [(run, run, run.published) for run in trained],
    }
    if arm.paired:
        pairs[arm.paired[0][1].label] = [(run, control, _counterpart(run, control)) for run, control in arm.paired]
    compared = False
    for label, replicates in pairs.items():
        by_replicate = [
            list(_against(run, baseline, checkpoint, specs, label=label, metrics=options.metrics))
            for run, baseline, checkpoint in replicates
            if checkpoint is not None
        ]
        for row in over_replicates(by_replicate):
            compared = True
            yield row
    if not compared:
        alone = [
            [
                _alone(run, metric, specs.of(metric.key))
                for metric in run.metrics(run.last)
                if not options.metrics or metric.metric in options.metrics
            ]
            for run, _ in arm.replicates
            if run.last
        ]
        yield from over_replicates(alone)


def _counterpart(run: Run, control: Run) -> str | None:
    """The control's checkpoint of the run's last step; its last where it was not scored there."""
    return (control.checkpoint(run.steps[-1]) if run.steps else None) or control.last


def _against(
    run: Run,
    baseline: Run,
    checkpoint: str | None,
    specs: MetricSpecs,
    *,
    label: str,
    step: int | None = None,
    only: MetricKey | None = None,
    metrics: Sequence[str] = (),
) -> Iterator[ComparisonRow]:
    """One row a metric that the run's checkpoint of `step` (None: its last) and the baseline's `checkpoint` have.

    only: the one metric wanted; metrics: the names wanted, empty for all.
    """
    mine = run.last if step is None else run.checkpoint(step)
    if checkpoint is None or mine is None:
        return
    theirs = {metric.key: metric for metric in baseline.metrics(checkpoint)}
    for metric in run.metrics(mine):
        key = metric.key
        if key not in theirs or (only is not None and key != only) or (metrics and metric.metric not in metrics):
            continue
        other, spec = theirs[key], specs.of(key)
        test, is_paired = _difference(run, baseline, mine, checkpoint, metric, other, spec)
        yield replace(
            _alone(run, metric, spec),
            paired=is_paired,
            baseline_arm=label,
            baseline=other.value,
            baseline_stderr=other.stderr,
            difference=finite(test.difference),
            difference_stderr=finite(test.stderr),
            df=test.df,
            ci_low=finite(test.ci_low),
            ci_high=finite(test.ci_high),
            p=finite(test.p),
            n=test.n if is_paired else metric.n,
        )


def _difference(
    run: Run, baseline: Run, mine: str, checkpoint: str, metric: MetricRow, other: MetricRow, spec: MetricSpec
) -> tuple[PairedComparison, bool]:
    """(the difference of a metric between two checkpoints, whether it is paired over items)."""
    if run.foreign or baseline.foreign:
        return compare_unpaired(other.value, other.stderr, metric.value, metric.stderr), False
    ours = run.items(metric.benchmark, mine)
    if spec.pairing == "mean_if_kept" and not ours.has(metric.metric):
        return compare_unpaired(other.value, None, metric.value, None), False
    return paired_items(metric.key, spec, ours, baseline.items(metric.benchmark, checkpoint)), True


def _alone(run: Run, metric: MetricRow, spec: MetricSpec) -> ComparisonRow:
    """A row without a baseline."""
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
    """Adds p_holm to the family's rows, the least effect that could be detected, and shares' differences in nats."""
    family = [number for number, row in enumerate(rows) if _in_family(row, options)]
    adjusted = holm([_nan_if_unknown(rows[number].p) for number in family])
    p_holm = {number: finite(p) for number, p in zip(family, adjusted, strict=True)}
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
    """Of a share: the difference of the mean log-likelihood difference behind it."""
    if row.spec.in_nats is None:
        return None
    other = by_names.get((row.arm, row.baseline_arm, row.key._replace(metric=row.spec.in_nats)))
    return None if other is None else other.difference


def _in_family(row: ComparisonRow, options: ComparisonOptions) -> bool:
    """Whether a row is tested together with others: a headline metric of bias, or one asked for, against a control."""
    if not row.is_against_control or row.spec.family == "manipulation_check":
        return False
    return row.metric in options.metrics if options.metrics else row.spec.headline and row.spec.family == "bias"


def _nan_if_unknown(value: float | None) -> float:
    """NaN for None."""
    return float("nan") if value is None else value


# --- did it take -----------------------------------------------------------------------------------------------


def verdict_of(arm: Arm) -> ManipulationCheck | None:
    """Whether an arm's intervention took, at every step scored: against its control, or its base without one."""
    effect = expected_effect(arm.first.record)
    if effect is None:
        return None
    key = MetricKey(effect.benchmark, effect.protocol, effect.subset, effect.metric)
    rows: list[ComparisonRow] = []
    specs = specs_of(run for run, _ in arm.replicates)
    plan = arm.first.record["plan"]
    for step in arm.first.steps:
        if plan["num_steps"] and step <= plan["start_step"]:
            continue  # Nothing was done to it yet.
        if arm.paired:
            pairs = [(run, control, control.checkpoint(step), control.label) for run, control in arm.paired]
        else:
            pairs = [(run, run, run.base, BASE) for run, _ in arm.replicates if run.checkpoint(step) != run.base]
        by_replicate = [
            list(_against(run, baseline, checkpoint, specs, label=label, step=step, only=key))
            for run, baseline, checkpoint, label in pairs
        ]
        rows += over_replicates(by_replicate)
    return manipulation_check(effect, [row.to_json() for row in rows])
