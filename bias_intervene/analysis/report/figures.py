"""What is drawn of a comparison, without drawing it.

Enters: a comparison. Leaves: figures as plain data: axes, series, intervals. Promised: the report's interactive plots
and the files for papers are drawn from the same description, so they cannot disagree; a figure that the runs have
nothing for is not made; bands and bars are 95% intervals, over seeds where there are several (Student), over items
where there is one (normal).

- over steps: a metric at every checkpoint of every arm, the original run's published checkpoints beside them;
- dose and response: the paired difference to the control against the share of the training that was altered;
- forest: the paired differences of the headline metrics of all arms;
- items: every item under control and intervention;
- cost: a bias metric against a capability, checkpoint by checkpoint.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy import stats

from bias_intervene.analysis import published
from bias_intervene.analysis.comparison import Comparison
from bias_intervene.analysis.pairing import Arm, aligned
from bias_intervene.analysis.records import Run
from bias_intervene.analysis.report.terminal import short_name
from bias_intervene.analysis.rows import HEADLINE, Key, is_against_control, metric_key, scale
from bias_intervene.analysis.verdicts import GAP, NEUTRAL
from bias_intervene.statistics import over_seeds

CAPABILITIES: tuple[Key, ...] = (
    ("lambada", "last_word", "all", "accuracy"), ("perplexity", "heldout", "all", "perplexity"),
)  # fmt: skip
TRACED: tuple[Key, ...] = (
    NEUTRAL, GAP, *HEADLINE, ("winobias", "sentence", "all", "masculine_share"), *CAPABILITIES,
)  # fmt: skip
"""The metrics that are followed over steps."""
PAIRED_ITEMS: tuple[Key, ...] = (
    ("winobias", "sentence", "all", "likelihood_diff"),
    ("crows_pairs", "likelihood", "gender", "signed_likelihood_diff"),
    ("pronouns", "prompts", "all", "log_odds_she_he"),
)  # fmt: skip
MOST_ITEMS = 2000
Z = float(stats.norm.ppf(0.975))


@dataclass(frozen=True)
class Series:
    """Points of one colour, in the order of x. low, high: the interval of y (of x in a forest), nan where unknown."""

    name: str
    x: list[float]
    y: list[float]
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    labels: Sequence[str] = ()
    background: bool = False
    """Another's figures, drawn behind ours."""


@dataclass(frozen=True)
class Figure:
    """One picture."""

    name: str
    title: str
    x_label: str
    y_label: str
    kind: Literal["lines", "path", "forest", "scatter"]
    series: list[Series]
    note: str = ""
    diagonal: bool = False
    from_zero: bool = False
    """Both axes reach zero: nothing altered is no difference."""
    mark: float = 0.0
    """Where the upright line of a forest stands."""

    @property
    def num_lines(self) -> int:
        """Lines of a forest below each other; 0 of other figures."""
        return sum(len(one.x) for one in self.series) if self.kind == "forest" else 0


def figures(compared: Comparison) -> list[Figure]:
    """Every figure that the runs have something for."""
    return [
        figure
        for figure in (*over_steps(compared), *dose_and_response(compared), *forests(compared), *items(compared),
                       *costs(compared))
        if any(series.x for series in figure.series)
    ]  # fmt: skip


def file_name(kind: str, key: Key) -> str:
    """A name for a file."""
    return "_".join([kind, *(part for part in dict.fromkeys(key) if part != "all")])


# --- over steps ------------------------------------------------------------------------------------------------


def over_steps(compared: Comparison) -> Iterator[Figure]:
    """One figure a metric that any arm has at more than one step."""
    for key in TRACED:
        series = [one for arm in compared.arms if (one := traced(arm, key)).x]
        background = [*originals(compared.arms, key), *released(compared, key)]
        if not any(len(one.x) > 1 for one in (*series, *background)):
            continue
        yield Figure(
            name=file_name("over_steps", key),
            title=short_name(key),
            x_label="step of the original training",
            y_label=short_name(key),
            kind="lines",
            series=[*background, *series],
            note="Bands: 95% intervals, over seeds where there are several, otherwise over items.",
        )


def traced(arm: Arm, key: Key) -> Series:
    """A metric of an arm at each of its steps, over its seeds."""
    found: dict[int, list[tuple[float, float | None]]] = {}
    for run, _ in arm.replicates:
        for row in run.record["results"]["metrics"]:
            if metric_key(row) == key:
                found.setdefault(row["step"], []).append((row["value"], row["stderr"]))
    return series_of(arm.label, found, key)


