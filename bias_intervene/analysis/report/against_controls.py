"""Figures of arms against their controls: dose and response, differences, item by item.

Input: a comparison. Output: figures. Guarantees: bars are the 95% intervals of the comparison's own rows.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from bias_intervene.analysis.comparison import Comparison
from bias_intervene.analysis.pairing import Arm, aligned
from bias_intervene.analysis.records import Run
from bias_intervene.analysis.report.figure import Figure, Series, file_name, nan_if_unknown
from bias_intervene.results import ComparisonRow, MetricKey

_MOST_ITEMS = 2000


def dose_of(run: Run) -> float | None:
    """Per cent of the original training read altered: fraction in effect times probability; None where unknown."""
    fraction = run.record["plan"].get("realised_fraction")
    return None if fraction is None else fraction * _share_of(run)


def _share_of(run: Run) -> float:
    """Per cent of what the run itself reads that is altered: the dose of a model whose training is not known."""
    return 100 * float(run.settings.get("intervention.probability", 1.0))


def dose_and_response(compared: Comparison, *, among: Sequence[Arm] | None = None) -> Iterator[Figure]:
    """One figure a metric for which some intervention was given in more than one dose. among: those arms alone."""
    by_label = {arm.label: arm for arm in (compared.arms if among is None else among)}
    specs = compared.specs
    for key in (*specs.headline("manipulation_check"), *specs.headline("bias")):
        groups: dict[str, list[tuple[float, ComparisonRow]]] = {}
        rows = [row for row in _against_controls(compared, [key]) if row.arm in by_label]
        runs = [by_label[row.arm].first for row in rows]
        of_the_training = any(dose_of(run) is not None for run in runs)
        for point in _named_doses(runs, rows, dose_of if of_the_training else _share_of):
            groups.setdefault(point.name, []).append((point.dose, point.row))
        if not any(len({dose for dose, _ in points}) > 1 for points in groups.values()):
            continue
        yield Figure(
            name=file_name("dose_response", key),
            title=f"Dose and response: {specs.short_name(key)}",
            x_label="% of the training read altered (fraction x probability)"
            if of_the_training
            else "% of the rows read altered (probability)",
            y_label="difference to the control",
            kind="lines",
            from_zero=True,
            series=[_differences(name, sorted(points, key=lambda point: point[0])) for name, points in groups.items()],
            note="Paired differences to the control with their 95% intervals.",
        )


class _Point(NamedTuple):
    """A row at its dose."""

    name: str
    """The line it belongs to."""
    dose: float
    row: ComparisonRow


def _named_doses(
    runs: Sequence[Run], rows: Sequence[ComparisonRow], dose_of: Callable[[Run], float | None]
) -> list[_Point]:
    """The rows whose dose is known.

    Lines are of one intervention and model; where two ways lead to one dose (a tenth of the training, or half of the
    rows of a fifth), also of one length.
    """
    points = [
        (run, _Point(" ".join(filter(None, [run.arm, str(run.settings.get("model.name") or "")])), dose, row))
        for run, row in zip(runs, rows, strict=True)
        if (dose := dose_of(run)) is not None
    ]
    counts = Counter((point.name, point.dose) for _, point in points)
    twice = {name for (name, _), count in counts.items() if count > 1}
    return [
        point._replace(name=f"{point.name}, {_length_of(run)}") if point.name in twice else point
        for run, point in points
    ]


def _length_of(run: Run) -> str:
    """How much the run trained, in words."""
    plan = run.record["plan"]
    fraction = plan.get("realised_fraction")
    return f"{plan['num_steps']} steps" if fraction is None else f"{fraction:g} of the training"


def _differences(name: str, points: Sequence[tuple[float, ComparisonRow]]) -> Series:
    """Differences to the control at each dose."""
    spans = [_span(row) for _, row in points]
    low, middle, high = ([span[n] for span in spans] for n in range(3))
    return Series(name, [dose for dose, _ in points], middle, low, high)


def _span(row: ComparisonRow) -> tuple[float, float, float]:
    """(low, difference, high) as they are drawn."""
    low, middle, high = (row.spec.scale * nan_if_unknown(value) for value in (row.ci_low, row.difference, row.ci_high))
    return low, middle, high


def _against_controls(compared: Comparison, keys: Sequence[MetricKey]) -> list[ComparisonRow]:
    """The rows of arms against their controls."""
    return [row for row in compared.rows if row.key in keys and row.difference is not None and row.is_against_control]


def forests(compared: Comparison) -> Iterator[Figure]:
    """Paired differences: shares in points, log-likelihoods in nats."""
    specs = compared.specs
    for unit, keys in (
        ("points of per cent", specs.headline("bias")),
        ("nats", specs.headline("manipulation_check")),
    ):
        by_arm: dict[str, list[ComparisonRow]] = {}
        for row in sorted(_against_controls(compared, keys), key=lambda row: keys.index(row.key)):
            by_arm.setdefault(row.arm, []).append(row)
        order = [(specs.short_name(row.key), row.arm) for rows in by_arm.values() for row in rows]
        series: list[Series] = []
        for arm, rows in by_arm.items():
            labels = [specs.short_name(row.key) for row in rows]
            spans = [_span(row) for row in rows]
            low, middle, high = ([span[n] for span in spans] for n in range(3))
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
    for key in compared.specs.item_by_item:
        series = [
            Series(arm.label, *(values.tolist() for values in pair))
            for arm in compared.arms
            if arm.paired and (pair := _common_items(*arm.paired[0], key)) is not None
        ]
        yield Figure(
            name=file_name("items", key),
            title=f"Item by item: {' '.join(key[:2])} {key[3]}",
            x_label="control, nats",
            y_label="arm, nats",
            kind="scatter",
            series=series,
            note=f"First seed of each arm, {_MOST_ITEMS} items at most. On the line: nothing changed.",
            diagonal=True,
        )


def _common_items(run: Run, control: Run, key: MetricKey) -> tuple[np.ndarray, np.ndarray] | None:
    """(control, arm) of the items both have."""
    benchmark, protocol, subset, metric = key
    sides = [(one, one.last) for one in (run, control)]
    if any(last is None or not one.has_items(benchmark, last) for one, last in sides):
        return None
    ours, theirs = (one.items(benchmark, str(last)) for one, last in sides)
    if not (ours.has(metric) and theirs.has(metric)):
        return None
    if not (ours.chosen(protocol, subset, metric).size and theirs.chosen(protocol, subset, metric).size):
        return None
    pairs = aligned(protocol, subset, metric, ours, theirs)
    return pairs.baseline[:_MOST_ITEMS], pairs.treatment[:_MOST_ITEMS]
