"""The interface of a benchmark: all that the rest of the program uses of one.

Input: the settings of the evaluation, the generated world if the run has one, and a model ready to score.
Output: items, rows of scored items, metrics.
Guarantees: a benchmark states everything that its results depend on (`identity`), so a cached evaluation is never used
for another one. It describes its metrics (`specs`), so the code that reads results needs no knowledge of a benchmark.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bias_intervene.data.corpus import HELDOUT
from bias_intervene.evals.metrics import ItemRow
from bias_intervene.record import fingerprint
from bias_intervene.results import MetricSpec, MetricValue
from bias_intervene.settings import EvalsSettings, WorldData

if TYPE_CHECKING:
    from bias_intervene.evals.scoring import Scorer


@dataclass(frozen=True)
class Sources:
    """The generated world, from which items can be read as well as from the hub and the user's files."""

    world_folder: Path | None = None
    """Folder of the world's files; None: the run has no world."""
    world_data: WorldData | None = None
    """Settings of the world; None: the run has no world."""


@dataclass(frozen=True)
class ScoringInputs:
    """What a benchmark may use for scoring besides its items and the model."""

    evals: EvalsSettings
    heldout_rows: np.ndarray | None
    """Token ids (rows, tokens) of rows kept out of training, unaltered; None: the run has none."""
    checkpoint: Path
    """Folder of the checkpoint, with the files of its tokenizer."""
    heldout_protocol: str = HELDOUT
    """The protocol of metrics over these rows: HELDOUT, or BEFORE_WINDOW where the base model was trained on them."""


@dataclass(frozen=True)
class Scored:
    """The results of one benchmark for one checkpoint."""

    rows: Sequence[ItemRow]
    """One row per item and protocol."""
    metrics: Sequence[MetricValue]


class Benchmark(ABC):
    """One benchmark. Subclasses are in the modules of their items and scoring, and are listed in `registry`."""

    name: str
    """The name of its settings, of its metrics and of its file of items."""
    version: int
    """To be increased when the same items and weights would be scored differently; then cached results are not used."""
    specs: tuple[MetricSpec, ...]
    """How its metrics are compared and printed, in the order in which they are shown."""
    caveats: tuple[str, ...] = ()
    """Reservations of its authors and critics, which the record and the report repeat."""
    reads_heldout_rows: bool = False
    """Whether its results depend on the rows kept out of training."""
    items_are_local: bool = False
    """Whether its items need neither the hub nor the user's files. Such benchmarks are read, and so checked, first."""

    @abstractmethod
    def items(self, evals: EvalsSettings, sources: Sources) -> Sequence[Any] | None:
        """The items; None for a benchmark that reads held-out rows only. Raises `DataError` or `HubError`."""

    @abstractmethod
    def score(self, items: Any, scorer: "Scorer", inputs: ScoringInputs) -> Scored:
        """The results for one checkpoint. With several ranks, all call it, and those of the first one are used."""

    def fingerprint(self, items: Any) -> str | None:
        """Fingerprint of the items; None if there are none."""
        return None if items is None else fingerprint([repr(item) for item in items])

    def identity(self, items: Any, evals: EvalsSettings, heldout_rows: list[Any] | None) -> dict[str, Any]:
        """Everything that the results depend on but the checkpoint. heldout_rows: shape and sha256 of these rows."""
        values: dict[str, Any] = {"version": self.version, "too_long": evals.too_long}
        if items is not None:
            values["items"] = self.fingerprint(items)
        return values | ({"heldout_rows": heldout_rows} if self.reads_heldout_rows else {})

    def notes(self, items: Any) -> dict[str, Any]:
        """What the record says about the items: counts and caveats."""
        return {"caveats": list(self.caveats)} if self.caveats else {}


def scored(rows: Sequence[ItemRow], metrics: Iterable[MetricValue]) -> Scored:
    """Scored rows with their metrics."""
    return Scored(rows, list(metrics))
