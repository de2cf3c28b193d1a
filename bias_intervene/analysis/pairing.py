"""Which runs and which items belong together.

Enters: directories. Leaves: one row a metric, arm and baseline, in plain JSON. Promised: an arm is compared with the
control that differs from it in nothing but the intervention; two directories that are runs themselves are compared as
they are given, the first as the baseline; items are paired by their identity and never by their order; runs whose
benchmarks differ are not put side by side. Every arm is also compared with the checkpoint it started from ("base"),
since the control moves too, and with the original run's at the same step ("published"), where that was scored.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from bias_intervene.analysis.verdicts import Verdict, verdict
from bias_intervene.analysis.verdicts import key_of as key_of_arm
from bias_intervene.errors import RunDirectoryError
from bias_intervene.record import flatten, has_effect, is_complete, read_json
from bias_intervene.statistics import PairedComparison, cluster_sums, compare_gap, compare_paired, compare_perplexity

CONTROL = "none"
NAMED_BY_THE_ARM = {"intervention.name", "model.variant"}
OF_THE_ARM = {*NAMED_BY_THE_ARM, "intervention.probability", "intervention.unit"}
"""Settings that a control has no use for: it is the control of every value of them."""
BASE = "base"
PUBLISHED = "published"


@dataclass
class Run:
    """One complete run."""

    folder: Path
    record: dict[str, Any]
    label: str = ""
    _items: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def arm(self) -> str:
        """Name of its intervention."""
        return self.record["arm"]

    @property
    def settings(self) -> dict[str, Any]:
        """Dotted settings that have an effect."""
        return {k: v for k, v in flatten(self.record["settings"]).items() if has_effect(k)}

    @property
    def base(self) -> str | None:
        """Name of the checkpoint it started from, where that was scored."""
        return self.checkpoint(self.record["plan"]["start_step"])

    @property
    def steps(self) -> list[int]:
        """Steps scored, of its own or before its start, ascending."""
        return sorted({row["step"] for row in self.record["results"]["metrics"]})

    @property
    def last(self) -> str | None:
        """Name of the last checkpoint of its own; the one it started from if it trained nothing."""
        return self.checkpoint(self.steps[-1]) if self.steps else None

    @property
    def published(self) -> str | None:
        """Name of the original run's last checkpoint, where that was scored."""
        steps = [row["step"] for row in self.record["results"]["published"]]
        return f"published_step{max(steps)}" if steps else None

    def checkpoint(self, step: int) -> str | None:
        """Name of a step's folder under evals/, where it was scored."""
        return f"step{step}" if step in self.steps else None

    def metrics(self, checkpoint: str) -> list[dict[str, Any]]:
        """The metrics of one checkpoint by its name."""
        results = self.record["results"]
        rows = results["published"] if checkpoint.startswith("published_") else results["metrics"]
        return [row for row in rows if checkpoint.endswith(f"step{row['step']}")]

    def items(self, benchmark: str, checkpoint: str) -> list[dict[str, Any]]:
        """Rows of evals/CHECKPOINT/BENCHMARK.parquet."""
        key = (benchmark, checkpoint)
        if key not in self._items:
            path = self.folder / "evals" / checkpoint / f"{benchmark}.parquet"
            if not path.is_file():
                raise RunDirectoryError(f"{path}: missing, though the record names its metrics")
            self._items[key] = pq.read_table(path).to_pylist()
        return self._items[key]


@dataclass
class Found:
    """What lies below the given directories."""

    runs: list[Run]
    unfinished: list[Path]


def find(folders: Sequence[Path]) -> Found:
    """Runs and unfinished runs below the directories. Raises `RunDirectoryError` where there are none."""
    runs: list[Run] = []
    unfinished: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise RunDirectoryError(f"{folder}: no such directory")
        for path in sorted({p.parent for name in ("record.json", "settings.json") for p in folder.rglob(name)}):
            if any(run.folder == path for run in runs) or path in unfinished:
                continue
            if not (path / "record.json").is_file():
                unfinished.append(path)
                continue
            record = read_json(path / "record.json")
            if not isinstance(record, dict) or record.get("schema") != 1:
                schema = record.get("schema") if isinstance(record, dict) else None
                raise RunDirectoryError(f"{path / 'record.json'}: schema {schema}; this version reads schema 1")
            runs.append(Run(path, record))
    if not runs:
        names = ", ".join(map(str, folders))
        hint = f"; {len(unfinished)} unfinished: {', '.join(map(str, unfinished[:5]))}" if unfinished else ""
        raise RunDirectoryError(
            f"no complete run (record.json) below {names}{hint}. Give a run directory or a sweep's, as under outputs/"
        )
    label(runs)
    return Found(runs, unfinished)


