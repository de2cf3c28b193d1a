"""Typed values that are passed between the parts of the program, from the evaluation to the report.

Input: numbers. Output: rows with a sentence a field, to and from the JSON of results.json and comparison.json.
Guarantees: the JSON keys and their order are stable, because people script against them; a value that is unknown is
None, since JSON has no NaN.

A metric is described once, by the benchmark that computes it, in a `MetricSpec`. The specs are written into
results.json beside the values. The code that reads the values (comparison, tables, figures, calibration) learns from
the specs how a metric is paired, printed and tested, and holds no list of metrics of its own.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, NamedTuple

BASE = "base"
"""Name of the baseline that is the checkpoint a run started from."""
PUBLISHED = "published"
"""Name of the baseline that is the original run's last checkpoint."""


@dataclass(frozen=True)
class ExpectedEffect:
    """The metric that an intervention is meant to move, and which way.

    The manipulation check judges an arm by this metric alone, before any bias metric is read.
    """

    benchmark: str
    protocol: str
    subset: str
    metric: str
    sign: int
    """+1: the metric rises against the control; -1: it falls; 0: nothing is meant to move."""
    margin: float = 0.2
    """Of sign 0: the 95% interval of the change must lie within plus and minus this, in nats. 0.2 nats multiply the
    odds of she to he by 1.22 (from even odds to 55%), and are less than the smallest effect that the README reports for
    a swap of real prose (0.28 nats, of a quarter of the rows)."""


class MetricKey(NamedTuple):
    """The four names that identify a metric."""

    benchmark: str
    protocol: str
    subset: str
    metric: str


# --- what a metric is ------------------------------------------------------------------------------------------

Family = Literal["manipulation_check", "bias", "capability", "other"]
_READING_ORDER: tuple[Family, ...] = ("manipulation_check", "bias", "capability", "other")


