"""Which runs and which items belong together.

Enters: directories. Leaves: one row a metric, arm and baseline, in plain JSON. Promised: an arm is compared with the
control that differs from it in nothing but the intervention; two directories that are runs themselves are compared as
they are given, the first as the baseline; items are paired by their identity and never by their order; runs whose
benchmarks differ are not put side by side. Every arm is also compared with the checkpoint it started from ("base"),
since the control moves too.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from bias_intervene.errors import RunDirectoryError
from bias_intervene.record import WITHOUT_EFFECT, flatten, read_json
from bias_intervene.statistics import PairedComparison, compare_gap, compare_paired

CONTROL = "none"
BASE = "base"


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
        return {k: v for k, v in flatten(self.record["settings"]).items() if k.split(".")[0] not in WITHOUT_EFFECT}

    @property
    def last_step(self) -> int:
        """The last step scored."""
        return max((row["step"] for row in self.metrics), default=self.record["plan"]["start_step"])

    @property
    def base_step(self) -> int:
        """The step training started from."""
        return self.record["plan"]["start_step"]

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The metrics of every step."""
        return self.record["results"]["metrics"]

    def items(self, benchmark: str, step: int) -> list[dict[str, Any]]:
        """Rows of evals/stepN/BENCHMARK.parquet."""
        key = (benchmark, str(step))
        if key not in self._items:
            path = self.folder / "evals" / f"step{step}" / f"{benchmark}.parquet"
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
    others = [key for key in differing_settings(runs) if key != "intervention.name"]
    for run in runs:
        parts = [f"{key.split('.')[-1]}={run.settings.get(key)}" for key in others]
        run.label = " ".join([run.arm, *parts])


def baselines(runs: Sequence[Run], *, as_given: bool) -> list[tuple[Run, Run | None]]:
    """(run, its baseline) in order. as_given: the first run is the baseline of the others."""
    if as_given:
        return [(run, runs[0] if run is not runs[0] else None) for run in runs]

    def context(run: Run) -> dict[str, Any]:
        return {k: v for k, v in run.settings.items() if k != "intervention.name"}

    pairs: list[tuple[Run, Run | None]] = []
    for run in runs:
        controls = [other for other in runs if other.arm == CONTROL and context(other) == context(run)]
        pairs.append((run, controls[0] if run.arm != CONTROL and controls else None))
    return pairs


def compare(runs: Sequence[Run], *, as_given: bool) -> list[dict[str, Any]]:
    """Rows of `compare --json`: each arm against its own base, and against its baseline, at the last step scored."""
    rows: list[dict[str, Any]] = []
    for run, baseline in baselines(runs, as_given=as_given):
        if run.last_step > run.base_step and any(m["step"] == run.base_step for m in run.metrics):
            rows += compare_steps(run, run.last_step, run, run.base_step, baseline_label=BASE)
        if baseline is not None:
            check_comparable(run, baseline)
            rows += compare_steps(run, run.last_step, baseline, baseline.last_step, baseline_label=baseline.label)
        if not any(row["arm"] == run.label for row in rows):
            rows += [alone(run, metric) for metric in run.metrics if metric["step"] == run.last_step]
    return rows


def check_comparable(run: Run, baseline: Run) -> None:
    """Refuses runs scored on different items."""
    ours, theirs = (r.record["fingerprints"].get("benchmarks", {}) for r in (run, baseline))
    differing = [name for name in sorted(ours.keys() & theirs.keys()) if ours[name] != theirs[name]]
    if differing:
        raise RunDirectoryError(
            f"{run.folder} and {baseline.folder} were scored on different items of {', '.join(differing)}; "
            "evaluate both on the same files"
        )


def compare_steps(
    run: Run, step: int, baseline: Run, baseline_step: int, *, baseline_label: str
) -> Iterator[dict[str, Any]]:
    """One row a metric that both have."""
    theirs = {key_of(m): m for m in baseline.metrics if m["step"] == baseline_step}
    for metric in run.metrics:
        if metric["step"] != step or key_of(metric) not in theirs:
            continue
        paired = paired_items(
            metric, run.items(metric["benchmark"], step), baseline.items(metric["benchmark"], baseline_step)
        )
        yield {
            **alone(run, metric),
            "baseline_arm": baseline_label,
            "baseline": theirs[key_of(metric)]["value"],
            "baseline_stderr": theirs[key_of(metric)]["stderr"],
            "difference": finite(paired.difference),
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
        "difference": None, "ci_low": None, "ci_high": None, "p": None, "n": metric["n"],
    }  # fmt: skip


def finite(value: float) -> float | None:
    """JSON's null for a value that is unknown."""
    return value if np.isfinite(value) else None


def key_of(metric: dict[str, Any]) -> tuple[str, str, str, str]:
    """What makes two metrics the same."""
    return metric["benchmark"], metric["protocol"], metric["subset"], metric["metric"]


def paired_items(
    metric: dict[str, Any], ours: Iterable[dict[str, Any]], theirs: Iterable[dict[str, Any]]
) -> PairedComparison:
    """The paired difference of one metric over the items both runs scored."""
    if metric["metric"] == "occupation_gap":
        sides: list[np.ndarray] = []
        for subset in ("male_leaning", "female_leaning"):
            part = {**metric, "subset": subset, "metric": "log_odds_she_he"}
            baseline, treatment = aligned(part, ours, theirs)
            sides.append(baseline - treatment)
        return compare_gap(*sides)
    return compare_paired(*aligned(metric, ours, theirs))


def aligned(
    metric: dict[str, Any], ours: Iterable[dict[str, Any]], theirs: Iterable[dict[str, Any]]
) -> tuple[np.ndarray, np.ndarray]:
    """(baseline, treatment) values of the common items, in one order."""
    treatment, baseline = values(metric, ours), values(metric, theirs)
    common = sorted(treatment.keys() & baseline.keys())
    if not common:
        raise RunDirectoryError(f"{metric['benchmark']} {metric['subset']}: the runs have no common items")
    return np.array([baseline[i] for i in common]), np.array([treatment[i] for i in common])


def values(metric: dict[str, Any], items: Iterable[dict[str, Any]]) -> dict[str, float]:
    """item -> value of the metric, for the items of its protocol and subset."""
    subset, name = metric["subset"], metric["metric"]
    column = "log_odds" if metric["benchmark"] == "pronouns" else name
    chosen: dict[str, float] = {}
    for row in items:
        if row["protocol"] != metric["protocol"] or row.get("applicable") is False:
            continue
        member = {row.get("subset"), row.get("kind"), row.get("bias_type"), "all"}
        if subset not in member:
            continue
        if metric["benchmark"] == "pronouns" and f"log_odds_{row['form']}" != name:
            continue
        chosen[f"{row['item']} {row.get('form', '')}"] = float(row[column])
    return chosen
