"""What the runs say: one row a metric, arm and baseline, in plain JSON, and whether each intervention took.

Enters: directories and what is asked of them. Leaves: rows with value, difference, interval, p, p after Holm, the least
effect the design could have seen, and one plain sentence each. Promised: every arm is compared with its control, with
the checkpoint it started from ("base"), since the control moves too, and with the original run's last one
("published"), where these were scored.

One replicate: the uncertainty is that over items, and says nothing of other seeds. Several: each seed is one
observation, the interval and test are Student's over seeds, and the spread between seeds stands beside the standard
error that one run alone reports.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from bias_intervene.analysis import harness_results
from bias_intervene.analysis.identity import Identity, identity
from bias_intervene.analysis.pairing import Arm, arms, check_comparable, paired_items
from bias_intervene.analysis.records import Found, Run, find
from bias_intervene.analysis.rows import (
    BASE,
    HEADLINE,
    IN_NATS,
    PUBLISHED,
    Key,
    Row,
    in_words,
    is_against_control,
    metric_key,
)
from bias_intervene.analysis.verdicts import ManipulationCheck, expected_effect, manipulation_check
from bias_intervene.errors import RunDirectoryError, did_you_mean
from bias_intervene.record import is_complete
from bias_intervene.statistics import PairedComparison, compare_unpaired, holm, minimum_detectable_effect, over_seeds


@dataclass(frozen=True)
class Asked:
    """What is asked of the runs."""

    baseline: str | None = None
    """The arm that serves as the control; None: `none`."""
    metrics: tuple[str, ...] = ()
    """Names of the metrics wanted; empty: all."""
    force: bool = False
    """Compare what was scored differently."""
    published: bool = False
    """Lay the case study's published numbers beside ours."""


@dataclass(frozen=True)
class Comparison:
    """What runs say."""

    found: Found
    arms: list[Arm]
    rows: list[Row]
    verdicts: list[ManipulationCheck]
    asked: Asked = field(default_factory=Asked)
    identity: Identity | None = None
    """Of two runs that are compared as they are given."""

    def to_json(self) -> dict[str, Any]:
        """Rows, verdicts, and whether two runs are identical."""
        said = {"identity": asdict(self.identity)} if self.identity else {}
        return {"rows": self.rows, "verdicts": [asdict(verdict) for verdict in self.verdicts], **said}


def compare(paths: Sequence[Path], asked: Asked | None = None) -> Comparison:
    """Everything below the directories, and in result files of lm-evaluation-harness, compared.

    Two paths that are one run each are taken as given, the first as the baseline.
    """
    asked = asked or Asked()
    found = gathered(paths)
    single = len(found.runs) == len(paths) > 1 and all(is_complete(path) or not holds_ours(path) for path in paths)
    return compare_runs(found, asked, as_given=asked.baseline is None and single)


def gathered(paths: Sequence[Path]) -> Found:
    """Our runs and the harness's, in the order of the paths."""
    ours: list[Path] = []
    theirs: list[Path] = []
    for path in paths:
        if path.is_file():
            theirs.append(path)
        elif path.is_dir() and not holds_ours(path):
            results = [file for file in sorted(path.rglob("*.json")) if harness_results.is_results(file)]
            theirs += results
            ours += [] if results else [path]
        else:
            ours.append(path)
    found = find(ours) if ours else Found([], [])
    others = harness_results.read_runs(theirs)
    first = bool(paths) and paths[0] not in ours
    return Found([*others, *found.runs] if first else [*found.runs, *others], found.unfinished)


def holds_ours(path: Path) -> bool:
    """Whether runs of ours, complete or not, lie below."""
    return path.is_dir() and any(path.rglob("settings.json"))


def compare_runs(found: Found, asked: Asked, *, as_given: bool) -> Comparison:
    """The same of runs that were found."""
    known = {row["metric"] for run in found.runs for row in run.record["results"]["metrics"]}
    unknown = [name for name in asked.metrics if name not in known]
    if unknown:
        raise RunDirectoryError(f"--metric {unknown[0]}: no run has it; {did_you_mean(unknown[0], known)}")
    made = arms(found.runs, as_given=as_given, baseline=asked.baseline)
    if not asked.force:
        for arm in made:
            for run, control in arm.paired:
                check_comparable(run, control)
    rows = [row for arm in made for row in rows_of(arm, asked)]
    correct(rows, asked)
    for row in rows:
        row["sentence"] = in_words(row)
    verdicts = [one for arm in made if (one := verdict_of(arm)) is not None]
    told = as_given and len(found.runs) == 2 and not any(run.foreign for run in found.runs)
    same = identity(*found.runs) if told else None
    return Comparison(found, made, rows, verdicts, asked, same)