@dataclass(frozen=True)
class MetricSpec:
    """How a metric is compared, printed and tested. It describes one protocol and subset, or all of them."""

    benchmark: str
    """The benchmark that computes it."""
    metric: str | None
    """Its name in results.json; None: every metric of the benchmark that has no spec of its own."""
    protocol: str | None = None
    """The protocol it is computed by; None: all."""
    subset: str | None = None
    """The items it is computed over; None: all subsets."""
    family: Family = "other"
    """What it measures: whether the intervention took effect, bias, capability, or something else."""
    unit: Literal["share", "nats", "plain"] = "plain"
    """A share is printed in per cent and its differences in points; nats are named; plain numbers have no unit."""
    label: str | None = None
    """Its name in tables and figures. Metrics with a label are shown first."""
    listed: bool = False
    """Whether the terminal's table lists it although it has no label."""
    headline: bool = False
    """Whether it is a main metric. Those of bias are tested as one family with Holm's correction; all are drawn."""
    over_steps: bool = False
    """Whether a figure shows it over the checkpoints."""
    item_by_item: bool = False
    """Whether a figure shows its items under the control and under the arm."""
    pairing: Literal["mean", "mean_if_kept", "gap", "perplexity"] = "mean"
    """How two checkpoints are compared. `mean`: the metric is a mean over items, which are paired. `mean_if_kept`: the
    same where the items hold the metric, both values side by side otherwise. `gap`: minus the column, its mean over one
    group of items less that over another, paired within each. `perplexity`: exp of minus a mean log-likelihood, whose
    items are paired."""
    column: str | None = None
    """The column of the items that is paired; None: the one with the metric's name."""
    groups: tuple[str, str] | None = None
    """The two subsets of a `gap`: the one that is subtracted from, the one that is subtracted."""
    in_nats: str | None = None
    """Of a share: the metric with the mean log-likelihood difference behind it."""
    share_of_one_form: str | None = None
    """Of a share of forced choices between a masculine and a feminine form: the metric with the share of masculine
    ones. Where that is near 0 or 1, the model says one form whatever the item is, and the share is saturated."""

    @property
    def key(self) -> MetricKey | None:
        """The one metric it describes; None where it describes several."""
        if self.metric is None or self.protocol is None or self.subset is None:
            return None
        return MetricKey(self.benchmark, self.protocol, self.subset, self.metric)

    @property
    def scale(self) -> float:
        """The factor by which a value is multiplied for printing: 100 for shares, which are printed in per cent."""
        return 100.0 if self.unit == "share" else 1.0

    def at(
        self, protocol: str, subset: str, label: str | None = None, *,
        headline: bool = False, over_steps: bool | None = None, item_by_item: bool = False,
    ) -> "MetricSpec":  # fmt: skip
        """A copy for one protocol and subset. over_steps: None: as `headline`."""
        return replace(
            self, protocol=protocol, subset=subset, label=label, headline=headline, item_by_item=item_by_item,
            over_steps=headline if over_steps is None else over_steps,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """As results.json holds it."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "MetricSpec":
        """Back from results.json; what a later version adds to a spec is not read."""
        own: dict[str, Any] = dict(values)
        if own.get("groups"):
            own["groups"] = tuple(own["groups"])
        return cls(**{column.name: own[column.name] for column in fields(cls) if column.name in own})


class MetricSpecs:
    """The specs of all metrics that are compared, in the order in which they are shown: manipulation check, bias,
    capability, other.
    """

    def __init__(self, specs: Iterable[MetricSpec]):
        """Of two specs for the same metric, the first one is used."""
        by_names: dict[tuple[str | None, ...], MetricSpec] = {}
        for spec in specs:
            by_names.setdefault((spec.benchmark, spec.protocol, spec.subset, spec.metric), spec)
        self._by_names = by_names
        self._ordered = sorted(by_names.values(), key=lambda spec: _READING_ORDER.index(spec.family))

    def __iter__(self) -> Iterator[MetricSpec]:
        return iter(self._ordered)

    def of(self, key: MetricKey) -> MetricSpec:
        """The most specific spec of a metric; a default one if there is none."""
        names = (key, (key[0], None, None, key[3]), (key[0], None, None, None))
        candidates = (self._by_names.get(tuple(key_or_wildcard)) for key_or_wildcard in names)
        return next((spec for spec in candidates if spec is not None), MetricSpec(key[0], key[3]))

    def short_name(self, key: MetricKey) -> str:
        """The name of a metric in tables and figures."""
        return self.of(key).label or " ".join(part for part in key[1:] if part != "all")

    @property
    def shown_first(self) -> list[MetricKey]:
        """The metrics with a label, in their order."""
        return [spec.key for spec in self._ordered if spec.label is not None and spec.key is not None]

    def headline(self, family: Family) -> list[MetricKey]:
        """The headline metrics of a family."""
        return [spec.key for spec in self._ordered if spec.headline and spec.family == family and spec.key is not None]

    @property
    def over_steps(self) -> list[MetricKey]:
        """The metrics that are drawn over the steps, by family, headline metrics first."""
        specs = [spec for spec in self._ordered if spec.over_steps]
        specs.sort(key=lambda spec: (_READING_ORDER.index(spec.family), not spec.headline))
        return [spec.key for spec in specs if spec.key is not None]

    @property
    def item_by_item(self) -> list[MetricKey]:
        """The metrics whose items are drawn one by one, bias first."""
        specs = sorted((spec for spec in self._ordered if spec.item_by_item), key=lambda spec: spec.family != "bias")
        return [spec.key for spec in specs if spec.key is not None]


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
        return {n: None if isinstance(v, float) and not math.isfinite(v) else v for n, v in values}


COMPARISON_COLUMNS: Sequence[str] = (
    *(column.name for column in fields(ComparisonRow) if column.name != "spec"), "p_over",
)  # fmt: skip
"""The JSON keys of a row of the comparison, in their order."""
