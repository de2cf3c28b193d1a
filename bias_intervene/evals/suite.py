"""All benchmarks over the checkpoints of a run.

Enters: a run directory whose training is done, and which folder holds which step. Leaves: evals/stepN/*.parquet, one
row an item and a protocol, results.json with one row a metric. Promised: a checkpoint that is already scored is not
scored again, neither when the stage is repeated nor in another run: evaluations are kept by what they were made from,
so the base checkpoint of a sweep is scored once.

The original run's last checkpoint, where it is scored, has the step of this run's last one: its metrics stand apart,
under `published`.
"""

import hashlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from filelock import FileLock

from bias_intervene.evals import benchmarks, crows_pairs, lambada, pronouns, winobias
from bias_intervene.evals.scoring import Scorer
from bias_intervene.models import load_model, load_tokenizer, tokenizer_fingerprint, weights_fingerprint
from bias_intervene.record import fingerprint, read_json, whole_folder, write_bytes, write_json
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


@dataclass(frozen=True)
class Job:
    """One benchmark, ready to be scored. identity: everything its rows depend on besides the checkpoint."""

    benchmark: str
    identity: dict[str, Any]
    score: Callable[[Scorer], list[dict[str, Any]]]
    metrics: Callable[[list[dict[str, Any]]], Iterable[dict[str, Any]]]


def jobs(evals: EvalsSettings, items: Items, heldout_rows: np.ndarray | None) -> list[Job]:
    """The enabled benchmarks."""
    found: list[Job] = []
    prints = items.fingerprints()

    def add(module: Any, score: Callable[[Scorer], list[dict[str, Any]]], **more: Any) -> None:
        name = module.__name__.rsplit(".", 1)[-1]
        identity = {"items": prints[name], "version": module.VERSION, **more}
        found.append(Job(name, identity, score, module.metrics))

    pairs, sentences, passages, prompts = items.crows_pairs, items.winobias, items.lambada, items.pronouns
    if pairs is not None:
        add(crows_pairs, lambda scorer: crows_pairs.score(pairs, scorer))
    if sentences is not None:
        protocols = evals.winobias.protocols
        add(winobias, lambda scorer: winobias.score(sentences, scorer, protocols=protocols), protocols=protocols)
    if passages is not None:
        add(lambada, lambda scorer: lambada.score(passages, scorer))
    if prompts is not None:
        rows = None
        if heldout_rows is not None:
            rows = [*heldout_rows.shape, hashlib.sha256(heldout_rows.astype("<i8").tobytes()).hexdigest()]
        add(pronouns, lambda scorer: pronouns.score(prompts, heldout_rows, scorer), heldout_rows=rows)
    return found


def evaluate(
    run_dir: Path,
    *,
    evals: EvalsSettings,
    items: Items,
    checkpoints: Iterable[Checkpoint],
    heldout_rows: np.ndarray | None,
    device: str,
    cache: Path,
) -> dict[str, str]:
    """Scores the checkpoints and writes results.json; returns the fingerprint of each one's weights by its name."""
    place = torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")
    found: dict[str, list[dict[str, Any]]] = {"metrics": [], "published": []}
    prints: dict[str, str] = {}
    for checkpoint in checkpoints:
        folder = run_dir / "evals" / checkpoint.name
        prints[checkpoint.name] = weights_fingerprint(checkpoint.folder)
        if not (folder / "metrics.json").is_file():
            score = Scoring(checkpoint, prints[checkpoint.name], evals=evals, device=place, cache=cache / "evaluations")
            rows = [row for job in jobs(evals, items, heldout_rows) for row in score(job, folder)]
            write_json(folder / "metrics.json", [{"step": checkpoint.step, **row} for row in rows])
        found["published" if checkpoint.published else "metrics"] += read_json(folder / "metrics.json")
    write_json(run_dir / "results.json", {"schema": RESULTS_SCHEMA, **found})
    return prints


class Scoring:
    """Scores one checkpoint, or finds that its weights were scored before.

    A kept evaluation is found by what it was made from: the bytes of the weights, the tokenizer, the items, the version
    of the protocol, the type of the weights while scoring and the kind of device; so it cannot be another model's.
    Jobs that want the same one at the same time wait for the first. The model is loaded when it is first needed.
    """

    def __init__(
        self, checkpoint: Checkpoint, weights: str, *, evals: EvalsSettings, device: torch.device, cache: Path
    ):
        self.checkpoint, self.evals, self.device, self.cache = checkpoint, evals, device, cache
        self.tokenizer = load_tokenizer(checkpoint.folder)
        self.identity = {
            "weights": weights,
            "architecture": fingerprint(read_json(checkpoint.folder / "config.json")),
            "tokenizer": tokenizer_fingerprint(self.tokenizer),
            "prefix": self.tokenizer.prefix,
            "dtype": evals.dtype,
            "device": device.type,
        }
        self._scorer: Scorer | None = None

    @property
    def scorer(self) -> Scorer:
        """The model, loaded once."""
        if self._scorer is None:
            model = load_model(self.checkpoint.folder, dtype=self.evals.dtype, tokenizer=self.tokenizer)
            self._scorer = Scorer(model, self.tokenizer, device=self.device, batch_tokens=self.evals.batch_tokens)
        return self._scorer

    def __call__(self, job: Job, folder: Path) -> list[dict[str, Any]]:
        """Writes the items of a benchmark and returns its metrics."""
        identity = {"benchmark": job.benchmark, **job.identity, **self.identity}
        kept = self.cache / fingerprint(identity)
        kept.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(kept.with_suffix(".lock")):
            if not (kept / "metrics.json").is_file():
                rows = job.score(self.scorer)
                with whole_folder(kept) as partial:
                    write_items(partial / "items.parquet", rows)
                    write_json(partial / "metrics.json", [named(job, row) for row in job.metrics(rows)])
                    write_json(partial / "identity.json", identity)
        write_bytes(folder / f"{job.benchmark}.parquet", (kept / "items.parquet").read_bytes())
        return read_json(kept / "metrics.json")


def write_items(path: Path, rows: list[dict[str, Any]]) -> None:
    """One row an item and a protocol."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    write_bytes(path, sink.getvalue().to_pybytes())


def named(job: Job, metric: dict[str, Any]) -> dict[str, Any]:
    """A metric with its benchmark; a standard error of one item is unknown, and JSON has no NaN."""
    stderr = None if math.isnan(metric["stderr"]) else metric["stderr"]
    return {"benchmark": job.benchmark, **metric, "stderr": stderr}