def rows_of(arm: Arm, asked: Asked) -> Iterator[Row]:
    """Every metric of an arm's last checkpoint against base, published last checkpoint and control."""
    trained = [run for run, _ in arm.replicates if run.last != run.base]
    pairs = {
        BASE: [(run, run, run.base) for run in trained],
        PUBLISHED: [(run, run, run.published) for run in trained],
    }
    if arm.paired:
        pairs[arm.paired[0][1].label] = [(run, control, counterpart(run, control)) for run, control in arm.paired]
    compared = False
    for label, replicates in pairs.items():
        found = [list(against(*one, label=label, metrics=asked.metrics)) for one in replicates if one[2] is not None]
        for row in over_replicates(found):
            compared = True
            yield row
    if not compared:
        alone = [[blank(run, metric) for metric in run.metrics(run.last)] for run, _ in arm.replicates if run.last]
        wanted = [[row for row in rows if not asked.metrics or row["metric"] in asked.metrics] for rows in alone]
        yield from over_replicates(wanted)


def counterpart(run: Run, control: Run) -> str | None:
    """The control's checkpoint of the run's last step; its last where it was not scored there."""
    return (control.checkpoint(run.steps[-1]) if run.steps else None) or control.last


def against(
    run: Run,
    baseline: Run,
    checkpoint: str | None,
    *,
    label: str,
    step: int | None = None,
    only: Key | None = None,
    metrics: Sequence[str] = (),
) -> Iterator[Row]:
    """One row a metric that the run's checkpoint of `step` (None: its last) and the baseline's `checkpoint` have.

    only: the one metric wanted; metrics: the names wanted, empty for all.
    """
    mine = run.last if step is None else run.checkpoint(step)
    if checkpoint is None or mine is None:
        return
    theirs = {metric_key(metric): metric for metric in baseline.metrics(checkpoint)}
    for metric in run.metrics(mine):
        key = metric_key(metric)
        if key not in theirs or (only is not None and key != only) or (metrics and metric["metric"] not in metrics):
            continue
        other = theirs[key]
        paired, is_paired = difference(run, baseline, mine, checkpoint, metric, other)
        yield {
            **blank(run, metric),
            "paired": is_paired,
            "baseline_arm": label,
            "baseline": other["value"],
            "baseline_stderr": other["stderr"],
            "difference": finite(paired.difference),
            "difference_stderr": finite(paired.stderr),
            "df": paired.df,
            "ci_low": finite(paired.ci_low),
            "ci_high": finite(paired.ci_high),
            "p": finite(paired.p),
            "n": paired.n if is_paired else metric["n"],
        }


def difference(
    run: Run, baseline: Run, mine: str, checkpoint: str, metric: Row, other: Row
) -> tuple[PairedComparison, bool]:
    """(the difference of a metric between two checkpoints, whether it is paired over items)."""
    if run.foreign or baseline.foreign:
        return compare_unpaired(other["value"], other["stderr"], metric["value"], metric["stderr"]), False
    ours = run.items(metric["benchmark"], mine)
    if metric["benchmark"] == "harness" and not ours.has(metric["metric"]):
        # A metric of the harness that is no mean over items: both values stand side by side.
        return compare_unpaired(other["value"], None, metric["value"], None), False
    return paired_items(metric, ours, baseline.items(metric["benchmark"], checkpoint)), True


def blank(run: Run, metric: Row) -> Row:
    """A row without a baseline."""
    return {
        **{name: metric[name] for name in ("benchmark", "protocol", "subset", "metric", "step")},
        "arm": run.label, "baseline_arm": None, "baseline": None, "baseline_stderr": None,
        "value": metric["value"], "stderr": metric["stderr"], "n": metric["n"],
        "paired": None, "difference": None, "difference_stderr": None, "df": None, "ci_low": None, "ci_high": None,
        "p": None, "seeds": 1, "between_seeds_sd": None, "single_run_stderr": None,
    }  # fmt: skip


