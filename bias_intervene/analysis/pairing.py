"""Pairs runs with their controls, and the items of two checkpoints with each other.

Input: runs.
Output: arms, each a group of replicates (runs that differ only in seeds) with the control of every replicate; and the
paired difference of one metric over the items that two checkpoints have in common.
Guarantees: a run is compared with the control whose settings and inputs differ from its own only in the intervention,
and which was scored at the same step; a run without one says which setting differs. Values are over the replicates that
the difference is over. Equal weights are one training. Run directories that are given one by one are compared as given,
the first as the baseline, and what they differ in is said. Items are paired by their identity, never by their order.
Runs that were scored differently are refused, and the message names the difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from bias_intervene.analysis.records import (
    ARM_NAME_SETTINGS,
    CONTROL,
    INTERVENTION_SETTINGS,
    SEED_SETTINGS,
    ItemTable,
    Run,
    differing_settings,
)
from bias_intervene.errors import RunDirectoryError, did_you_mean
from bias_intervene.results import MetricKey, MetricSpec
from bias_intervene.statistics import PairedComparison, cluster_means, compare_gap, compare_paired, compare_perplexity

_MAY_DIFFER = {"device", "protocols"}
"""Parts of an evaluation's identity that may differ: the device does not change the metrics beyond rounding, and of
different lists of protocols those in common are compared."""
_MOST_NAMED = 4
"""Settings that a message names."""


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
    """Trainings that differ only in their seeds."""

    label: str
    replicates: tuple[Replicate, ...]
    """Each has a control, or none has."""
    confounds: tuple[str, ...] = ()
    """What a run that was given one by one differs in from its baseline besides the intervention."""
    notes: tuple[str, ...] = ()
    """What a reader must know: runs that were left out, and why there is no control."""

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
        return [_arm_as_given(run, runs[0]) for run in runs]
    names = {run.arm for run in runs}
    if baseline is not None and baseline not in names:
        raise RunDirectoryError(f"--baseline {baseline}: no run of that arm; {did_you_mean(baseline, names)}")
    control_arm = baseline or CONTROL
    controls = [run for run in runs if run.arm == control_arm and not run.foreign]
    by_experiment: dict[Any, list[Run]] = {}
    for control in controls:
        by_experiment.setdefault(_experiment(control), []).append(control)
    groups: dict[Any, list[_Matched]] = {}
    for run in runs:
        matched = _Matched(run, None)
        if run.arm != control_arm and not run.foreign:
            matched = _matched(run, by_experiment.get(_experiment(run), []), controls, control_arm)
        groups.setdefault(settings_without(run, set(SEED_SETTINGS)), []).append(matched)
    return [_arm(group) for group in groups.values()]


class _Matched(NamedTuple):
    """A run and its control."""

    run: Run
    control: Run | None
    reason: str | None = None
    """Why there is no control; None: there is one, or the run needs none."""


def _experiment(run: Run) -> tuple[tuple[str, str], ...]:
    """What a run has in common with its control: everything but the intervention, seeds and inputs included."""
    return (*settings_without(run, INTERVENTION_SETTINGS), *((key, repr(value)) for key, value in run.inputs.items()))


def _matched(run: Run, matching: Sequence[Run], controls: Sequence[Run], control_arm: str) -> _Matched:
    """A run with its control among those of the same experiment, or with the reason why it has none.

    Of controls that differ in options of the intervention (as the arms of --baseline do), the one with the run's own
    options is taken. Raises `RunDirectoryError` where none of them has these.
    """
    scored = [control for control in matching if run.last is None or control.checkpoint(run.steps[-1])]
    same_options = [c for c in scored if _options(c) == _options(run)]
    if len(scored) > 1 and not same_options:
        raise RunDirectoryError(
            f"{run.place}: {len(scored)} runs of the arm {control_arm} could be its control, and differ in "
            f"{_in_words(differing_settings(scored), scored[0], scored[1])}: "
            f"{', '.join(control.place for control in scored)}. Compare two directories, given one by one"
        )
    if scored:
        return _Matched(run, (same_options or scored)[0])
    if matching:
        steps = f"step {run.steps[-1]}", f"up to step {matching[0].steps[-1]}" if matching[0].steps else "at no step"
        return _Matched(run, None, f"it was scored at {steps[0]}, and {matching[0].place} {steps[1]}")
    if not controls:
        return _Matched(run, None, f"no run of the arm {control_arm} is among those compared")
    nearest = min(controls, key=lambda control: len(_differing(run, control)))
    return _Matched(run, None, f"{nearest.place} differs in {_in_words(_differing(run, nearest), run, nearest)}")


def _options(run: Run) -> dict[str, Any]:
    """The options of a run's intervention."""
    keys = INTERVENTION_SETTINGS - {*ARM_NAME_SETTINGS}
    return {key: value for key, value in run.settings_by_content.items() if key in keys}


