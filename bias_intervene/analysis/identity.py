"""The bitwise comparison of two runs, with which `rerun` checks that a repetition gave the same result.

Input: two complete runs.
Output: the differences in settings, inputs (by fingerprint), weights of every scored checkpoint and values of every
item.
Guarantees: "identical" is reported only if all of these are equal. Nothing is rounded.
"""

from dataclasses import dataclass

from bias_intervene.analysis.records import Run, read_items
from bias_intervene.record import differences

_NO_INPUTS = ("settings", "evaluated_weights", "evaluations")
"""Fingerprints that are not compared as inputs: settings, weights and items are compared themselves."""


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


def compare_bitwise(first: Run, second: Run) -> BitwiseComparison:
    """Compares the settings, inputs, weights and items of two complete runs."""
    differing = [f"setting {line}" for line in differences(first.record["settings"], second.record["settings"])]
    prints, other_prints = first.record["fingerprints"], second.record["fingerprints"]
    differing += [
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
        if not table.equals(other_table):
            differing.append(f"items of {name}")
    return BitwiseComparison(differing, checkpoints=len(equal), items=num_items)
