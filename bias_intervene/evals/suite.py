"""All benchmarks over the checkpoints of a run.

Input: a run directory whose training is done, and which folder holds which step. Output: evals/stepN/*.parquet, one row
an item and a protocol, and results.json with one row a metric and the specs that say how a metric is read. Guarantees:
a checkpoint that is already scored is not scored again, neither when the stage is repeated nor in another run:
evaluations are kept by what they were made from (`cache`), so the base checkpoint of a sweep is scored once. While one
checkpoint is scored the next one is loaded. With several ranks each scores its share, and the first one writes.

The original run's later checkpoints, where they are scored, have steps that this run's own have too: their metrics
stand apart, under `published`.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bias_intervene.evals.benchmarks.benchmark import Benchmark, Scored, ScoringInputs, Sources
from bias_intervene.evals.benchmarks.registry import BENCHMARKS
from bias_intervene.evals.cache import keep
from bias_intervene.evals.ranks import ALONE, Ranks
from bias_intervene.models import load_model, load_tokenizer, tokenizer_fingerprint, weights_fingerprint
from bias_intervene.record import fingerprint, read_json, write_json
from bias_intervene.results import MetricRow
from bias_intervene.settings import EvalsSettings, WorldData

if TYPE_CHECKING:
    import torch

    from bias_intervene.evals.scoring import Scorer

_RESULTS_SCHEMA = 1


# --- what is scored --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Items:
    """The items of the benchmarks that are scored, in the order in which they are scored."""

    by_benchmark: dict[str, Any]
    """Name -> items; None for a benchmark that has none but held-out rows."""

    def fingerprints(self) -> dict[str, str]:
        """Identity of each benchmark's items."""
        prints = {name: BENCHMARKS[name].fingerprint(items) for name, items in self.by_benchmark.items()}
        return {name: value for name, value in prints.items() if value is not None}

    def notes(self) -> dict[str, Any]:
        """What a reader of the numbers must know of the items."""
        notes = {name: BENCHMARKS[name].notes(items) for name, items in self.by_benchmark.items()}
        return {name: value for name, value in notes.items() if value}


def load_items(evals: EvalsSettings, *, world_folder: Path | None, world_data: WorldData | None) -> Items:
    """The items of every benchmark that is switched on. Raises `DataError` or `HubError`."""
    names = evals.scored_benchmarks()
    sources = Sources(world_folder=world_folder, world_data=world_data)
    # What is mistyped is refused first, what is on the hub comes last.
    in_order = sorted(names, key=lambda name: not BENCHMARKS[name].items_are_local)
    loaded = {name: BENCHMARKS[name].items(evals, sources) for name in in_order}
    return Items({name: loaded[name] for name in names})


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint to score. `published`: of the original run, from a step after this one's start."""

    step: int
    folder: Path
    published: bool = False

    @property
    def name(self) -> str:
        """Folder of its items under evals/."""
        return f"published_step{self.step}" if self.published else f"step{self.step}"


@dataclass(frozen=True)
class _Evaluation:
    """One benchmark with its items, ready to be scored."""

    benchmark: Benchmark
    items: Any
    identity: dict[str, Any]
    """Everything its numbers depend on besides the checkpoint."""


def _evaluations(evals: EvalsSettings, items: Items, heldout_rows: np.ndarray | None) -> Iterator[_Evaluation]:
    """Every benchmark that has something to score."""
    rows = _rows_identity(heldout_rows)
    for name in evals.scored_benchmarks(with_heldout_rows=heldout_rows is not None):
        benchmark, own = BENCHMARKS[name], items.by_benchmark[name]
        yield _Evaluation(benchmark, own, benchmark.identity(own, evals, rows))


def _rows_identity(rows: np.ndarray | None) -> list[Any] | None:
    """Shape and digest of held-out rows."""
    if rows is None:
        return None
    return [*rows.shape, hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest()]


# --- scoring ---------------------------------------------------------------------------------------------------