def _differing(run: Run, control: Run) -> list[str]:
    """Settings and inputs in which two runs differ besides the intervention."""
    ours, theirs = ({**side.settings_by_content, **side.inputs} for side in (run, control))
    keys = sorted({*ours, *theirs} - INTERVENTION_SETTINGS)
    differing = [key for key in keys if repr(ours.get(key)) != repr(theirs.get(key))]
    # Two models differ in most facts and in their inputs, which follow from the name of the model.
    return [key for key in differing if not (key.startswith(("model.facts.", "input ")) and "model.name" in differing)]


def _in_words(keys: Sequence[str], run: Run, control: Run) -> str:
    """The keys with their two values, those of the run first; of many keys the first few."""
    ours, theirs = ({**side.settings, **side.inputs} for side in (run, control))
    phrases = [f"{key} ({ours.get(key)!r} and {theirs.get(key)!r})" for key in keys[:_MOST_NAMED]]
    return ", ".join([*phrases, *([f"{len(keys) - _MOST_NAMED} more settings"] if len(keys) > _MOST_NAMED else [])])


def _arm(group: Sequence[_Matched]) -> Arm:
    """Runs of the same settings as an arm: those without a control are left out if others have one, and of runs with
    equal weights, which are one training whatever their seeds, all but the first.
    """
    label = group[0].run.label
    with_control = [matched for matched in group if matched.control is not None]
    notes: list[str] = []
    if with_control:
        without = [matched for matched in group if matched.control is None]
        notes += [f"{label}: {m.run.place} is left out, because it has no control: {m.reason}" for m in without]
    elif group[0].reason is not None:
        notes.append(f"{label}: no control, so no difference is due to the intervention alone: {group[0].reason}")
    trainings: dict[str, list[_Matched]] = {}
    for matched in with_control or group:
        trainings.setdefault(matched.run.weights(matched.run.last) or matched.run.place, []).append(matched)
    for first, *again in trainings.values():
        if again:
            places = ", ".join(matched.run.place for matched in again)
            notes.append(
                f"{label}: {places} left out: the weights are those of {first.run.place}, so it is one training"
            )
    kept = [first for first, *_ in trainings.values()]
    controls = [matched.control.weights(matched.control.last) for matched in kept if matched.control is not None]
    if len(set(controls)) < len(controls) and None not in controls:
        num_controls = len(set(controls))
        notes.append(
            f"{label}: the controls of its {len(kept)} trainings are {num_controls} training{'s'[: num_controls > 1]} "
            "(equal weights), so its interval over seeds leaves out how far trainings of the control differ"
        )
    return Arm(label, tuple(Replicate(m.run, m.control) for m in kept), notes=tuple(notes))


def _arm_as_given(run: Run, first: Run) -> Arm:
    """A run as an arm of its own, with the first one as its control."""
    if run is first:
        return Arm(run.label, (Replicate(run, None),))
    confounds: list[str] = []
    if not run.foreign and not first.foreign:
        # How they were scored is checked by itself.
        keys = [key for key in _differing(run, first) if not key.startswith("evals.")]
        confounds += [_in_words(keys, run, first)] if keys else []
    if run.steps and first.steps and (run.steps[-1] is None or run.steps[-1] not in first.steps):
        ours, theirs = ("unknown" if side.steps[-1] is None else side.steps[-1] for side in (run, first))
        confounds.append(f"the step that was scored last ({ours} and {theirs})")
    notes = [f"{run.label} and {first.label}, as given, differ in {', '.join(confounds)}"] if confounds else []
    return Arm(run.label, (Replicate(run, first),), tuple(confounds), tuple(notes))


def settings_without(run: Run, excluded: set[str]) -> tuple[tuple[str, str], ...]:
    """A run's settings but the excluded keys, as sorted (key, repr of the value), which can be compared and hashed.

    A setting that names a path has the fingerprint of what was read there as its value.
    """
    return tuple(sorted((key, repr(value)) for key, value in run.settings_by_content.items() if key not in excluded))


def check_comparable(run: Run, baseline: Run) -> None:
    """Raises `RunDirectoryError` for runs that were scored differently, naming the benchmark and the difference."""
    difference = scored_differently(run, baseline)
    if difference is not None:
        raise RunDirectoryError(
            f"{difference}. Evaluate both in the same way, or compare them all the same with --force"
        )


def scored_differently(run: Run, baseline: Run) -> str | None:
    """In which benchmark, and how, the scoring of two runs differs; None: they were scored alike."""
    ours, theirs = (side.record["fingerprints"].get("evaluations") or {} for side in (run, baseline))
    for benchmark in sorted(ours.keys() & theirs.keys()):
        keys = sorted({*ours[benchmark], *theirs[benchmark]} - _MAY_DIFFER)
        differing = [key for key in keys if ours[benchmark].get(key) != theirs[benchmark].get(key)]
        if differing:
            values = ", ".join(
                f"{key} ({ours[benchmark].get(key)} and {theirs[benchmark].get(key)})" for key in differing
            )
            return f"{run.place} and {baseline.place}: {benchmark} was scored differently: {values}"
    return None


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
        groups = (aligned(key.protocol, subset, column, ours, theirs) for subset in spec.groups)
        # Baseline less treatment: of log P(she) - log P(he), the change of log P(he) - log P(she).
        high, low = (cluster_means(pairs.baseline - pairs.treatment, pairs.clusters) for pairs in groups)
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
