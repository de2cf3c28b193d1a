"""The case study's published numbers, drawn and tabulated beside ours.

Input: two tables that were read off the result files of EleutherAI/pythia (facts/*.csv).
Output: series over the training steps, and the differences between the published interventions and the originals, with
their caveats.
Guarantees: values are the files' own. Rows that were scored while the training hook altered the evaluation sentences
are left out.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

from bias_intervene.analysis.comparison import Comparison
from bias_intervene.results import MetricKey

_ARMS = {
    "pythia": "original", "intervention": "released_intervention", "long-intervention": "released_intervention_long",
}  # fmt: skip
"""Name of an arm in the tables -> our name."""


class _Columns(NamedTuple):
    """Where a table holds a metric."""

    value: str
    stderr: str | None
    """None: the tables have no standard error of it."""


COLUMNS: dict[MetricKey, _Columns] = {
    MetricKey("crows_pairs", "likelihood", "gender", "pct_stereotype"): _Columns(
        "cp_gender_pct_stereotype", "cp_gender_pct_stderr"
    ),
    MetricKey("crows_pairs", "likelihood", "gender", "likelihood_diff"): _Columns(
        "cp_gender_lldiff", "cp_gender_lldiff_stderr"
    ),
    MetricKey("crows_pairs", "likelihood", "all", "pct_stereotype"): _Columns(
        "cp_english_pct_stereotype", "cp_english_pct_stderr"
    ),
    MetricKey("lambada", "last_word", "all", "perplexity"): _Columns("lambada_ppl", "lambada_ppl_stderr"),
    MetricKey("lambada", "last_word", "all", "accuracy"): _Columns("lambada_acc", "lambada_acc_stderr"),
    MetricKey("winobias", "exact_match", "all", "net_bias"): _Columns("net_bias", "net_bias_se_indep"),
    MetricKey("winobias", "exact_match", "all", "accuracy"): _Columns("acc", None),
}
_SIZES = {"19M": "70m", "350M": "410m", "1.3B": "1.4b", "6.7B": "6.9b"}
"""Name of a model size in the first suite (v0) -> its present name."""
_TWO_STEPS_AN_ITERATION = {("v0", "1.4b"), ("v0", "410m")}
"""(suite, size) of models trained with batches of 4,194,304 tokens: an iteration counts as two steps of half of it."""
_COMPARABLE_SETS = {"", "baseline", "intervention"}
"""Sets of result files in which both arms were scored by the same evaluation code; '' in the table of WinoBias."""
_CAVEATS = (
    "Facts read from the result files of EleutherAI/pythia. Differences are those of shared checkpoints, which are not "
    "independent; no item was published, so nothing can be paired.",
    "The public code of the intervention does not apply the swap it computes, and the released models look unswapped "
    "by CrowS-Pairs. Files of the first suite (v0) that were scored with the training hook active on the evaluation "
    "sentences are left out.",
    "WinoBias, exact match: the two arms of v1 were scored by different back-ends.",
)


@dataclass(frozen=True)
class PublishedValue:
    """One metric of one published checkpoint."""

    suite: str
    """v0, the first one, or v1, the released one."""
    arm: str
    """`original` or an intervention."""
    size: str
    step: int
    """In steps of 2,097,152 tokens."""
    source: str
    """The set of result files it is from; '' where there is only one."""
    key: MetricKey
    value: float
    stderr: float | None


@cache
def values() -> tuple[PublishedValue, ...]:
    """Every published value that was scored on unaltered sentences."""
    facts = resources.files("bias_intervene.analysis").joinpath("facts")
    return tuple(
        value
        for name in ("published_crows_pairs_lambada.csv", "published_winobias_exact_match.csv")
        for line in csv.DictReader(facts.joinpath(name).open(encoding="utf8"))
        for value in values_of(line)
    )


def values_of(line: dict[str, str]) -> Iterator[PublishedValue]:
    """The values of one line of either table; none where the evaluation sentences had been altered."""
    if line.get("eval_inputs_mutated") == "yes":
        return
    size = _SIZES.get(line["size"], line["size"].lower())
    step = int(line["step_2M_equiv"] if "step_2M_equiv" in line else line["iteration"])
    if "iteration" in line and (line["suite"], size) in _TWO_STEPS_AN_ITERATION:
        step *= 2
    arm = _ARMS[line.get("run_kind") or line["kind"]]
    for key, columns in COLUMNS.items():
        if line.get(columns.value):
            stderr = line.get(columns.stderr) if columns.stderr else None
            yield PublishedValue(
                suite=line["suite"],
                arm=arm,
                size=size,
                step=step,
                source=line.get("set", ""),
                key=key,
                value=float(line[columns.value]),
                stderr=float(stderr) if stderr else None,
            )


def sizes_of(compared: Comparison) -> list[str]:
    """The model sizes of a comparison of which something was published."""
    published_sizes = {value.size for value in values()}
    compared_sizes = dict.fromkeys(arm.first.settings.get("model.name") for arm in compared.arms)
    return [size for size in compared_sizes if size in published_sizes]


def trajectories(key: MetricKey, sizes: Sequence[str]) -> dict[str, dict[int, list[tuple[float, float | None]]]]:
    """Name of a series -> step -> [(value, standard error)], of the released suite (v1)."""
    series: dict[str, dict[int, list[tuple[float, float | None]]]] = {}
    for row in values():
        if row.key == key and row.suite == "v1" and row.size in sizes and row.source in _COMPARABLE_SETS:
            series.setdefault(f"{row.size} {row.arm}, published", {})[row.step] = [(row.value, row.stderr)]
    return series


@dataclass(frozen=True)
class PublishedChange:
    """The difference between a published intervention and the original, over the checkpoints that both have."""

    suite: str
    size: str
    arm: str
    key: MetricKey
    checkpoints: int
    """Number of checkpoints that both have."""
    original: float
    """Mean over these checkpoints."""
    intervention: float
    """Mean over these checkpoints."""
    difference: float
    """Intervention minus original."""
    stderr: float
    """Of the difference, over checkpoints, as if these were independent."""


def changes() -> list[PublishedChange]:
    """Intervention minus original at the same steps, scored by the same evaluation code."""
    by_model: dict[tuple[str, str, MetricKey], dict[str, dict[int, float]]] = {}
    for row in values():
        if row.source in _COMPARABLE_SETS:
            by_model.setdefault((row.suite, row.size, row.key), {}).setdefault(row.arm, {})[row.step] = row.value
    all_changes: list[PublishedChange] = []
    for (suite, size, key), arms in by_model.items():
        for arm in arms.keys() - {"original"}:
            steps = sorted(arms[arm].keys() & arms.get("original", {}).keys())
            if len(steps) < 2:
                continue
            intervention, original = (np.array([arms[name][step] for step in steps]) for name in (arm, "original"))
            differences = intervention - original
            all_changes.append(
                PublishedChange(
                    suite=suite,
                    size=size,
                    arm=arm,
                    key=key,
                    checkpoints=len(steps),
                    original=float(original.mean()),
                    intervention=float(intervention.mean()),
                    difference=float(differences.mean()),
                    stderr=float(differences.std(ddof=1) / np.sqrt(len(steps))),
                )
            )
    return sorted(all_changes, key=lambda change: (change.key, change.suite, change.size, change.arm))


def _changes_beside(compared: Comparison) -> list[PublishedChange]:
    """The changes of the model sizes that are compared; of all sizes where nothing was published of these."""
    sizes = sizes_of(compared)
    return [change for change in changes() if change.size in sizes or not sizes]


def as_json(compared: Comparison) -> dict[str, Any]:
    """The changes and their caveats, as comparison.json holds them."""
    rows = [
        change.key._asdict() | {name: value for name, value in asdict(change).items() if name != "key"}
        for change in _changes_beside(compared)
    ]
    return {"caveats": list(_CAVEATS), "changes": rows}


def section(compared: Comparison) -> dict[str, Any]:
    """The changes and their caveats as a table for the report and the terminal: `columns`, `rows`, `caveats`."""
    columns = ["metric", "suite", "size", "arm", "checkpoints", "original", "intervention", "difference (s.e.)"]
    rows = [
        [
            " ".join(part for part in change.key if part != "all"), change.suite, change.size,
            change.arm.removeprefix("released_"), str(change.checkpoints), f"{change.original:.4g}",
            f"{change.intervention:.4g}", f"{change.difference:+.4f} ({change.stderr:.4f})",
        ]
        for change in _changes_beside(compared)
    ]  # fmt: skip
    return {"columns": columns, "rows": rows, "caveats": _CAVEATS}
