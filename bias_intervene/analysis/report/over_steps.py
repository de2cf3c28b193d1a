"""Figures over the checkpoints: a metric at every step, and a bias metric against a capability.

Input: a comparison.
Output: figures.
Guarantees: bands are 95% intervals: Student's over seeds if there are several, normal over items if there is one. The
published checkpoints of the original run are drawn behind ours. Checkpoints with equal weights are left out.
"""

from collections.abc import Iterator, Sequence

import scipy

from bias_intervene.analysis import published
from bias_intervene.analysis.comparison import Comparison
from bias_intervene.analysis.pairing import Arm
from bias_intervene.analysis.report.figure import Estimate, Figure, Series, columns, file_name
from bias_intervene.results import MetricKey, MetricSpec
from bias_intervene.statistics import over_seeds

_ValuesByStep = dict[int, list[tuple[float, float | None]]]
"""Step -> (value, standard error) of every seed."""


def over_steps(compared: Comparison) -> Iterator[Figure]:
    """One figure per metric, if anything was scored at more than one step."""
    for key in compared.specs.over_steps:
        spec = compared.specs.of(key)
        series = [of_arm for arm in compared.arms if (of_arm := _series_of_arm(arm, key, spec)).x]
        background = [*_series_of_originals(compared.arms, key, spec), *_series_of_case_study(compared, key)]
        if not any(len(each.x) > 1 for each in (*series, *background)):
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


def _series_of_arm(arm: Arm, key: MetricKey, spec: MetricSpec) -> Series:
    """A metric of an arm at each of its steps, over its seeds."""
    values: _ValuesByStep = {}
    for run, _ in arm.replicates:
        for row in run.rows:
            if row.key == key and row.step is not None and run.changes_at(f"step{row.step}"):
                values.setdefault(row.step, []).append((row.value, row.stderr))
    return _series(arm.label, values, spec)


def _series_of_originals(arms: Sequence[Arm], key: MetricKey, spec: MetricSpec) -> list[Series]:
    """The published checkpoints of the original runs, one series per model."""
    by_model: dict[str, _ValuesByStep] = {}
    for run in (run for arm in arms for run, _ in arm.replicates):
        values = by_model.setdefault(f"{run.record['plan']['repository']}, original", {})
        for row in run.published_rows:
            if row.key == key and row.step is not None and run.changes_at(f"published_step{row.step}"):
                values[row.step] = [(row.value, row.stderr)]
    series = [_series(name, values, spec, background=True) for name, values in by_model.items()]
    return [of_model for of_model in series if of_model.x]


def _series_of_case_study(compared: Comparison, key: MetricKey) -> list[Series]:
    """The case study's published numbers of models of the same sizes; none unless they are asked for."""
    if not compared.options.published:
        return []
    by_name = published.trajectories(key, published.sizes_of(compared))
    return [_series(name, values, compared.specs.of(key), background=True) for name, values in by_name.items()]


def _series(name: str, values: _ValuesByStep, spec: MetricSpec, *, background: bool = False) -> Series:
    """Values by step with their intervals, in the unit in which they are drawn."""
    steps = sorted(values)
    estimates = [Estimate(*(spec.scale * number for number in _mean_and_interval(values[step]))) for step in steps]
    return Series(name, [float(step) for step in steps], *columns(estimates), background=background)


def _mean_and_interval(values: Sequence[tuple[float, float | None]]) -> Estimate:
    """The mean over several seeds with Student's interval; of one seed its value with the normal interval over items.

    values: (value, standard error) of each seed.
    """
    if len(values) > 1:
        seeds = over_seeds([value for value, _ in values])
        return Estimate(seeds.mean, seeds.ci_low, seeds.ci_high)
    ((value, stderr),) = values
    half_width = float(scipy.stats.norm.ppf(0.975)) * stderr if stderr else float("nan")
    return Estimate(value, value - half_width, value + half_width)


def costs(compared: Comparison) -> Iterator[Figure]:
    """Each headline metric against the first capability that was scored, one point per checkpoint."""
    specs = compared.specs
    scored = {row.key for arm in compared.arms for run, _ in arm.replicates for row in run.rows}
    capability = next((key for key in specs.headline("capability") if key in scored), None)
    if capability is None:
        return
    for key in (*specs.headline("manipulation_check")[:1], *specs.headline("bias")):
        pairs = (
            (arm, _series_of_arm(arm, capability, specs.of(capability)), _series_of_arm(arm, key, specs.of(key)))
            for arm in compared.arms
        )
        series = [_path(arm.label, x, y) for arm, x, y in pairs]
        yield Figure(
            name=file_name("cost", key),
            title=f"What it costs: {specs.short_name(key)}",
            x_label=specs.short_name(capability),
            y_label=specs.short_name(key),
            kind="path",
            series=[path for path in series if path.x],
            note="One point a checkpoint, in their order.",
        )


def _path(name: str, horizontal: Series, vertical: Series) -> Series:
    """The y values of one series against those of another, at the steps (their x) that both have."""
    x = dict(zip(horizontal.x, horizontal.y, strict=True))
    y = dict(zip(vertical.x, vertical.y, strict=True))
    steps = sorted(x.keys() & y.keys())
    return Series(name, [x[step] for step in steps], [y[step] for step in steps], labels=[f"step {s:g}" for s in steps])
