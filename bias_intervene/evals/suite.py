"""Scores the checkpoints of a run with all benchmarks.

While one checkpoint is scored, the next one is loaded. With several ranks, each scores a share of the items, and the
first one writes the files.

Input: the settings of the evaluation, the items, and the folder of each checkpoint.
Output: evals/stepN/*.parquet with one row per item and protocol, and results.json with one row per metric and the specs
that say how each metric is read. Checkpoints of the original run from after this run's start have steps that this run's
own checkpoints have too; their metrics are kept apart, under `published`.
Guarantees: no checkpoint is scored twice, neither when the stage is repeated nor by another run: evaluations are cached
by everything they depend on (`cache`), so the base checkpoint of a sweep is scored once.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bias_intervene.data.corpus import HELDOUT
from bias_intervene.errors import DataError, RunDirectoryError
from bias_intervene.evals.benchmarks.benchmark import Benchmark, Scored, ScoringInputs, Sources
from bias_intervene.evals.benchmarks.registry import BENCHMARKS
from bias_intervene.evals.cache import cached
from bias_intervene.evals.ranks import SINGLE_RANK, Ranks
from bias_intervene.models import (
    configured_end_ids,
    load_model,
    load_tokenizer,
    tokenizer_fingerprint,
    weights_fingerprint,
)
from bias_intervene.record import fingerprint, read_json, write_json
from bias_intervene.results import MetricRow
from bias_intervene.settings import EvalsSettings, WorldData

if TYPE_CHECKING:
    import torch

    from bias_intervene.evals.scoring import Scorer

_RESULTS_SCHEMA = 1


# --- benchmarks and checkpoints --------------------------------------------------------------------------------


@dataclass(frozen=True)
class BenchmarkItems:
    """The items of all benchmarks that are scored, in the order in which they are scored."""

    by_benchmark: dict[str, Any]
    """Name -> items; None for a benchmark that reads held-out rows only."""

    def fingerprints(self) -> dict[str, str]:
        """Name of a benchmark -> fingerprint of its items."""
        prints = {name: BENCHMARKS[name].fingerprint(items) for name, items in self.by_benchmark.items()}
        return {name: value for name, value in prints.items() if value is not None}

    def notes(self) -> dict[str, Any]:
        """Name of a benchmark -> its notes for the record."""
        notes = {name: BENCHMARKS[name].notes(items) for name, items in self.by_benchmark.items()}
        return {name: value for name, value in notes.items() if value}


def load_items(evals: EvalsSettings, *, world_folder: Path | None, world_data: WorldData | None) -> BenchmarkItems:
    """The items of every benchmark that is switched on. Raises `DataError` or `HubError`.

    world_folder, world_data: the generated world, if the run has one.
    """
    names = evals.scored_benchmarks()
    sources = Sources(world_folder=world_folder, world_data=world_data)
    # Local items first, so that a mistyped setting is reported before anything is downloaded.
    in_order = sorted(names, key=lambda name: not BENCHMARKS[name].items_are_local)
    loaded = {name: BENCHMARKS[name].items(evals, sources) for name in in_order}
    for name, items in loaded.items():
        if items is not None and not items:
            raise DataError(f"evals.{name}: not one item to score; look at its settings, or switch it off")
    return BenchmarkItems({name: loaded[name] for name in names})


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint to score."""

    step: int
    folder: Path
    published: bool = False
    """Whether it is the original run's, from a step after this run's start."""

    @property
    def name(self) -> str:
        """Name of the folder of its items below evals/."""
        return f"published_step{self.step}" if self.published else f"step{self.step}"


@dataclass(frozen=True)
class _Evaluation:
    """One benchmark with its items."""

    benchmark: Benchmark
    items: Any
    identity: dict[str, Any]
    """Everything its results depend on besides the checkpoint."""


def _evaluations(
    evals: EvalsSettings, items: BenchmarkItems, heldout_rows: np.ndarray | None, heldout_protocol: str
) -> Iterator[_Evaluation]:
    """The benchmarks that are switched on; without held-out rows, those that need such rows are left out."""
    rows = _rows_identity(heldout_rows, heldout_protocol)
    for name in evals.scored_benchmarks(with_heldout_rows=heldout_rows is not None):
        benchmark, own_items = BENCHMARKS[name], items.by_benchmark[name]
        yield _Evaluation(benchmark, own_items, benchmark.identity(own_items, evals, rows))


def _rows_identity(rows: np.ndarray | None, protocol: str) -> list[Any] | None:
    """[number of rows, tokens of a row, sha256, what they are] of held-out rows."""
    if rows is None:
        return None
    return [*rows.shape, hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest(), protocol]


# --- scoring ---------------------------------------------------------------------------------------------------