def differing_settings(runs: Sequence[Run]) -> list[str]:
    """Dotted keys whose values differ between the runs."""
    keys = sorted({key for run in runs for key in run.settings})
    return [key for key in keys if len({repr(run.settings.get(key)) for run in runs}) > 1]


def label(runs: Sequence[Run]) -> None:
    """Gives every run a label: its arm, and what else tells it from the others."""
    told: dict[tuple[str, ...], str] = {}
    # Of keys that vary together (seed and data.seed) the shortest one is enough.
    for key in sorted(differing_settings(runs), key=len):
        told.setdefault(tuple(repr(run.settings.get(key)) for run in runs), key)
    others = [key for key in told.values() if key not in NAMED_BY_THE_ARM]
    for run in runs:
        run.label = " ".join([run.arm, *(f"{key}={run.settings.get(key)}" for key in others)])


def baselines(runs: Sequence[Run], *, as_given: bool) -> list[tuple[Run, Run | None]]:
    """(run, its baseline) in order. as_given: the first run is the baseline of the others."""
    if as_given:
        return [(run, runs[0] if run is not runs[0] else None) for run in runs]

    def context(run: Run) -> dict[str, Any]:
        return {k: v for k, v in run.settings.items() if k not in OF_THE_ARM}

    pairs: list[tuple[Run, Run | None]] = []
    for run in runs:
        controls = [other for other in runs if other.arm == CONTROL and context(other) == context(run)]
        pairs.append((run, controls[0] if run.arm != CONTROL and controls else None))
    return pairs


def compare(runs: Sequence[Run], *, as_given: bool) -> list[dict[str, Any]]:
    """Rows of `compare --json`, at the last step scored: each arm against its base, the original run's last checkpoint
    and its baseline, as far as they were scored."""
    rows: list[dict[str, Any]] = []
    for run, baseline in baselines(runs, as_given=as_given):
        if run.last is None:
            continue
        found: list[dict[str, Any]] = []
        if run.last != run.base:
            found += against(run, run, run.base, label=BASE)
            found += against(run, run, run.published, label=PUBLISHED)
        if baseline is not None:
            check_comparable(run, baseline)
            found += against(run, baseline, baseline.last, label=baseline.label)
        rows += found or [alone(run, metric) for metric in run.metrics(run.last)]
    return rows


@dataclass(frozen=True)
class Comparison:
    """What runs say."""

    found: Found
    rows: list[dict[str, Any]]
    verdicts: list[Verdict]

    def to_json(self) -> dict[str, Any]:
        """What `compare --json` prints and comparison.json holds."""
        return {"rows": self.rows, "verdicts": [asdict(verdict) for verdict in self.verdicts]}


def comparison(folders: Sequence[Path]) -> Comparison:
    """Everything below the directories compared. Two directories that are runs themselves are taken as given."""
    found = find(folders)
    as_given = len(folders) > 1 and all(is_complete(folder) for folder in folders)
    return Comparison(found, compare(found.runs, as_given=as_given), verdicts_of(found.runs, as_given=as_given))


def verdicts_of(runs: Sequence[Run], *, as_given: bool) -> list[Verdict]:
    """Whether each arm's intervention took, at every step scored: against its control, or its base without one."""
    found: list[Verdict] = []
    for run, baseline in baselines(runs, as_given=as_given):
        key = key_of_arm(run.arm)
        rows: list[dict[str, Any]] = []
        for step in run.steps if key else ():
            checkpoint = run.base if baseline is None else baseline.checkpoint(step)
            if baseline is not None or step != run.record["plan"]["start_step"]:
                label = BASE if baseline is None else baseline.label
                rows += against(run, baseline or run, checkpoint, label=label, step=step, only=key)
        one = verdict(run.arm, rows)
        found += [one] if one else []
    return found


def check_comparable(run: Run, baseline: Run) -> None:
    """Refuses runs scored on different items."""
    ours, theirs = (r.record["fingerprints"].get("benchmarks", {}) for r in (run, baseline))
    differing = [name for name in sorted(ours.keys() & theirs.keys()) if ours[name] != theirs[name]]
    if differing:
        raise RunDirectoryError(
            f"{run.folder} and {baseline.folder} were scored on different items of {', '.join(differing)}; "
            "evaluate both on the same files"
        )


