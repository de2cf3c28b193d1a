"""The case study's published numbers, to stand under the same axes as ours.

Input: two tables of facts read from the result files of EleutherAI/pythia (facts/). Output: series over steps, and
what the published interventions changed, with the caveats. Guarantees: a value is the file's own; rows whose evaluation
sentences the training hook had altered are never laid beside clean ones.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from bias_intervene.analysis.comparison import Comparison
from bias_intervene.results import MetricKey

_ARMS = {
    "pythia": "original", "intervention": "released_intervention", "long-intervention": "released_intervention_long",
}  # fmt: skip
"""The files' names of the arms and ours."""
COLUMNS: dict[MetricKey, tuple[str, str]] = {
    MetricKey("crows_pairs", "likelihood", "gender", "pct_stereotype"): (
        "cp_gender_pct_stereotype",
        "cp_gender_pct_stderr",
    ),
    MetricKey("crows_pairs", "likelihood", "gender", "likelihood_diff"): (
        "cp_gender_lldiff",
        "cp_gender_lldiff_stderr",
    ),
    MetricKey("crows_pairs", "likelihood", "all", "pct_stereotype"): (
        "cp_english_pct_stereotype",
        "cp_english_pct_stderr",
    ),
    MetricKey("lambada", "last_word", "all", "perplexity"): ("lambada_ppl", "lambada_ppl_stderr"),
    MetricKey("lambada", "last_word", "all", "accuracy"): ("lambada_acc", "lambada_acc_stderr"),
    MetricKey("winobias", "exact_match", "all", "net_bias"): ("net_bias", "net_bias_se_indep"),
    MetricKey("winobias", "exact_match", "all", "accuracy"): ("acc", ""),
}
"""Our metric -> (column, column of its standard error)."""
_SIZES = {"19M": "70m", "350M": "410m", "1.3B": "1.4b", "6.7B": "6.9b"}
"""The suite's first names of its sizes."""
_HALF_STEPS = {("v0", "1.4b"), ("v0", "410m")}
"""Trained with batches of twice the size: an iteration is two steps of 2,097,152 tokens."""
_CAVEATS = (
    "Facts read from the result files of EleutherAI/pythia. Differences are those of shared checkpoints, which are not "
    "independent; no item was published, so nothing can be paired.",
    "The public code of the intervention does not apply the swap it computes, and the released models look unswapped "
    "by CrowS-Pairs. Files of the first suite (v0) that were scored with the training hook active on the evaluation "
    "sentences are left out.",
    "WinoBias, exact match: the two arms of v1 were scored by different back-ends.",
)


@dataclass(frozen=True)
class Value:
    """One published value."""

    suite: str
    arm: str
    size: str
    step: int
    source: str
    key: MetricKey
    value: float
    stderr: float | None


@cache
def values() -> tuple[Value, ...]:
    """Every published value that was scored on unaltered sentences."""
    facts = resources.files("bias_intervene.analysis").joinpath("facts")
    return tuple(
        value
        for name in ("published_crows_pairs_lambada.csv", "published_winobias_exact_match.csv")
        for line in csv.DictReader(facts.joinpath(name).open(encoding="utf8"))
        for value in values_of(line)
    )


def values_of(line: dict[str, str]) -> Iterator[Value]:
    """The values of one line of either table."""
    if line.get("eval_inputs_mutated") == "yes":
        return
    size = _SIZES.get(line["size"], line["size"].lower())
    step = int(line["step_2M_equiv"] if "step_2M_equiv" in line else line["iteration"])
    if "iteration" in line and (line["suite"], size) in _HALF_STEPS:
        step *= 2
    arm = _ARMS[line.get("run_kind") or line["kind"]]
    for key, (column, stderr) in COLUMNS.items():
        if line.get(column):
            error = float(line[stderr]) if line.get(stderr) else None
            yield Value(line["suite"], arm, size, step, line.get("set", ""), key, float(line[column]), error)


def sizes_of(compared: Comparison) -> list[str]:
    """Sizes of the suite that are compared."""
    known = {value.size for value in values()}
    compared_sizes = dict.fromkeys(arm.first.settings.get("model.name") for arm in compared.arms)
    return [size for size in compared_sizes if size in known]


def trajectories(key: MetricKey, sizes: Sequence[str]) -> dict[str, dict[int, list[tuple[float, float | None]]]]:
    """Series name -> step -> (value, standard error), of the released suite (v1)."""
    found: dict[str, dict[int, list[tuple[float, float | None]]]] = {}
    for one in values():
        if (
            one.key == key
            and one.suite == "v1"
            and one.size in sizes
            and one.source in {"", "baseline", "intervention"}
        ):
            found.setdefault(f"{one.size} {one.arm}, published", {})[one.step] = [(one.value, one.stderr)]
    return found


@dataclass(frozen=True)
class Change:
    """What a published intervention changed, over the checkpoints it shares with the original."""

    suite: str
    size: str
    arm: str
    key: MetricKey
    checkpoints: int
    original: float
    intervention: float
    difference: float
    stderr: float
    """Of the mean over checkpoints, as if these were independent."""


def changes() -> list[Change]:
    """Intervention minus original at the same steps, by the same evaluation code."""
    by: dict[tuple[str, str, MetricKey], dict[str, dict[int, float]]] = {}
    for one in values():
        if one.source in {"", "baseline", "intervention"}:
            by.setdefault((one.suite, one.size, one.key), {}).setdefault(one.arm, {})[one.step] = one.value
    found: list[Change] = []
    for (suite, size, key), arms in by.items():
        for arm in arms.keys() - {"original"}:
            steps = sorted(arms[arm].keys() & arms.get("original", {}).keys())
            if len(steps) < 2:
                continue
            ours, theirs = (np.array([arms[name][step] for step in steps]) for name in (arm, "original"))
            moved = ours - theirs
            found.append(
                Change(
                    suite, size, arm, key, len(steps), float(theirs.mean()), float(ours.mean()), float(moved.mean()),
                    float(moved.std(ddof=1) / np.sqrt(len(steps))),
                )
            )  # fmt: skip
    return sorted(found, key=lambda change: (change.key, change.suite, change.size, change.arm))


def _shown(compared: Comparison) -> list[Change]:
    """The changes of the sizes that are compared, of all where none of them is of the suite."""
    sizes = sizes_of(compared)
    return [change for change in changes() if change.size in sizes or not sizes]


def as_json(compared: Comparison) -> dict[str, Any]:
    """The changes and their caveats for machines."""
    names = ("benchmark", "protocol", "subset", "metric")
    rows = [
        dict(zip(names, change.key, strict=True))
        | {name: value for name, value in asdict(change).items() if name != "key"}
        for change in _shown(compared)
    ]
    return {"caveats": list(_CAVEATS), "changes": rows}


def section(compared: Comparison) -> dict[str, Any]:
    """The same as a table for people."""
    columns = ["metric", "suite", "size", "arm", "checkpoints", "original", "intervention", "difference (s.e.)"]
    rows = [
        [
            " ".join(part for part in change.key if part != "all"), change.suite, change.size,
            change.arm.removeprefix("released_"), str(change.checkpoints), f"{change.original:.4g}",
            f"{change.intervention:.4g}", f"{change.difference:+.4f} ({change.stderr:.4f})",
        ]
        for change in _shown(compared)
    ]  # fmt: skip
    return {"columns": columns, "rows": rows, "caveats": _CAVEATS}
