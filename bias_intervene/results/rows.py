"""Values and comparisons of metrics, a sentence a field.

Input: numbers.
Output: rows, to and from the JSON of results.json and comparison.json.
Guarantees: the JSON keys and their order are stable, because people script against them; a value that is unknown is
None, since JSON has no NaN.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from bias_intervene.results.specs import MetricKey, MetricSpec

BASE = "base"
"""Name of the baseline that is the checkpoint a run started from."""
PUBLISHED = "published"
"""Name of the baseline that is the original run's last checkpoint."""


def none_if_not_finite(value: float) -> float | None:
    """The value; None, which is JSON's null, for NaN and infinity."""
    return value if math.isfinite(value) else None


# --- what was measured -----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class MetricValue:
    """One metric without its checkpoint and benchmark: what a benchmark computes and the cache holds."""

    protocol: str
    """The procedure that it is computed by, e.g. `likelihood`."""
    subset: str
    """The items that it is computed over; `all`: every one."""
    metric: str
    """Its name."""
    value: float
    """In the metric's own unit; a share lies between 0 and 1."""
    stderr: float | None
    """Standard error over items; None where it is unknown."""
    n: int | None
    """Number of items that it is computed over; None: unknown, in results of another program."""
    not_applicable: int | None = None
    """Number of items of the subset that the protocol cannot score; None: it can score every item."""
    truncated: int | None = None
    """Number of inputs whose beginning was cut off; None: none."""

    @property
    def optional(self) -> dict[str, int]:
        """The fields that JSON has only if they are not None."""
        values = {"not_applicable": self.not_applicable, "truncated": self.truncated}
        return {name: value for name, value in values.items() if value is not None}

    def to_json(self) -> dict[str, Any]:
        """As the cache of evaluations holds it."""
        return {
            "protocol": self.protocol, "subset": self.subset, "metric": self.metric,
            "value": self.value, "stderr": self.stderr, "n": self.n, **self.optional,
        }  # fmt: skip

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "MetricValue":
        """Back from JSON, whose null is a value that is not finite."""
        return cls(**_with_number(values))


@dataclass(frozen=True, kw_only=True)
class MetricRow(MetricValue):
    """A row of results.json: one metric of one checkpoint."""

    step: int | None
    """The checkpoint's step of the original training; None: unknown, in results of another program."""
    benchmark: str
    """The benchmark that computed it."""

    @property
    def key(self) -> MetricKey:
        """Its four names."""
        return MetricKey(self.benchmark, self.protocol, self.subset, self.metric)

    def to_json(self) -> dict[str, Any]:
        """As results.json holds it."""
        return {"step": self.step, "benchmark": self.benchmark, **super().to_json()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "MetricRow":
        """Back from results.json; what a later version adds to a row is not read."""
        return cls(**{k: v for k, v in _with_number(values).items() if k in _METRIC_ROW_FIELDS})


def _with_number(values: Mapping[str, Any]) -> dict[str, Any]:
    """A row of JSON with NaN as its value in place of null."""
    return {**values, "value": math.nan if values["value"] is None else values["value"]}


_METRIC_ROW_FIELDS = frozenset(column.name for column in fields(MetricRow))


# --- what was compared -----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ComparisonRow:
    """A row of the comparison: one metric of an arm against one baseline, over its seeds."""

    benchmark: str
    """First of the metric's four names."""
    protocol: str
    subset: str
    metric: str
    step: int | None
    """Step of the arm's checkpoint; None: unknown, in results of another program."""
    arm: str
    """Label of the arm."""
    baseline_arm: str | None
    """Label of the control, `base` or `published`; None: there was nothing to compare with."""
    baseline: float | None
    """Value of the baseline, mean over seeds."""
    baseline_stderr: float | None
    """Of one seed: over items; of several: over seeds."""
    value: float
    """Value of the arm, mean over seeds."""
    stderr: float | None
    """Of one seed: over items; of several: over seeds."""
    n: int | None
    """Items compared, of one seed."""
    paired: bool | None
    """Whether the items of both sides were paired; None: nothing was compared."""
    difference: float | None
    """Arm minus baseline."""
    difference_stderr: float | None
    """Its standard error; 0 where all items, or all seeds, differ by the same, which leaves a t test nothing to use."""
    df: float | None
    """Degrees of freedom of its t test; None: normal, exact, or no test."""
    ci_low: float | None
    """Lower end of its 95% interval."""
    ci_high: float | None
    """Upper end of its 95% interval."""
    p: float | None
    """Two-sided p, uncorrected."""
    seeds: int
    """Number of trainings that the row combines."""
    between_seeds_sd: float | None
    """Standard deviation of the difference between seeds; None for one seed."""
    single_run_stderr: float | None
    """Mean standard error over items that one seed alone reports; None for one seed."""
    p_holm: float | None = None
    """p after Holm's correction; None: the metric is not of the family that is tested together."""
    minimum_detectable_effect: float | None = None
    """The least true difference that this design detects with 80% power."""
    items_left_out: int | None = None
    """Items that one side alone has: both values and the difference are over the others. None: nothing was paired."""
    difference_nats: float | None = None
    """Of a share: the difference of the mean log-likelihood difference behind it."""
    saturated: bool | None = None
    """Of a share of forced choices: whether the arm says nearly always the same form, in one seed at least. None: it is
    no such share."""
    baseline_saturated: bool | None = None
    """The same of the baseline."""
    origin: Literal["claimed", "chosen at comparison time", "explored"] | None = None
    """Whether the metric was claimed before the runs, named when they were compared, or neither. None: no claims."""
    discordant: int | None = None
    """Items that changed, if McNemar's exact test was used (independent 0/1 items, one seed); None: another test."""
    sentence: str = ""
    """The row as a sentence."""
    spec: MetricSpec = field(compare=False, repr=False)
    """How the metric is printed and tested. It is in results.json and not repeated in the JSON of a row."""

    @property
    def key(self) -> MetricKey:
        """The four names of the metric."""
        return MetricKey(self.benchmark, self.protocol, self.subset, self.metric)

    @property
    def is_against_control(self) -> bool:
        """Whether the baseline is another arm, and neither the arm's base nor the original run's last checkpoint."""
        return self.baseline_arm not in {None, BASE, PUBLISHED}

    @property
    def p_over(self) -> str | None:
        """Units of the test: `items`, `seeds`, or without items the two `values`. None: nothing was compared."""
        if self.difference is None:
            return None
        return "seeds" if self.seeds > 1 else "items" if self.paired else "values"

    def to_json(self) -> dict[str, Any]:
        """As comparison.json holds it."""
        values = ((name, getattr(self, name)) for name in COMPARISON_COLUMNS)
        return {n: none_if_not_finite(v) if isinstance(v, float) else v for n, v in values}


COMPARISON_COLUMNS: Sequence[str] = (
    *(column.name for column in fields(ComparisonRow) if column.name != "spec"), "p_over",
)  # fmt: skip
"""The JSON keys of a row of the comparison, in their order."""
