"""Pairs runs with their controls, and the items of two checkpoints with each other.

Input: runs.
Output: arms, each a group of replicates (runs that differ only in seeds) with the control of every replicate; and the
paired difference of one metric over the items that two checkpoints have in common.
Guarantees: a run is compared with the control whose settings differ from its own only in the intervention. Run
directories that are given one by one are compared as given, the first as the baseline. Items are paired by their
identity, never by their order. Runs that were scored differently are refused, and the message names the difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from bias_intervene.analysis.records import CONTROL, INTERVENTION_SETTINGS, SEED_SETTINGS, ItemTable, Run
from bias_intervene.errors import RunDirectoryError, did_you_mean
from bias_intervene.results import MetricKey, MetricSpec
from bias_intervene.statistics import PairedComparison, cluster_sums, compare_gap, compare_paired, compare_perplexity

_MAY_DIFFER = {"device", "protocols"}
"""Parts of an evaluation's identity that may differ: the device does not change the metrics beyond rounding, and of
different lists of protocols those in common are compared."""


class Replicate(NamedTuple):
    """One run of an arm, and its control if there is one."""

    run: Run
    control: Run | None


class ControlledReplicate(NamedTuple):
    """One run of an arm, and its control."""

    run: Run
    control: Run


@dataclass(frozen=True)
class Arm:
    """Runs that differ only in their seeds."""

    label: str
    replicates: tuple[Replicate, ...]

    @property
    def first(self) -> Run:
        """The first run, for everything that is the same in all of them."""
        return self.replicates[0].run

    @property
    def paired(self) -> tuple[ControlledReplicate, ...]:
        """The replicates that have a control."""
        return tuple(ControlledReplicate(run, control) for run, control in self.replicates if control is not None)

    @property
    def control_label(self) -> str | None:
        """Label of the arm's controls; None if it has none."""
        return self.paired[0].control.label if self.paired else None


def arms(runs: Sequence[Run], *, as_given: bool, baseline: str | None = None) -> list[Arm]:
    """Groups runs into arms, in the order of the runs. Raises `RunDirectoryError` for a baseline that no run has.

    as_given: every run is an arm, and the first is the control of the others. baseline: the arm that serves as the
    control; None: `none`.
    """
    if as_given:
        first = runs[0]
        return [Arm(run.label, (Replicate(run, None if run is first else first),)) for run in runs]
    names = {run.arm for run in runs}
    if baseline is not None and baseline not in names:
        raise RunDirectoryError(f"--baseline {baseline}: no run of that arm; {did_you_mean(baseline, names)}")
    control_arm = baseline or CONTROL

    def experiment(run: Run) -> Any:
        """What a run has in common with its control."""
        return settings_without(run, {*INTERVENTION_SETTINGS, *SEED_SETTINGS}), run.seeds

    controls = {experiment(run): run for run in runs if run.arm == control_arm}
    groups: dict[Any, list[Replicate]] = {}
    for run in runs:
        control = controls.get(experiment(run)) if run.arm != control_arm else None
        groups.setdefault(settings_without(run, set(SEED_SETTINGS)), []).append(Replicate(run, control))
    return [Arm(group[0].run.label, tuple(group)) for group in groups.values()]


def settings_without(run: Run, excluded: set[str]) -> tuple[tuple[str, str], ...]:
    """A run's settings but the excluded keys, as sorted (key, repr of the value), which can be compared and hashed."""
    return tuple(sorted((key, repr(value)) for key, value in run.settings.items() if key not in excluded))


def check_comparable(run: Run, baseline: Run) -> None:
    """Raises `RunDirectoryError` for runs that were scored differently, naming the benchmark and the difference."""
    ours, theirs = (side.record["fingerprints"].get("evaluations") or {} for side in (run, baseline))
    for benchmark in sorted(ours.keys() & theirs.keys()):
        keys = sorted({*ours[benchmark], *theirs[benchmark]} - _MAY_DIFFER)
        differing = [key for key in keys if ours[benchmark].get(key) != theirs[benchmark].get(key)]
        if differing:
            values = ", ".join(
                f"{key} ({ours[benchmark].get(key)} and {theirs[benchmark].get(key)})" for key in differing
            )
            raise RunDirectoryError(
                f"{run.folder} and {baseline.folder}: {benchmark} was scored differently: {values}. Evaluate both in "
                "the same way, or compare them all the same with --force"
            )


# --- items -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AlignedValues:
    """The values of one metric over the items that two checkpoints have in common, in the same order; (n,) each."""

    items: np.ndarray
    """Names of the items."""
    baseline: np.ndarray
    """float64."""
    treatment: np.ndarray
    """float64."""
    clusters: np.ndarray | None
    """(n,) label of each item's cluster, or (n, 2) labels of its two; None: the items are independent."""


def paired_items(key: MetricKey, spec: MetricSpec, ours: ItemTable, theirs: ItemTable) -> PairedComparison:
    """The paired difference `ours` - `theirs` of one metric over their common items, computed as the spec says."""
    column = spec.column or key.metric
    if spec.pairing == "gap":
        assert spec.groups is not None
        high, low = (_by_cluster(aligned(key.protocol, subset, column, ours, theirs)) for subset in spec.groups)
        return compare_gap(high, low)
    pairs = aligned(key.protocol, key.subset, column, ours, theirs)
    if spec.pairing == "perplexity":
        return compare_perplexity(pairs.baseline, pairs.treatment)
    return compare_paired(pairs.baseline, pairs.treatment, clusters=pairs.clusters)


def aligned(protocol: str, subset: str, metric: str, ours: ItemTable, theirs: ItemTable) -> AlignedValues:
    """The values of a metric of the common items, found by name. `theirs` is the baseline.

    Raises `RunDirectoryError` if there is no common item.
    """
    our_rows, their_rows = ours.rows_of(protocol, subset, metric), theirs.rows_of(protocol, subset, metric)
    if not np.array_equal(ours.ids[our_rows], theirs.ids[their_rows]):
        row_of_item = dict(zip(theirs.ids[their_rows], their_rows, strict=True))
        our_rows = np.array([row for row in our_rows if ours.ids[row] in row_of_item], dtype=int)
        their_rows = np.array([row_of_item[item] for item in ours.ids[our_rows]], dtype=int)
    if not our_rows.size:
        raise RunDirectoryError(f"{protocol} {subset} {metric}: the runs have no common items")
    return AlignedValues(
        items=ours.ids[our_rows],
        baseline=theirs.column(metric)[their_rows],
        treatment=ours.column(metric)[our_rows],
        clusters=None if ours.clusters is None else ours.clusters[our_rows],
    )


def _by_cluster(pairs: AlignedValues) -> np.ndarray:
    """float64 (G,): the mean over each cluster of baseline - treatment, which of log P(she) - log P(he) is the change
    of log P(he) - log P(she).
    """
    differences = pairs.baseline - pairs.treatment
    if pairs.clusters is None:
        return differences
    return cluster_sums(differences, pairs.clusters) / cluster_sums(np.ones_like(differences), pairs.clusters)
