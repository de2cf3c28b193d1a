"""What a benchmark is: everything that the rest of the program asks of one.

Input: settings, where a run's generated world is, a model ready to score. Output: items, rows of items, metrics.
Guarantees: a benchmark says by itself what its numbers depend on (`identity`), so that kept evaluations are never taken
for others; it describes its metrics by itself (`specs`), so that nobody who reads them needs to know its name.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bias_intervene.evals.metrics import ItemRow
from bias_intervene.record import fingerprint
from bias_intervene.results import MetricSpec, MetricValue
from bias_intervene.settings import EvalsSettings, WorldData

if TYPE_CHECKING:
    from bias_intervene.evals.scoring import Scorer


@dataclass(frozen=True)
class Sources:
    """Where items can come from besides the hub and the user's files."""

    world_folder: Path | None = None
    """The generated world's folder, where the run has one."""
    world_data: WorldData | None = None
    """The generated world's settings, where the run has one."""


@dataclass(frozen=True)
class ScoringInputs:
    """What is scored besides the items, and how."""

    evals: EvalsSettings
    heldout_rows: np.ndarray | None
    """(rows, tokens) kept out of training, unaltered; None where the run has none."""
    checkpoint: Path
    """Folder of the checkpoint, for its tokenizer's files."""


@dataclass(frozen=True)
class Scored:
    """What one benchmark says of one checkpoint."""

    rows: Sequence[ItemRow]
    """One row an item and a protocol."""
    metrics: Sequence[MetricValue]


class Benchmark(ABC):
    """One benchmark. A subclass stands beside its items and its scoring, and is named in `registry`."""

    name: str
    """Of its settings, its metrics and its file of items."""
    version: int
    """Raise it when the same items and weights would be scored differently: kept evaluations are then not used."""
    specs: tuple[MetricSpec, ...]
    """How its metrics are read, in the order in which people should read them."""
    caveats: tuple[str, ...] = ()
    """What its authors and critics say of it; repeated in the record and the report."""
    reads_heldout_rows: bool = False
    """Whether its numbers depend on the rows kept out of training."""
    items_are_local: bool = False
    """Whether its items are found without the hub and without the user's files: such benchmarks are checked first."""

    @abstractmethod
    def items(self, evals: EvalsSettings, sources: Sources) -> Sequence[Any] | None:
        """The items; None where it has none but held-out rows. Raises `DataError` or `HubError`."""

    @abstractmethod
    def score(self, items: Any, scorer: "Scorer", inputs: ScoringInputs) -> Scored:
        """Rows of items and metrics of one checkpoint. With several ranks the first one's are kept."""

    def fingerprint(self, items: Any) -> str | None:
        """Identity of the items; None where there are none."""
        return None if items is None else fingerprint([repr(item) for item in items])

    def identity(self, items: Any, evals: EvalsSettings, heldout_rows: list[Any] | None) -> dict[str, Any]:
        """Everything that its numbers depend on besides the checkpoint. heldout_rows: identity of these rows."""
        values: dict[str, Any] = {"version": self.version, "too_long": evals.too_long}
        if items is not None:
            values["items"] = self.fingerprint(items)
        return values | ({"heldout_rows": heldout_rows} if self.reads_heldout_rows else {})

    def notes(self, items: Any) -> dict[str, Any]:
        """What a reader of the numbers must know of the items; stands in the record."""
        return {"caveats": list(self.caveats)} if self.caveats else {}


def scored(rows: Sequence[ItemRow], metrics: Iterable[MetricValue]) -> Scored:
    """Rows and their metrics."""
    return Scored(rows, list(metrics))
