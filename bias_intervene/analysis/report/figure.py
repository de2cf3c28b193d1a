"""A figure as plain data, before anyone draws it: axes, series, intervals.

Input: numbers with their labels. Output: a `Figure`. Guarantees: the report's interactive plots and the files for
papers are drawn from the same description, so they cannot disagree.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from bias_intervene.results import MetricKey


@dataclass(frozen=True)
class Series:
    """Points of one colour, in the order of x. low, high: the interval of y (of x in a forest), nan where unknown."""

    name: str
    x: list[float]
    y: list[float]
    low: list[float] = field(default_factory=list[float])
    high: list[float] = field(default_factory=list[float])
    labels: Sequence[str] = ()
    background: bool = False
    """Numbers of others, drawn behind ours."""


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


def file_name(kind: str, key: MetricKey) -> str:
    """Name of a metric's figure, which is the name of its files."""
    return "_".join([kind, *(part for part in dict.fromkeys(key) if part != "all")])


def nan_if_unknown(value: float | None) -> float:
    """NaN for None, so that arrays of numbers can hold it."""
    return float("nan") if value is None else value
