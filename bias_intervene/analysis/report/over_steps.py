"""Figures over the checkpoints: a metric at every step, and a metric against what it costs.

Input: a comparison. Output: figures. Guarantees: bands are 95% intervals, over seeds where there are several (Student),
over items where there is one (normal); the original run's published checkpoints stand beside ours.
"""

from collections.abc import Iterator, Sequence

import scipy

from bias_intervene.analysis import published
from bias_intervene.analysis.comparison import Comparison
from bias_intervene.analysis.pairing import Arm
from bias_intervene.analysis.report.figure import Figure, Series, file_name
from bias_intervene.results import MetricKey, MetricSpec
from bias_intervene.statistics import over_seeds

_ValuesByStep = dict[int, list[tuple[float, float | None]]]
"""Step -> (value, standard error) of every seed."""


def over_steps(compared: Comparison) -> Iterator[Figure]:
    """One figure a metric that any arm has at more than one step."""
    for key in compared.specs.over_steps:
        series = [one for arm in compared.arms if (one := _traced(arm, key, compared.specs.of(key))).x]
        background = [*_originals(compared.arms, key, compared.specs.of(key)), *_released(compared, key)]
        if not any(len(one.x) > 1 for one in (*series, *background)):
            continue
        yield Figure(
            name=file_name("over_steps", key),
            title=compared.specs.short_name(key),
            x_label="step of the original training",
            y_label=compared.specs.short_name(key),
            kind="lines",
            series=[*background, *series],
            note="Bands: 95% intervals, over seeds where there are several, otherwise over items.",
        )


def _traced(arm: Arm, key: MetricKey, spec: MetricSpec) -> Series:
    """A metric of an arm at each of its steps, over its seeds."""
    values: _ValuesByStep = {}
    for run, _ in arm.replicates:
        for row in run.rows:
            if row.key == key:
                values.setdefault(row.step, []).append((row.value, row.stderr))
    return _series_of(arm.label, values, spec)


def _originals(arms: Sequence[Arm], key: MetricKey, spec: MetricSpec) -> list[Series]:
    """The published checkpoints of the original runs, one series a model."""
    by_model: dict[str, _ValuesByStep] = {}
    for run in (run for arm in arms for run, _ in arm.replicates):
        values = by_model.setdefault(f"{run.record['plan']['repository']}, original", {})
        for row in run.published_rows:
            if row.key == key:
                values[row.step] = [(row.value, row.stderr)]
    series = [_series_of(name, values, spec, background=True) for name, values in by_model.items()]
    return [one for one in series if one.x]


def _released(compared: Comparison, key: MetricKey) -> list[Series]:
    """The case study's published numbers of the same sizes, where they are wanted."""
    if not compared.options.published:
        return []
    by_name = published.trajectories(key, published.sizes_of(compared))
    return [_series_of(name, values, compared.specs.of(key), background=True) for name, values in by_name.items()]


def _series_of(name: str, values: _ValuesByStep, spec: MetricSpec, *, background: bool = False) -> Series:
    """Values by step with their intervals."""
    steps = sorted(values)
    spans = [_interval(values[step]) for step in steps]
    low, middle, high = ([spec.scale * span[n] for span in spans] for n in range(3))
    return Series(name, [float(step) for step in steps], middle, low, high, background=background)


def _interval(values: Sequence[tuple[float, float | None]]) -> tuple[float, float, float]:
    """(low, mean, high) of (value, standard error) of several seeds or of one."""
    if len(values) > 1:
        seeds = over_seeds([value for value, _ in values])
        return seeds.ci_low, seeds.mean, seeds.ci_high
    ((value, stderr),) = values
    reach = float(scipy.stats.norm.ppf(0.975)) * stderr if stderr is not None else float("nan")
    return value - reach, value, value + reach


def costs(compared: Comparison) -> Iterator[Figure]:
    """The first capability the runs have against each headline metric, one point a checkpoint."""
    specs = compared.specs
    scored = {row.key for arm in compared.arms for run, _ in arm.replicates for row in run.rows}
    capability = next((key for key in specs.headline("capability") if key in scored), None)
    if capability is None:
        return
    for key in (*specs.headline("manipulation_check")[:1], *specs.headline("bias")):
        pairs = (
            (arm, _traced(arm, capability, specs.of(capability)), _traced(arm, key, specs.of(key)))
            for arm in compared.arms
        )
        series = [_path(arm.label, first, second) for arm, first, second in pairs]
        yield Figure(
            name=file_name("cost", key),
            title=f"What it costs: {specs.short_name(key)}",
            x_label=specs.short_name(capability),
            y_label=specs.short_name(key),
            kind="path",
            series=[one for one in series if one.x],
            note="One point a checkpoint, in their order.",
        )


def _path(name: str, first: Series, second: Series) -> Series:
    """The values of one series against those of the other, at the steps both have."""
    x, y = dict(zip(first.x, first.y, strict=True)), dict(zip(second.x, second.y, strict=True))
    steps = sorted(x.keys() & y.keys())
    return Series(name, [x[step] for step in steps], [y[step] for step in steps], labels=[f"step {s:g}" for s in steps])
