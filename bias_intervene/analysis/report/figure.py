"""Figures as plain data: axes, series and intervals.

Input: numbers with their labels.
Output: a `Figure`.
Guarantees: the interactive plots of the report and the files for papers are drawn from the same description, so they
show the same numbers.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from bias_intervene.results import MetricKey


@dataclass(frozen=True)
class Series:
    """Points of one colour, in the order of x. low, high: the interval of y (of x in a forest), NaN where unknown."""

    name: str
    x: list[float]
    y: list[float]
    low: list[float] = field(default_factory=list[float])
    high: list[float] = field(default_factory=list[float])
    labels: Sequence[str] = ()
    """A text for each point; empty: none."""
    background: bool = False
    """Whether it shows numbers of others (the original run, the case study), which are drawn in grey behind ours."""


@dataclass(frozen=True)
class Figure:
    """One figure."""

    name: str
    """Name of its files, without the ending."""
    title: str
    x_label: str
    y_label: str
    kind: Literal["lines", "path", "forest", "scatter"]
    """`lines`: y over x with bands. `path`: points in their order, connected. `forest`: one line of the plot per point,
    with a horizontal interval. `scatter`: points alone."""
    series: list[Series]
    note: str = ""
    """The sentence below it."""
    diagonal: bool = False
    """Whether the line y = x is drawn."""
    from_zero: bool = False
    """Whether both axes begin at or cross zero, because a dose of 0 has the difference 0."""
    mark: float = 0.0
    """x of the vertical line of a forest."""

    @property
    def num_lines(self) -> int:
        """Number of lines of a forest; 0 for other figures."""
        return sum(len(series.x) for series in self.series) if self.kind == "forest" else 0


class Estimate(NamedTuple):
    """A value with its interval, as it is drawn; NaN where unknown."""

    value: float
    low: float
    high: float


class Columns(NamedTuple):
    """Many estimates, by field."""

    values: list[float]
    low: list[float]
    high: list[float]


def columns(estimates: Sequence[Estimate]) -> Columns:
    """The values, the lower ends and the upper ends of estimates, in their order."""
    return Columns(*([estimate[index] for estimate in estimates] for index in range(len(Estimate._fields))))


def file_name(kind: str, key: MetricKey) -> str:
    """Name of a figure about one metric; what is not fit for the name of a file is replaced."""
    name = "_".join([kind, *(part for part in dict.fromkeys(key) if part != "all")])
    return re.sub(r"[^\w.,-]", "-", name)


def nan_if_unknown(value: float | None) -> float:
    """NaN for None, so that arrays of numbers can hold it."""
    return float("nan") if value is None else value
