"""Figures of arms against their controls: the difference by dose, all differences in one plot, and item by item.

Input: a comparison.
Output: figures.
Guarantees: error bars are the 95% intervals of the comparison's rows.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from bias_intervene.analysis.comparison import Comparison
from bias_intervene.analysis.pairing import Arm, aligned
from bias_intervene.analysis.records import ItemTable, Run
from bias_intervene.analysis.report.figure import Estimate, Figure, Series, columns, file_name, nan_if_unknown
from bias_intervene.analysis.saturation import is_saturated
from bias_intervene.results import ComparisonRow, MetricKey, MetricSpecs

_MOST_ITEMS = 2000
"""Points of an arm in a scatter plot."""


def dose_of(run: Run) -> float | None:
    """Altered rows in per cent of the original training: realised fraction x probability; None: it is unknown."""
    fraction = run.record["plan"].get("realised_fraction")
    return None if fraction is None else fraction * _share_of_own_rows(run)


def _share_of_own_rows(run: Run) -> float:
    """Altered rows in per cent of the rows that the run reads: the dose where the original training is not known."""
    return 100 * float(run.settings.get("intervention.probability", 1.0))


def dose_and_response(compared: Comparison, *, among: Sequence[Arm] | None = None) -> Iterator[Figure]:
    """One figure per metric, if an intervention was given in more than one dose. among: the arms drawn; None: all."""
    by_label = {arm.label: arm for arm in (compared.arms if among is None else among)}
    specs = compared.specs
    for key in (*specs.headline("manipulation_check"), *specs.headline("bias")):
        groups: dict[str, list[tuple[float, ComparisonRow]]] = {}
        rows = [row for row in _against_controls(compared, [key]) if row.arm in by_label]
        runs = [by_label[row.arm].first for row in rows]
        of_the_training = any(dose_of(run) is not None for run in runs)
        for point in _points(runs, rows, dose_of if of_the_training else _share_of_own_rows):
            groups.setdefault(point.line, []).append((point.dose, point.row))
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
            series=[_differences(line, sorted(points, key=lambda point: point[0])) for line, points in groups.items()],
            note="Paired differences to the control with their 95% intervals.",
        )


class _Point(NamedTuple):
    """A row at its dose."""

    line: str
    """Name of the line that the point is drawn on."""
    dose: float
    row: ComparisonRow


def _points(runs: Sequence[Run], rows: Sequence[ComparisonRow], dose_of: Callable[[Run], float | None]) -> list[_Point]:
    """The rows whose dose is known, in their order.

    A line connects the points of one intervention and model. If it would have two points of the same dose (all rows of
    a tenth of the training, half of the rows of a fifth), it is divided by the length of the training.
    """
    points = [
        (run, _Point(" ".join(filter(None, [run.arm, str(run.settings.get("model.name") or "")])), dose, row))
        for run, row in zip(runs, rows, strict=True)
        if (dose := dose_of(run)) is not None
    ]
    counts = Counter((point.line, point.dose) for _, point in points)
    ambiguous = {line for (line, _), count in counts.items() if count > 1}
    return [
        point._replace(line=f"{point.line}, {_length_of(run)}") if point.line in ambiguous else point
        for run, point in points
    ]


def _length_of(run: Run) -> str:
    """The length of the run's training, as the legend says it."""
    plan = run.record["plan"]
    fraction = plan.get("realised_fraction")
    return f"{plan['num_steps']} steps" if fraction is None else f"{fraction:g} of the training"


def _differences(name: str, points: Sequence[tuple[float, ComparisonRow]]) -> Series:
    """The differences to the control, by dose."""
    estimates = [_estimate(row) for _, row in points]
    return Series(name, [dose for dose, _ in points], *columns(estimates))


def _estimate(row: ComparisonRow) -> Estimate:
    """The difference and its interval, in the unit in which they are drawn."""
    scale = row.spec.scale
    return Estimate(
        value=scale * nan_if_unknown(row.difference),
        low=scale * nan_if_unknown(row.ci_low),
        high=scale * nan_if_unknown(row.ci_high),
    )


def _against_controls(compared: Comparison, keys: Sequence[MetricKey]) -> list[ComparisonRow]:
    """The rows that compare these metrics of an arm with its control."""
    return [row for row in compared.rows if row.key in keys and row.difference is not None and row.is_against_control]


def forests(compared: Comparison) -> Iterator[Figure]:
    """All differences of an arm below each other: one figure for shares, in points, and one for nats."""
    specs = compared.specs
    headline = [*specs.headline("manipulation_check"), *specs.headline("bias")]
    for unit, keys in (
        ("points of per cent", [key for key in headline if specs.of(key).unit == "share"]),
        ("nats", [key for key in headline if specs.of(key).unit == "nats"]),
    ):
        by_arm: dict[str, list[ComparisonRow]] = {}
        for row in sorted(_against_controls(compared, keys), key=lambda row: keys.index(row.key)):
            by_arm.setdefault(row.arm, []).append(row)
        order = [(_label(row, specs), row.arm) for rows in by_arm.values() for row in rows]
        series: list[Series] = []
        for arm, rows in by_arm.items():
            labels = [_label(row, specs) for row in rows]
            values, low, high = columns([_estimate(row) for row in rows])
            heights = [float(len(order) - 1 - order.index((label, arm))) for label in labels]
            series.append(Series(arm, values, heights, low, high, labels))
        yield Figure(
            name=f"forest_{unit.split()[0]}",
            title=f"Arms against their controls, {unit}",
            x_label=f"difference to the control, {unit}",
            y_label="",
            kind="forest",
            series=series,
            note="Paired differences with 95% intervals; one that crosses 0 is no difference detected. (s): saturated, "
            "one side says nearly always the same form.",
        )


def _label(row: ComparisonRow, specs: MetricSpecs) -> str:
    """The name of a row's metric, marked if it is saturated."""
    return specs.short_name(row.key) + (" (s)" if is_saturated(row) else "")


def items(compared: Comparison) -> Iterator[Figure]:
    """Every item of a metric under the control against the same item under the arm, for the first seed of each arm."""
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
    """(values under the control, values under the arm) of common items, (n,) each; None: a side has no such items."""
    benchmark, protocol, subset, metric = key
    tables: list[ItemTable] = []
    for side in (run, control):
        if side.last is None or not side.has_items(benchmark, side.last):
            return None
        table = side.items(benchmark, side.last)
        if not table.has(metric) or not table.rows_of(protocol, subset, metric).size:
            return None
        tables.append(table)
    values = aligned(protocol, subset, metric, *tables)
    return values.baseline[:_MOST_ITEMS], values.treatment[:_MOST_ITEMS]
