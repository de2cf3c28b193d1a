"""The bitwise comparison of two runs, with which `rerun` checks that a repetition gave the same result.

The comparison of arms uses it as well: a run and its copy are one observation, not two.

Input: complete runs.
Output: the differences in settings, inputs (by fingerprint), weights of every scored checkpoint and values of every
item.
Guarantees: "identical" is reported only if all of these are equal. Nothing is rounded.
"""

import filecmp
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bias_intervene.analysis.items import read_items
from bias_intervene.analysis.pairing import settings_without
from bias_intervene.analysis.records import ARM_NAME_SETTINGS, CONTROL, INTERVENTION_SETTINGS, Run
from bias_intervene.errors import RunDirectoryError
from bias_intervene.record import differences

_NO_INPUTS = ("settings", "evaluated_weights", "evaluations", "corpus_source")
"""Fingerprints that are not compared as inputs: settings, weights and items are compared themselves, and the source of
the corpus is a place."""


@dataclass(frozen=True)
class BitwiseComparison:
    """The differences between two runs, and how much is equal."""

    differing: list[str]
    """One phrase per difference; empty for identical runs."""
    checkpoints: int
    """Scored checkpoints whose weights are equal."""
    items: int
    """Rows in the files of items that both runs have."""

    @property
    def sentence(self) -> str:
        """The result as a sentence."""
        if not self.differing:
            return f"identical: the weights of {self.checkpoints} checkpoints and the numbers of {self.items} items"
        return "not identical: " + "; ".join(self.differing)


class _Results(NamedTuple):
    """The differences between the inputs and results of two runs, and how much is equal."""

    differing: list[str]
    checkpoints: int
    items: int


def compare_bitwise(first: Run, second: Run) -> BitwiseComparison:
    """Compares the settings, inputs, weights and items of two complete runs."""
    settings = [f"setting {line}" for line in differences(first.record["settings"], second.record["settings"])]
    results = _compare_results(first, second)
    return BitwiseComparison([*settings, *results.differing], checkpoints=results.checkpoints, items=results.items)


def _compare_results(first: Run, second: Run) -> _Results:
    """Compares the inputs, weights, items and metrics of two complete runs, wherever their inputs lay."""
    prints, other_prints = first.record["fingerprints"], second.record["fingerprints"]
    differing = [
        f"input {name}"
        for name in sorted(prints.keys() | other_prints.keys())
        if prints.get(name) != other_prints.get(name) and name not in _NO_INPUTS
    ]
    weights, other_weights = (values.get("evaluated_weights") or {} for values in (prints, other_prints))
    equal = [name for name in weights if weights[name] == other_weights.get(name)]
    differing += [f"weights of {name}" for name in sorted(weights.keys() | other_weights.keys()) if name not in equal]
    num_items = 0
    files, other_files = ({str(path.relative_to(run.folder)) for path in run.item_files} for run in (first, second))
    for name in sorted(files | other_files):
        if name not in files or name not in other_files:
            differing.append(f"{name} in one only")
            continue
        table, other_table = (read_items(run.folder / name).table for run in (first, second))
        num_items += table.num_rows
        # By their bytes first, because NaN is equal to nothing.
        if not filecmp.cmp(first.folder / name, second.folder / name, shallow=False) and not table.equals(other_table):
            differing.append(f"items of {name}")
    # As text, because NaN is equal to nothing.
    if repr([first.rows, first.published_rows]) != repr([second.rows, second.published_rows]):
        differing.append("metrics of record.json")
    return _Results(differing, checkpoints=len(equal), items=num_items)


# --- one observation ---------------------------------------------------------------------------------------------


class OneOfEach(NamedTuple):
    """Runs of which no two are one observation."""

    runs: list[Run]
    notes: list[str]
    """What was left out, and why."""


def without_copies(runs: Sequence[Run], *, refuse_unequal: bool = True) -> OneOfEach:
    """The runs, of those that have the same settings and seeds the first alone.

    A setting that names a path is known by what was read there. Raises `RunDirectoryError` if two runs of the same
    settings and seeds have different results; refuse_unequal: False: both are kept.
    """
    kept: list[Run] = []
    notes: list[str] = []
    same_observation: dict[tuple[tuple[str, str], ...], list[Run]] = {}
    for run in runs:
        others = [] if run.foreign else same_observation.setdefault(_observation(run), [])
        differing = [_compare_results(other, run).differing for other in others]
        if [] in differing:
            first = others[differing.index([])]
            notes.append(f"{run.place}: left out, a copy of {first.place} (the same settings, seed and results)")
            continue
        for other, names in zip(others, differing, strict=True):
            # Options of the intervention change nothing in a control, but tell which arm it was run beside.
            if refuse_unequal and run.settings_by_content == other.settings_by_content:
                raise RunDirectoryError(
                    f"{run.place} and {other.place} have the same settings and seed, and differ in "
                    f"{', '.join(names[:5])}{f' and {len(names) - 5} more' if len(names) > 5 else ''}. A seed is one "
                    "observation: move one of the two away, or compare these two alone by giving both directories"
                )
        others.append(run)
        kept.append(run)
    return OneOfEach(kept, notes)


def _observation(run: Run) -> tuple[tuple[str, str], ...]:
    """What makes a run another observation than others: its settings, seeds included."""
    without_effect = INTERVENTION_SETTINGS - {*ARM_NAME_SETTINGS} if run.arm == CONTROL else set[str]()
    return settings_without(run, without_effect)
