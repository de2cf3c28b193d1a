"""Which runs and which items belong together.

Input: runs. Output: arms, each of replicates that differ in nothing but the seed, with the control of each replicate;
and the paired differences of one metric over the items that two checkpoints have in common. Guarantees: a run is
compared with the control that differs from it in nothing but the intervention; two directories that are runs themselves
are compared as they are given, the first as the baseline; items are paired by their identity and never by their order;
what is not comparable is refused, naming what differs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bias_intervene.analysis.records import CONTROL, OF_THE_ARM, OF_THE_SEED, Items, Run
from bias_intervene.errors import RunDirectoryError, did_you_mean
from bias_intervene.results import MetricKey, MetricSpec
from bias_intervene.statistics import PairedComparison, cluster_sums, compare_gap, compare_paired, compare_perplexity

_MAY_DIFFER = {"device", "protocols"}
"""Parts of an evaluation's identity that leave its numbers comparable: the metrics that both have are compared."""


@dataclass(frozen=True)
class Arm:
    """Replicates of one arm, each with its control or None."""

    label: str
    replicates: tuple[tuple[Run, Run | None], ...]

    @property
    def first(self) -> Run:
        """One of its runs: what does not depend on the seed is the same in all."""
        return self.replicates[0][0]

    @property
    def paired(self) -> tuple[tuple[Run, Run], ...]:
        """The replicates that have a control."""
        return tuple((run, control) for run, control in self.replicates if control is not None)


def arms(runs: Sequence[Run], *, as_given: bool, baseline: str | None = None) -> list[Arm]:
    """The arms in the order met.

    as_given: the first run is the baseline of the others. baseline: the arm that serves as the control; None: `none`.
    """
    if as_given:
        first = runs[0]
        return [Arm(run.label, ((run, None if run is first else first),)) for run in runs]
    names = {run.arm for run in runs}
    if baseline is not None and baseline not in names:
        raise RunDirectoryError(f"--baseline {baseline}: no run of that arm; {did_you_mean(baseline, names)}")
    control = baseline or CONTROL
    controls = {
        (frozen(run, without={*OF_THE_ARM, *OF_THE_SEED}), run.seeds): run for run in runs if run.arm == control
    }
    groups: dict[Any, list[tuple[Run, Run | None]]] = {}
    for run in runs:
        own = None
        if run.arm != control:
            own = controls.get((frozen(run, without={*OF_THE_ARM, *OF_THE_SEED}), run.seeds))
        groups.setdefault(frozen(run, without=set(OF_THE_SEED)), []).append((run, own))
    return [Arm(group[0][0].label, tuple(group)) for group in groups.values()]


def frozen(run: Run, *, without: set[str]) -> tuple[tuple[str, str], ...]:
    """Its settings but those, to be compared."""
    return tuple(sorted((key, repr(value)) for key, value in run.settings.items() if key not in without))


def check_comparable(run: Run, baseline: Run) -> None:
    """Refuses runs scored in different ways, naming the benchmark and what of it differs."""
    ours, theirs = (one.record["fingerprints"].get("evaluations") or {} for one in (run, baseline))
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
class Pairs:
    """The values of one metric over the items that two checkpoints have in common, in one order; (n,) each."""

    items: np.ndarray
    baseline: np.ndarray
    treatment: np.ndarray
    clusters: np.ndarray | None


def paired_items(key: MetricKey, spec: MetricSpec, ours: Items, theirs: Items) -> PairedComparison:
    """The paired difference of one metric over the items both checkpoints were scored on, as its spec says."""
    column = spec.column or key.metric
    if spec.pairing == "gap":
        assert spec.groups is not None
        high, low = (_by_cluster(aligned(key.protocol, subset, column, ours, theirs)) for subset in spec.groups)
        return compare_gap(high, low)
    pairs = aligned(key.protocol, key.subset, column, ours, theirs)
    if spec.pairing == "perplexity":
        return compare_perplexity(pairs.baseline, pairs.treatment)
    return compare_paired(pairs.baseline, pairs.treatment, clusters=pairs.clusters)


def aligned(protocol: str, subset: str, metric: str, ours: Items, theirs: Items) -> Pairs:
    """The common items by their identity."""
    mine, other = ours.chosen(protocol, subset, metric), theirs.chosen(protocol, subset, metric)
    if not np.array_equal(ours.ids[mine], theirs.ids[other]):
        places = dict(zip(theirs.ids[other], other, strict=True))
        mine = np.array([row for row in mine if ours.ids[row] in places], dtype=int)
        other = np.array([places[item] for item in ours.ids[mine]], dtype=int)
    if not mine.size:
        raise RunDirectoryError(f"{protocol} {subset} {metric}: the runs have no common items")
    return Pairs(
        ours.ids[mine],
        theirs.column(metric)[other],
        ours.column(metric)[mine],
        None if ours.clusters is None else ours.clusters[mine],
    )


def _by_cluster(pairs: Pairs) -> np.ndarray:
    """(G,) baseline minus treatment, the mean of each cluster: how much log P(he) - log P(she) of a person moved."""
    differences = pairs.baseline - pairs.treatment
    if pairs.clusters is None:
        return differences
    return cluster_sums(differences, pairs.clusters) / cluster_sums(np.ones_like(differences), pairs.clusters)