def evaluate(
    run_dir: Path,
    *,
    evals: EvalsSettings,
    items: Items,
    checkpoints: Sequence[Checkpoint],
    heldout_rows: np.ndarray | None,
    device: "torch.device",
    cache: Path,
    ranks: Ranks = ALONE,
) -> dict[str, dict[str, Any]]:
    """Scores the checkpoints and writes results.json.

    Returns the fingerprint of each one's weights by its name, and what else each benchmark's numbers depend on.
    """
    todo = list(_evaluations(evals, items, heldout_rows))
    place = cache / "evaluations"
    folders = [run_dir / "evals" / checkpoint.name for checkpoint in checkpoints]
    scored = ranks.first([(folder / "metrics.json").is_file() for folder in folders])
    with ThreadPoolExecutor(1) as loader:
        waiting = [number for number, done in enumerate(scored) if not done]
        loading: dict[int, Future[_Scoring]] = {}
        for nth, here in enumerate(waiting):
            for number in waiting[nth : nth + 2]:
                if number not in loading:
                    loading[number] = loader.submit(
                        _Scoring, checkpoints[number], todo, evals=evals, place=place, device=device
                    )
            scoring = loading.pop(here).result()
            scoring.score(todo, folders[here], heldout_rows=heldout_rows, ranks=ranks)
            del scoring  # Its memory, before the one after the next is loaded.
    rows: dict[str, list[Any]] = {"metrics": [], "published": []}
    prints: dict[str, str] = {}
    if ranks.rank == 0:
        for checkpoint, folder in zip(checkpoints, folders, strict=True):
            scored_already = read_json(folder / "metrics.json")
            prints[checkpoint.name] = scored_already["weights"]
            rows["published" if checkpoint.published else "metrics"] += scored_already["metrics"]
        names = {evaluation.benchmark.name for evaluation in todo}
        specs = [spec.to_json() for name, benchmark in BENCHMARKS.items() if name in names for spec in benchmark.specs]
        write_json(run_dir / "results.json", {"schema": _RESULTS_SCHEMA, **rows, "specs": specs})
    made_from = {one.benchmark.name: {**one.identity, "dtype": evals.dtype, "device": device.type} for one in todo}
    return {"evaluated_weights": prints, "evaluations": made_from}


class _Scoring:
    """One checkpoint: identified, and loaded if an evaluation of it is not kept yet.

    A kept evaluation is found by what it was made from: the bytes of the weights, the tokenizer, the items, the version
    of the protocol, the type of the weights while scoring and the kind of device; so it cannot be another model's.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        todo: Sequence[_Evaluation],
        *,
        evals: EvalsSettings,
        place: Path,
        device: "torch.device",
    ):
        self._checkpoint, self._evals, self._place, self._device = checkpoint, evals, place, device
        self._weights = weights_fingerprint(checkpoint.folder)
        self._tokenizer = load_tokenizer(checkpoint.folder)
        # Once: every benchmark is looked up by it, and a tokenizer takes a while to digest.
        self._made_from = {
            "weights": self._weights,
            "architecture": fingerprint(read_json(checkpoint.folder / "config.json")),
            "tokenizer": tokenizer_fingerprint(self._tokenizer),
            "prefix": self._tokenizer.prefix,
            "dtype": evals.dtype,
            "device": device.type,
        }
        self._scorer: Scorer | None = None
        self._model: Any = None
        if any(not (place / fingerprint(self._identity(evaluation))).is_dir() for evaluation in todo):
            self._model = self._load()

    def _load(self) -> Any:
        """The model, on the host."""
        return load_model(self._checkpoint.folder, dtype=self._evals.dtype, tokenizer=self._tokenizer)

    def _identity(self, evaluation: _Evaluation) -> dict[str, Any]:
        """What an evaluation is made from."""
        return {"benchmark": evaluation.benchmark.name, **evaluation.identity, **self._made_from}

    def _on_device(self, ranks: Ranks) -> "Scorer":
        """The model on its device, made once."""
        from bias_intervene.evals.scoring import Scorer

        if self._scorer is None:
            model = self._load() if self._model is None else self._model
            self._scorer = Scorer(
                model,
                self._tokenizer,
                device=self._device,
                batch_tokens=self._evals.batch_tokens,
                too_long=self._evals.too_long,
                ranks=ranks,
            )
        return self._scorer

    def score(
        self, todo: Sequence[_Evaluation], folder: Path, *, heldout_rows: np.ndarray | None, ranks: Ranks
    ) -> None:
        """Writes the items of every benchmark below `folder`, metrics.json last."""
        inputs = ScoringInputs(self._evals, heldout_rows, self._checkpoint.folder)
        rows: list[MetricRow] = []
        for evaluation in todo:
            name = evaluation.benchmark.name

            def make(evaluation: _Evaluation = evaluation) -> Scored:
                scorer = self._on_device(ranks)
                scorer.num_truncated.clear()
                scored = evaluation.benchmark.score(evaluation.items, scorer, inputs)
                truncated = sum(scorer.num_truncated.values())
                return replace(scored, metrics=[replace(m, truncated=truncated or None) for m in scored.metrics])

            metrics = keep(
                self._place, self._identity(evaluation), make, items_to=folder / f"{name}.parquet", ranks=ranks
            )
            rows += [MetricRow(step=self._checkpoint.step, benchmark=name, **vars(metric)) for metric in metrics]
        if ranks.rank == 0:
            write_json(folder / "metrics.json", {"weights": self._weights, "metrics": [row.to_json() for row in rows]})