def originals(arms: Sequence[Arm], key: Key) -> list[Series]:
    """The published checkpoints of the original runs, one series a model."""
    found: dict[str, dict[int, list[tuple[float, float | None]]]] = {}
    for run in (run for arm in arms for run, _ in arm.replicates):
        steps = found.setdefault(f"{run.record['plan']['repository']}, original", {})
        for row in run.record["results"]["published"]:
            if metric_key(row) == key:
                steps[row["step"]] = [(row["value"], row["stderr"])]
    made = [series_of(name, steps, key, background=True) for name, steps in found.items()]
    return [series for series in made if series.x]


def released(compared: Comparison, key: Key) -> list[Series]:
    """The case study's published numbers of the same sizes, where they are asked for."""
    if not compared.asked.published:
        return []
    found = published.trajectories(key, published.sizes_of(compared))
    return [series_of(name, steps, key, background=True) for name, steps in found.items()]


def series_of(
    name: str, found: dict[int, list[tuple[float, float | None]]], key: Key, *, background: bool = False
) -> Series:
    """Values by step with their intervals."""
    steps = sorted(found)
    spans = [interval(found[step]) for step in steps]
    low, middle, high = ([scale(key) * span[n] for span in spans] for n in range(3))
    return Series(name, [float(step) for step in steps], middle, low, high, background=background)


def interval(found: Sequence[tuple[float, float | None]]) -> tuple[float, float, float]:
    """(low, mean, high) of (value, standard error) of several seeds or of one."""
    if len(found) > 1:
        seeds = over_seeds([value for value, _ in found])
        return seeds.ci_low, seeds.mean, seeds.ci_high
    ((value, stderr),) = found
    reach = Z * stderr if stderr is not None else float("nan")
    return value - reach, value, value + reach


# --- against the control ---------------------------------------------------------------------------------------


def dose_of(run: Run) -> float | None:
    """Per cent of the original training read altered: fraction in effect times probability; None where unknown."""
    fraction = run.record["plan"].get("realised_fraction")
    return None if fraction is None else fraction * share_of(run)


def share_of(run: Run) -> float:
    """Per cent of what the run itself reads that is altered: the dose of a model whose training is not known."""
    return 100 * float(run.settings.get("intervention.probability", 1.0))


def dose_and_response(compared: Comparison, *, among: Sequence[Arm] | None = None) -> Iterator[Figure]:
    """One figure a metric for which some intervention was given in more than one dose. among: those arms alone."""
    by_label = {arm.label: arm for arm in (compared.arms if among is None else among)}
    for key in (NEUTRAL, GAP, *HEADLINE):
        groups: dict[str, list[tuple[float, dict]]] = {}
        rows = [row for row in against_controls(compared, [key]) if row["arm"] in by_label]
        runs = [by_label[row["arm"]].first for row in rows]
        of_the_training = any(dose_of(run) is not None for run in runs)
        for name, dose, row in named_doses(runs, rows, dose_of if of_the_training else share_of):
            groups.setdefault(name, []).append((dose, row))
        if not any(len({dose for dose, _ in points}) > 1 for points in groups.values()):
            continue
        yield Figure(
            name=file_name("dose_response", key),
            title=f"Dose and response: {short_name(key)}",
            x_label="% of the training read altered (fraction x probability)"
            if of_the_training
            else "% of the rows read altered (probability)",
            y_label="difference to the control",
            kind="lines",
            from_zero=True,
            series=[
                differences(name, sorted(points, key=lambda point: point[0]), key) for name, points in groups.items()
            ],
            note="Paired differences to the control with their 95% intervals.",
        )


def named_doses(
    runs: Sequence[Run], rows: Sequence[dict], dose_of: Callable[[Run], float | None]
) -> list[tuple[str, float, dict]]:
    """(line it belongs to, dose, row) of the rows whose dose is known.

    Lines are of one intervention and model; where two ways lead to one dose (a tenth of the training, or half of the
    rows of a fifth), also of one length.
    """
    known = [
        (" ".join(filter(None, [run.arm, str(run.settings.get("model.name") or "")])), dose, run, row)
        for run, row in zip(runs, rows, strict=True)
        if (dose := dose_of(run)) is not None
    ]
    met = Counter((name, dose) for name, dose, _, _ in known)
    twice = {name for (name, _), count in met.items() if count > 1}
    return [(f"{name}, {length_of(run)}" if name in twice else name, dose, row) for name, dose, run, row in known]


def length_of(run: Run) -> str:
    """How much the run trained, in words."""
    plan = run.record["plan"]
    fraction = plan.get("realised_fraction")
    return f"{plan['num_steps']} steps" if fraction is None else f"{fraction:g} of the training"


