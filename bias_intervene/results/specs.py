"""How metrics are compared, printed and tested, and what an intervention is expected to change.

Input: the description that a benchmark or an intervention gives of itself.
Output: specs, to and from the JSON of results.json, and the lookup of the spec of a metric.
Guarantees: of two specs that describe a metric the more specific one holds; the order in which metrics are shown is
that of their families and, within one, of their specs.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, NamedTuple


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