def finite(value: float) -> float | None:
    """JSON's null for a value that is unknown."""
    return value if np.isfinite(value) else None


# --- replicates ------------------------------------------------------------------------------------------------


def over_replicates(found: Sequence[Iterable[Row]]) -> list[Row]:
    """One row a metric for several seeds: those of one seed as they are, of several with Student's interval."""
    by_key: dict[tuple[Any, ...], list[Row]] = {}
    for rows in found:
        for row in rows:
            by_key.setdefault((*metric_key(row), row["step"]), []).append(row)
    return [rows[0] if len(rows) == 1 else one_row(rows) for rows in by_key.values()]


def one_row(rows: Sequence[Row]) -> Row:
    """Several seeds as one row, each an observation."""
    value = over_seeds([row["value"] for row in rows])
    row = rows[0] | {
        "value": value.mean,
        "stderr": finite(value.standard_deviation / np.sqrt(value.seeds)),
        "seeds": value.seeds,
    }
    if any(one["difference"] is None for one in rows):
        return row
    differences = np.array([one["difference"] for one in rows])
    baseline, difference = over_seeds([one["baseline"] for one in rows]), over_seeds(differences)
    stderr = difference.standard_deviation / np.sqrt(difference.seeds)
    if not differences.any():
        p = 1.0
    elif stderr > 0:
        p = float(2 * stats.t.sf(abs(difference.mean) / stderr, difference.seeds - 1))
    else:
        p = float("nan")
    alone = [one["difference_stderr"] for one in rows]
    return row | {
        "baseline": baseline.mean,
        "baseline_stderr": finite(baseline.standard_deviation / np.sqrt(baseline.seeds)),
        "difference": difference.mean,
        "difference_stderr": finite(stderr),
        "df": difference.seeds - 1,
        "ci_low": finite(difference.ci_low),
        "ci_high": finite(difference.ci_high),
        "p": finite(p),
        "between_seeds_sd": finite(difference.standard_deviation),
        "single_run_stderr": None if None in alone else float(np.mean(alone)),
    }


# --- the family of tests -----------------------------------------------------------------------------------------


def correct(rows: Sequence[Row], asked: Asked) -> None:
    """Adds p_holm to the rows of the family, the least effect that could be seen, and shares' differences in nats."""
    family = [row for row in rows if in_family(row, asked)]
    adjusted = holm([float("nan") if row["p"] is None else row["p"] for row in family])
    for row in rows:
        row["p_holm"] = None
        stderr = row["difference_stderr"]
        row["minimum_detectable_effect"] = minimum_detectable_effect(stderr, df=row["df"]) if stderr else None
        row["difference_nats"] = None
    for row, p in zip(family, adjusted, strict=True):
        row["p_holm"] = finite(p)
    by_key = {(row["arm"], row["baseline_arm"], *metric_key(row)): row for row in rows}
    for row in rows:
        behind = IN_NATS.get(row["metric"])
        if behind is not None:
            other = by_key.get((row["arm"], row["baseline_arm"], *metric_key(row)[:3], behind))
            row["difference_nats"] = other["difference"] if other else None


def in_family(row: Row, asked: Asked) -> bool:
    """Whether a row is tested together with others: a headline metric, or one asked for, against a control."""
    if not is_against_control(row) or row["benchmark"] == "pronouns":
        return False
    return row["metric"] in asked.metrics if asked.metrics else metric_key(row) in HEADLINE


# --- did it take -----------------------------------------------------------------------------------------------


def verdict_of(arm: Arm) -> ManipulationCheck | None:
    """Whether an arm's intervention took, at every step scored: against its control, or its base without one."""
    effect = expected_effect(arm.first.record)
    if effect is None:
        return None
    key = (effect.benchmark, effect.protocol, effect.subset, effect.metric)
    rows: list[Row] = []
    plan = arm.first.record["plan"]
    for step in arm.first.steps:
        if plan["num_steps"] and step <= plan["start_step"]:
            continue  # Nothing was done to it yet.
        if arm.paired:
            pairs = [(run, control, control.checkpoint(step), control.label) for run, control in arm.paired]
        else:
            pairs = [(run, run, run.base, BASE) for run, _ in arm.replicates if run.checkpoint(step) != run.base]
        found = [list(against(*one[:3], label=one[3], step=step, only=key)) for one in pairs]
        rows += over_replicates(found)
    return manipulation_check(effect, rows)