def differences(name: str, points: Sequence[tuple[float, dict]], key: Key) -> Series:
    """Differences to the control at each dose."""
    low, middle, high = (
        [scale(key) * number(row[part]) for _, row in points] for part in ("ci_low", "difference", "ci_high")
    )
    return Series(name, [dose for dose, _ in points], middle, low, high)


def number(value: float | None) -> float:
    """nan for what is unknown."""
    return float("nan") if value is None else value


def against_controls(compared: Comparison, keys: Sequence[Key]) -> list[dict]:
    """The rows of arms against their controls."""
    return [
        row
        for row in compared.rows
        if metric_key(row) in keys and row["difference"] is not None and is_against_control(row)
    ]


def forests(compared: Comparison) -> Iterator[Figure]:
    """Paired differences: shares in points, log-likelihoods in nats."""
    for unit, keys in (("points of per cent", HEADLINE), ("nats", (NEUTRAL, GAP))):
        by_arm: dict[str, list[dict]] = {}
        for row in sorted(against_controls(compared, keys), key=lambda row: keys.index(metric_key(row))):
            by_arm.setdefault(row["arm"], []).append(row)
        order = [(short_name(metric_key(row)), row["arm"]) for rows in by_arm.values() for row in rows]
        series: list[Series] = []
        for arm, rows in by_arm.items():
            labels = [short_name(metric_key(row)) for row in rows]
            factor = [scale(metric_key(row)) for row in rows]
            middle, low, high = (
                [f * number(row[part]) for f, row in zip(factor, rows, strict=True)]
                for part in ("difference", "ci_low", "ci_high")
            )
            places = [float(len(order) - 1 - order.index((label, arm))) for label in labels]
            series.append(Series(arm, middle, places, low, high, labels))
        yield Figure(
            name=f"forest_{unit.split()[0]}",
            title=f"Arms against their controls, {unit}",
            x_label=f"difference to the control, {unit}",
            y_label="",
            kind="forest",
            series=series,
            note="Paired differences with 95% intervals; one that crosses 0 is no difference detected.",
        )


def items(compared: Comparison) -> Iterator[Figure]:
    """Every item of a metric under the control and under the arm: first seed of each."""
    for key in PAIRED_ITEMS:
        series = [
            Series(arm.label, *(values.tolist() for values in pair))
            for arm in compared.arms
            if arm.paired and (pair := common_items(*arm.paired[0], key)) is not None
        ]
        yield Figure(
            name=file_name("items", key),
            title=f"Item by item: {' '.join(key[:2])} {key[3]}",
            x_label="control, nats",
            y_label="arm, nats",
            kind="scatter",
            series=series,
            note=f"First seed of each arm, {MOST_ITEMS} items at most. On the line: nothing changed.",
            diagonal=True,
        )


def common_items(run: Run, control: Run, key: Key) -> tuple[np.ndarray, np.ndarray] | None:
    """(control, arm) of the items both have."""
    benchmark, protocol, subset, metric = key
    names = [(one, one.last) for one in (run, control)]
    if any(last is None or not one.has_items(benchmark, last) for one, last in names):
        return None
    ours, theirs = (one.items(benchmark, str(last)) for one, last in names)
    if not (ours.has(metric) and theirs.has(metric)):
        return None
    if not (ours.chosen(protocol, subset, metric).size and theirs.chosen(protocol, subset, metric).size):
        return None
    pairs = aligned(protocol, subset, metric, ours, theirs)
    return pairs.baseline[:MOST_ITEMS], pairs.treatment[:MOST_ITEMS]


# --- what it costs ---------------------------------------------------------------------------------------------


def costs(compared: Comparison) -> Iterator[Figure]:
    """The first capability the runs have against each headline metric, one point a checkpoint."""
    capability = next((key for key in CAPABILITIES if any(traced(arm, key).x for arm in compared.arms)), None)
    if capability is None:
        return
    for key in (NEUTRAL, *HEADLINE):
        series = [
            Series(arm.label, *points, labels=[f"step {step:g}" for step in steps])
            for arm in compared.arms
            for points, steps in [joined(traced(arm, capability), traced(arm, key))]
            if steps
        ]
        yield Figure(
            name=file_name("cost", key),
            title=f"What it costs: {short_name(key)}",
            x_label=short_name(capability),
            y_label=short_name(key),
            kind="path",
            series=series,
            note="One point a checkpoint, in their order.",
        )


def joined(first: Series, second: Series) -> tuple[tuple[list[float], list[float]], Iterable[float]]:
    """((values of the first, of the second), steps) at the steps both have."""
    ours, theirs = dict(zip(first.x, first.y, strict=True)), dict(zip(second.x, second.y, strict=True))
    steps = sorted(ours.keys() & theirs.keys())
    return ([ours[step] for step in steps], [theirs[step] for step in steps]), steps