def against(
    run: Run,
    baseline: Run,
    checkpoint: str | None,
    *,
    label: str,
    step: int | None = None,
    only: tuple[str, str, str, str] | None = None,
) -> Iterator[dict[str, Any]]:
    """One row a metric that the run's checkpoint of `step` (None: its last) and the baseline's `checkpoint` have.

    only: the one metric wanted.
    """
    mine = run.last if step is None else run.checkpoint(step)
    if checkpoint is None or mine is None:
        return
    theirs = {key_of(metric): metric for metric in baseline.metrics(checkpoint)}
    for metric in run.metrics(mine):
        other = theirs.get(key_of(metric))
        if other is None or (only is not None and key_of(metric) != only):
            continue
        benchmark = metric["benchmark"]
        items = run.items(benchmark, mine)
        if benchmark == "harness" and not any(metric["metric"] in row for row in items):
            # A metric of the harness that is no mean over items: both values stand side by side, unpaired.
            unknown = float("nan")
            paired = PairedComparison(metric["value"] - other["value"], unknown, unknown, unknown, metric["n"])
        else:
            paired = paired_items(metric, items, baseline.items(benchmark, checkpoint))
        yield {
            **alone(run, metric),
            "baseline_arm": label,
            "baseline": other["value"],
            "baseline_stderr": other["stderr"],
            "difference": finite(paired.difference),
            "difference_stderr": finite(paired.stderr),
            "ci_low": finite(paired.ci_low),
            "ci_high": finite(paired.ci_high),
            "p": finite(paired.p),
            "n": paired.n,
        }


def alone(run: Run, metric: dict[str, Any]) -> dict[str, Any]:
    """A row without a baseline."""
    return {
        **{name: metric[name] for name in ("benchmark", "protocol", "subset", "metric", "step")},
        "arm": run.label, "baseline_arm": None, "baseline": None, "baseline_stderr": None,
        "value": metric["value"], "stderr": metric["stderr"],
        "difference": None, "difference_stderr": None, "ci_low": None, "ci_high": None, "p": None, "n": metric["n"],
    }  # fmt: skip


def finite(value: float) -> float | None:
    """JSON's null for a value that is unknown."""
    return value if np.isfinite(value) else None


def key_of(metric: dict[str, Any]) -> tuple[str, str, str, str]:
    """What makes two metrics the same."""
    return metric["benchmark"], metric["protocol"], metric["subset"], metric["metric"]


def paired_items(
    metric: dict[str, Any], ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]
) -> PairedComparison:
    """The paired difference of one metric over the items both runs scored."""
    if metric["metric"] == "occupation_gap":
        sides = [
            by_cluster(aligned({**metric, "subset": subset, "metric": "log_odds_she_he"}, ours, theirs))
            for subset in ("male_leaning", "female_leaning")
        ]
        return compare_gap(*sides)
    if metric["metric"] == "perplexity" and metric["benchmark"] != "harness":
        pairs = aligned({**metric, "metric": "log_likelihood"}, ours, theirs)
        return compare_perplexity(pairs.baseline, pairs.treatment)
    pairs = aligned(metric, ours, theirs)
    return compare_paired(pairs.baseline, pairs.treatment, clusters=pairs.clusters)


@dataclass(frozen=True)
class Pairs:
    """The values of one metric over the items that two runs have in common, in one order; (n,) each."""

    baseline: np.ndarray
    treatment: np.ndarray
    clusters: np.ndarray | None


def aligned(metric: dict[str, Any], ours: Iterable[dict[str, Any]], theirs: Iterable[dict[str, Any]]) -> Pairs:
    """The common items by their identity."""
    treatment, baseline = values(metric, ours), values(metric, theirs)
    common = sorted(treatment.keys() & baseline.keys())
    if not common:
        raise RunDirectoryError(f"{metric['benchmark']} {metric['subset']}: the runs have no common items")
    clusters = [treatment[item][1] for item in common]
    return Pairs(
        np.array([baseline[item][0] for item in common]),
        np.array([treatment[item][0] for item in common]),
        None if None in clusters else np.array(clusters),
    )


def by_cluster(pairs: Pairs) -> np.ndarray:
    """(G,) baseline minus treatment, the mean of each cluster: how much log P(he) - log P(she) of a person moved."""
    differences = pairs.baseline - pairs.treatment
    if pairs.clusters is None:
        return differences
    return cluster_sums(differences, pairs.clusters) / cluster_sums(np.ones_like(differences), pairs.clusters)


def values(metric: dict[str, Any], items: Iterable[dict[str, Any]]) -> dict[str, tuple[float, Any]]:
    """item -> (value of the metric, its cluster), for the items of its protocol and subset that it applies to."""
    return {
        row["item"]: (float(row[metric["metric"]]), row.get("cluster"))
        for row in items
        if row["protocol"] == metric["protocol"]
        and metric["subset"] in row["subsets"]
        and row.get(metric["metric"]) is not None
    }