def evaluate(
    run_dir: Path,
    *,
    evals: EvalsSettings,
    items: BenchmarkItems,
    checkpoints: Sequence[Checkpoint],
    heldout_rows: np.ndarray | None,
    heldout_protocol: str = HELDOUT,
    device: "torch.device",
    cache: Path,
    ranks: Ranks = SINGLE_RANK,
) -> dict[str, dict[str, Any]]:
    """Scores the checkpoints and writes evals/ and results.json.

    heldout_rows: token ids (rows, tokens) that were kept out of training. heldout_protocol: what they are (HELDOUT or
    BEFORE_WINDOW). Returns two fingerprints for the record:
    `evaluated_weights` (name of a checkpoint -> fingerprint of its weights) and `evaluations` (name of a benchmark ->
    everything else that its results depend on). With several ranks, those of the weights are returned on the first.
    """
    evaluations = list(_evaluations(evals, items, heldout_rows, heldout_protocol))
    folders = [run_dir / "evals" / checkpoint.name for checkpoint in checkpoints]
    identities = {
        evaluation.benchmark.name: {**evaluation.identity, "dtype": evals.dtype, "device": device.type}
        for evaluation in evaluations
    }
    identity = fingerprint(identities)
    is_scored = ranks.first(
        ranks.rank == 0
        and [_is_scored(checkpoint, folder, identity) for checkpoint, folder in zip(checkpoints, folders, strict=True)]
    )
    with ThreadPoolExecutor(1) as loader:
        unscored = [number for number, done in enumerate(is_scored) if not done]
        loading: dict[int, Future[_CheckpointEvaluation]] = {}
        for nth, current in enumerate(unscored):
            for number in unscored[nth : nth + 2]:
                if number not in loading:
                    loading[number] = loader.submit(
                        _CheckpointEvaluation,
                        checkpoints[number],
                        evaluations,
                        evals=evals,
                        cache=cache / "evaluations",
                        device=device,
                    )
            checkpoint_evaluation = loading.pop(current).result()
            inputs = ScoringInputs(evals, heldout_rows, checkpoints[current].folder, heldout_protocol)
            checkpoint_evaluation.run(evaluations, folders[current], inputs, identity=identity, ranks=ranks)
            del checkpoint_evaluation  # Releases its model before the one after the next is loaded.
    rows: dict[str, list[Any]] = {"metrics": [], "published": []}
    prints: dict[str, str] = {}
    if ranks.rank == 0:
        for checkpoint, folder in zip(checkpoints, folders, strict=True):
            content = read_json(folder / "metrics.json")
            prints[checkpoint.name] = content["weights"]
            rows["published" if checkpoint.published else "metrics"] += content["metrics"]
        names = {evaluation.benchmark.name for evaluation in evaluations}
        specs = [spec.to_json() for name, benchmark in BENCHMARKS.items() if name in names for spec in benchmark.specs]
        write_json(run_dir / "results.json", {"schema": _RESULTS_SCHEMA, **rows, "specs": specs})
    return {"evaluated_weights": prints, "evaluations": identities}


def _is_scored(checkpoint: Checkpoint, folder: Path, identity: str) -> bool:
    """Whether an earlier attempt scored this checkpoint: the same weights, by the same versions of the benchmarks."""
    try:
        content = read_json(folder / "metrics.json")
    except (FileNotFoundError, RunDirectoryError):
        return False
    values = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    made_from = [values.get(name) for name in ("evaluations", "weights")]
    return made_from == [identity, weights_fingerprint(checkpoint.folder)]


class _CheckpointEvaluation:
    """All evaluations of one checkpoint. Its model is loaded only if one of them is not in the cache.

    An evaluation is looked up by everything it depends on: the bytes of the weights, the architecture, the tokenizer,
    the items, the version of the benchmark, the type of the weights while scoring, and the kind of device.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        evaluations: Sequence[_Evaluation],
        *,
        evals: EvalsSettings,
        cache: Path,
        device: "torch.device",
    ):
        self._checkpoint, self._evals, self._cache, self._device = checkpoint, evals, cache, device
        self._weights = weights_fingerprint(checkpoint.folder)
        self._tokenizer = load_tokenizer(checkpoint.folder)
        # Computed once for all benchmarks, because the fingerprint of a tokenizer takes a while.
        self._identity_of_checkpoint = {
            "weights": self._weights,
            "architecture": fingerprint(read_json(checkpoint.folder / "config.json")),
            "tokenizer": tokenizer_fingerprint(self._tokenizer),
            "prefix": self._tokenizer.prefix,
            "ends": [configured_end_ids(checkpoint.folder), self._tokenizer.end_of_sequence_id],
            "dtype": evals.dtype,
            "device": device.type,
            # What was cached before weights that are missing were refused may be the score of random weights.
            "weights are complete": True,
        }
        self._scorer: Scorer | None = None
        self._model: Any = None
        if any(not (cache / fingerprint(self._identity(evaluation))).is_dir() for evaluation in evaluations):
            self._model = self._load()

    def _load(self) -> Any:
        """The model, in the memory of the host."""
        return load_model(self._checkpoint.folder, dtype=self._evals.dtype, tokenizer=self._tokenizer)

    def _identity(self, evaluation: _Evaluation) -> dict[str, Any]:
        """Everything that the results of an evaluation of this checkpoint depend on."""
        return {"benchmark": evaluation.benchmark.name, **evaluation.identity, **self._identity_of_checkpoint}

    def _scorer_on_device(self, ranks: Ranks) -> "Scorer":
        """The scorer, created at its first use, with the model on the device."""
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

    def run(
        self, evaluations: Sequence[_Evaluation], folder: Path, inputs: ScoringInputs, *, identity: str, ranks: Ranks
    ) -> None:
        """Scores every benchmark and writes its items into `folder`; metrics.json is written last.

        identity: of all evaluations, kept for an attempt that continues.
        """
        rows: list[MetricRow] = []
        for evaluation in evaluations:
            name = evaluation.benchmark.name

            def score(evaluation: _Evaluation = evaluation) -> Scored:
                scorer = self._scorer_on_device(ranks)
                scorer.num_truncated.clear()
                scored = evaluation.benchmark.score(evaluation.items, scorer, inputs)
                truncated = sum(scorer.num_truncated.values())
                return replace(scored, metrics=[replace(m, truncated=truncated or None) for m in scored.metrics])

            items_path = folder / f"{name}.parquet"
            metrics = cached(self._cache, self._identity(evaluation), score, items_path=items_path, ranks=ranks)
            rows += [MetricRow(step=self._checkpoint.step, benchmark=name, **vars(metric)) for metric in metrics]
        if ranks.rank == 0:
            scored = {"weights": self._weights, "evaluations": identity, "metrics": [row.to_json() for row in rows]}
            write_json(folder / "metrics.json", scored)
