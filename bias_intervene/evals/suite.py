"""All benchmarks over the checkpoints of a run.

Enters: a run directory whose training is done, and which folder holds which step. Leaves: evals/stepN/*.parquet, one
row an item and a protocol, results.json with one row a metric. Promised: a checkpoint that is already scored is not
scored again when the stage is repeated; its metrics.json is written after its items.

The original run's last checkpoint, where it is scored, has the step of this run's last one: its metrics stand apart,
under `published`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from bias_intervene.evals import benchmarks, crows_pairs, lambada, pronouns, winobias
from bias_intervene.evals.scoring import Scorer
from bias_intervene.models import load_model, load_tokenizer
from bias_intervene.record import read_json, write_bytes, write_json
from bias_intervene.settings import EvalsSettings, WorldData

RESULTS_SCHEMA = 1


@dataclass(frozen=True)
class Items:
    """What is scored: each benchmark's items, None where it is off."""

    crows_pairs: list[benchmarks.CrowsPair] | None
    winobias: list[benchmarks.WinobiasPair] | None
    lambada: list[benchmarks.LambadaPassage] | None
    pronouns: list[benchmarks.PronounPrompt] | None

    def fingerprints(self) -> dict[str, str]:
        """Identity of each benchmark."""
        return {
            name: benchmarks.fingerprint_of(items)
            for name in ("crows_pairs", "winobias", "lambada", "pronouns")
            if (items := getattr(self, name)) is not None
        }


def load_items(evals: EvalsSettings, *, world_folder: Path | None, world_data: WorldData | None) -> Items:
    """The items of every enabled benchmark. Raises `DataError` or `HubError`."""
    return Items(
        crows_pairs=benchmarks.crows_pairs(evals.crows_pairs, world_folder=world_folder)
        if evals.crows_pairs.enabled
        else None,
        winobias=benchmarks.winobias(evals.winobias, world_folder=world_folder)
        if evals.winobias.enabled and evals.winobias.protocols
        else None,
        lambada=benchmarks.lambada(evals.lambada) if evals.lambada.enabled else None,
        pronouns=benchmarks.pronoun_prompts(evals.pronouns, world_data=world_data) if evals.pronouns.enabled else None,
    )


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint to score. `published`: the original run's last one, not ours."""

    step: int
    folder: Path
    published: bool = False

    @property
    def name(self) -> str:
        """Folder of its items under evals/."""
        return f"published_step{self.step}" if self.published else f"step{self.step}"


def evaluate(
    run_dir: Path,
    *,
    evals: EvalsSettings,
    items: Items,
    checkpoints: Iterable[Checkpoint],
    heldout_rows: np.ndarray | None,
    device: str,
) -> None:
    """Scores the checkpoints and writes results.json."""
    place = torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")
    found: dict[str, list[dict[str, Any]]] = {"metrics": [], "published": []}
    for checkpoint in checkpoints:
        folder = run_dir / "evals" / checkpoint.name
        if not (folder / "metrics.json").is_file():
            score(checkpoint, folder, evals=evals, items=items, heldout_rows=heldout_rows, device=place)
        found["published" if checkpoint.published else "metrics"] += read_json(folder / "metrics.json")
    write_json(run_dir / "results.json", {"schema": RESULTS_SCHEMA, **found})


def score(
    checkpoint: Checkpoint,
    folder: Path,
    *,
    evals: EvalsSettings,
    items: Items,
    heldout_rows: np.ndarray | None,
    device: torch.device,
) -> None:
    """Scores one checkpoint."""
    tokenizer = load_tokenizer(checkpoint.folder)
    model = load_model(checkpoint.folder, dtype=evals.dtype, tokenizer=tokenizer)
    scorer = Scorer(model, tokenizer, device=device, batch_tokens=evals.batch_tokens)
    metrics: list[dict[str, Any]] = []
    if items.crows_pairs is not None:
        rows = crows_pairs.score(items.crows_pairs, scorer)
        metrics += finish(folder, "crows_pairs", rows, crows_pairs.metrics(rows), step=checkpoint.step)
    if items.winobias is not None:
        rows = winobias.score(items.winobias, scorer, protocols=evals.winobias.protocols)
        metrics += finish(folder, "winobias", rows, winobias.metrics(rows), step=checkpoint.step)
    if items.lambada is not None:
        rows = lambada.score(items.lambada, scorer)
        metrics += finish(folder, "lambada", rows, lambada.metrics(rows), step=checkpoint.step)
    if items.pronouns is not None:
        rows = pronouns.score(items.pronouns, heldout_rows, scorer)
        metrics += finish(folder, "pronouns", rows, pronouns.metrics(rows), step=checkpoint.step)
    write_json(folder / "metrics.json", metrics)


def finish(
    folder: Path, benchmark: str, rows: list[dict[str, Any]], metrics: Iterable[dict[str, Any]], *, step: int
) -> list[dict[str, Any]]:
    """Writes the items of a benchmark and names its metrics."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    write_bytes(folder / f"{benchmark}.parquet", sink.getvalue().to_pybytes())
    # A standard error of one item is unknown, and JSON has no NaN.
    return [{"step": step, "benchmark": benchmark, **row, "stderr": none_if_nan(row["stderr"])} for row in metrics]


def none_if_nan(value: float) -> float | None:
    """JSON's null for a value that is unknown."""
    return None if math.isnan(value) else value
