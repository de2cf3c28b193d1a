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

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from bias_intervene.analysis import claims as claimed
from bias_intervene.analysis import harness_results, records
from bias_intervene.analysis.checkpoints import CheckpointPair, compared, row_without_baseline
from bias_intervene.analysis.claims import ClaimTest
from bias_intervene.analysis.identity import BitwiseComparison, compare_bitwise, without_copies
from bias_intervene.analysis.pairing import Arm, arms, check_comparable, scored_differently
from bias_intervene.analysis.records import Run, RunSet, find, specs_of
from bias_intervene.analysis.replicates import over_replicates
from bias_intervene.analysis.report.sentences import in_words
from bias_intervene.analysis.saturation import read_with, with_saturation
from bias_intervene.analysis.verdicts import ManipulationCheck, verdict_of
from bias_intervene.errors import RunDirectoryError, did_you_mean
from bias_intervene.record import is_complete
from bias_intervene.results import BASE, PUBLISHED, ComparisonRow, MetricKey, MetricSpecs, none_if_not_finite
from bias_intervene.statistics import holm, minimum_detectable_effect, minimum_detectable_share


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
    notes: Sequence[str] = ()
    """What a reader must know of the runs before the rows: what was left out, and what is no seed of its own."""
    identity: BitwiseComparison | None = None
    """The bitwise comparison of two runs that were given one by one."""

    def to_json(self) -> dict[str, Any]:
        """Rows, verdicts and notes as comparison.json holds them, and the bitwise comparison if there is one."""
        identity = {"identity": asdict(self.identity)} if self.identity else {}
        return {
            "rows": [row.to_json() for row in self.rows],
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
            "claims": [asdict(test) for test in self.claims],
            "notes": list(self.notes),
            **identity,
        }


def compare(paths: Sequence[Path], options: ComparisonOptions | None = None) -> Comparison:
    """Compares all runs below the directories, and all result files of lm-evaluation-harness.

    If every path is a single run, the first one is the baseline of the others. Raises `RunDirectoryError`.
    """
    options = options or ComparisonOptions()
    runs = _read_runs(paths)
    are_single_runs = len(runs.runs) == len({path.resolve() for path in paths}) > 1 and all(
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
    runs = [*harness_runs, *ours.runs] if harness_first else [*ours.runs, *harness_runs]
    return replace(ours, runs=runs)


def _holds_run_directories(path: Path) -> bool:
    """Whether there are run directories, complete or not, at or below the path."""
    return path.is_dir() and any(path.rglob("settings.json"))


def compare_runs(run_set: RunSet, options: ComparisonOptions, *, as_given: bool) -> Comparison:
    """As `compare`, for runs that were read already. as_given: the first run is the baseline of the others.

    A run and its copies are one run here, but for two runs given one by one, which are compared bitwise as well.
    """
    are_two = as_given and len(run_set.runs) == 2
    runs, notes = (run_set.runs, []) if are_two else without_copies(run_set.runs, refuse_unequal=not as_given)
    records.label(runs)
    if as_given:
        records.tell_apart(runs)
    metric_names = {row.metric for run in runs for row in run.rows}
    unknown = [name for name in options.metrics if name not in metric_names]
    if unknown:
        raise RunDirectoryError(f"--metric {unknown[0]}: no run has it; {did_you_mean(unknown[0], metric_names)}")
    claims = claimed.claims_of(runs)
    all_arms = arms(runs, as_given=as_given, baseline=options.baseline)
    pairs = [pair for arm in all_arms for pair in arm.paired]
    if options.force:
        notes += [note for pair in pairs if (note := scored_differently(*pair)) is not None]
    else:
        for pair in pairs:
            check_comparable(*pair)
    specs = specs_of(runs)
    needed = read_with(options.metrics, specs) if options.metrics and not claims else metric_names
    rows = _corrected([row for arm in all_arms for row in _rows_of(arm, specs, needed)], options)
    rows, claim_tests = claimed.label(rows, claims, chosen=options.metrics)
    shown = [row for row in rows if not options.metrics or row.metric in options.metrics]
    rows = [replace(row, sentence=in_words(row)) for row in shown]
    verdicts = [verdict for arm in all_arms if (verdict := verdict_of(arm)) is not None]
    are_two_of_ours = are_two and not any(run.foreign for run in runs)
    return Comparison(
        runs=replace(run_set, runs=runs),
        arms=all_arms,
        rows=rows,
        verdicts=verdicts,
        claims=claim_tests,
        specs=specs,
        options=options,
        notes=[
            *run_set.notes,
            *notes,
            *(note for arm in all_arms for note in arm.notes),
            *_equal_weights(runs),
            *_partly_common(rows),
        ],
        identity=compare_bitwise(*runs) if are_two_of_ours else None,
    )


def _equal_weights(runs: Sequence[Run]) -> list[str]:
    """A sentence for each group of checkpoints of one training that have the same weights, each once."""
    sentences = (
        f"{run.label}: {', '.join(names)} have the same weights, so they are one checkpoint under several names, and "
        "no trend is drawn through them"
        for run in runs
        for names in run.equal_checkpoints
    )
    return list(dict.fromkeys(sentences))


def _partly_common(rows: Sequence[ComparisonRow]) -> list[str]:
    """A sentence for each benchmark of which two sides have partly different items."""
    most: dict[tuple[str, str | None, str], int] = {}
    for row in rows:
        name = (row.arm, row.baseline_arm, row.benchmark)
        most[name] = max(most.get(name, 0), row.items_left_out or 0)
    return [
        f"{arm} and {baseline}: {benchmark}: items that one side alone has are left out (up to {count} of a metric); "
        "values and differences are over the common ones"
        for (arm, baseline, benchmark), count in most.items()
        if count
    ]


def _rows_of(arm: Arm, specs: MetricSpecs, needed: set[str]) -> Iterator[ComparisonRow]:
    """Every metric of an arm's last checkpoint against base, the original run's last checkpoint, and control.

    Where there is none of these, every metric with its value alone. needed: names of metrics.
    """
    trained = [run for run, _ in arm.replicates if run.last != run.base]
    changed = [
        run for run in trained if run.weights(run.last) is None or run.weights(run.last) != run.weights(run.base)
    ]
    pairs_by_label = {
        BASE: [CheckpointPair(run, run.last, run, run.base) for run in changed],
        PUBLISHED: [CheckpointPair(run, run.last, run, run.published) for run in trained],
    }
    if arm.control_label is not None:
        pairs_by_label[arm.control_label] = [
            CheckpointPair(run, run.last, control, _same_step(run, control)) for run, control in arm.paired
        ]
    is_compared = False
    for label, pairs in pairs_by_label.items():
        by_replicate = [
            with_saturation(list(compared(pair, specs, label=label, is_wanted=lambda key: key.metric in needed)))
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
                    row_without_baseline(run, metric, specs.of(metric.key))
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
            minimum_detectable_effect=_least_effect(row),
            difference_nats=_in_nats(row, by_names),
        )
        for number, row in enumerate(rows)
    ]


def _least_effect(row: ComparisonRow) -> float | None:
    """The least true difference that the row's test detects with 80% power; None where there is none, or no test."""
    if row.discordant is not None and row.n is not None:
        return none_if_not_finite(minimum_detectable_share(row.n, row.discordant))
    return minimum_detectable_effect(row.difference_stderr, df=row.df) if row.difference_stderr else None


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
