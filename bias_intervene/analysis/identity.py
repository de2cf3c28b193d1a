"""The bitwise comparison of two runs: what a repetition of a run is held to.

Input: two complete runs. Output: what they share and what differs of settings, inputs (by fingerprint), weights of
every scored checkpoint and the numbers of every item. Guarantees: "identical" is reported only where all of these are
equal; nothing is rounded.
"""

from dataclasses import dataclass

from bias_intervene.analysis.records import Run, read_items
from bias_intervene.record import differences

_DERIVED = ("settings", "evaluated_weights", "evaluations")
"""Fingerprints that are compared by what they are made of."""


@dataclass(frozen=True)
class Identity:
    """What two runs share."""

    differing: list[str]
    checkpoints: int
    items: int

    @property
    def sentence(self) -> str:
        """In words."""
        if not self.differing:
            return f"identical: the weights of {self.checkpoints} checkpoints and the numbers of {self.items} items"
        return "not identical: " + "; ".join(self.differing)


def identity(first: Run, second: Run) -> Identity:
    """What of two runs is the same."""
    differing = [f"setting {line}" for line in differences(first.record["settings"], second.record["settings"])]
    one, other = first.record["fingerprints"], second.record["fingerprints"]
    differing += [
        f"input {name}" for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)
        and name not in _DERIVED
    ]  # fmt: skip
    weights, others = one.get("evaluated_weights") or {}, other.get("evaluated_weights") or {}
    same = [name for name in weights if weights[name] == others.get(name)]
    differing += [f"weights of {name}" for name in sorted(weights.keys() | others.keys()) if name not in same]
    items = 0
    files, more = ({str(path.relative_to(run.folder)) for path in run.item_files} for run in (first, second))
    for name in sorted(files | more):
        if name not in files or name not in more:
            differing.append(f"{name} in one only")
            continue
        ours, theirs = (read_items(run.folder / name).table for run in (first, second))
        items += ours.num_rows
        if not ours.equals(theirs):
            differing.append(f"items of {name}")
    return Identity(differing, len(same), items)
