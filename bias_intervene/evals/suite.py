"""All benchmarks over the checkpoints of a run.

Enters: a run directory whose training is done, and which folder holds which step. Leaves: evals/stepN/*.parquet, one
row an item and a protocol, results.json with one row a metric. Promised: a checkpoint that is already scored is not
scored again, neither when the stage is repeated nor in another run: evaluations are kept by what they were made from
(`kept`), so the base checkpoint of a sweep is scored once. While one checkpoint is scored the next one is loaded. With
several ranks each scores its share, and the first one writes.

The original run's later checkpoints, where they are scored, have steps that this run's own have too: their metrics
stand apart, under `published`.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bias_intervene.evals import crows_pairs, harness, lambada, perplexity, pronouns, winobias
from bias_intervene.evals.benchmarks import crows_pairs as crows_pairs_items
from bias_intervene.evals.benchmarks import lambada as lambada_items
from bias_intervene.evals.benchmarks import prompts, sources
from bias_intervene.evals.benchmarks import winobias as winobias_items
from bias_intervene.evals.cache import keep
from bias_intervene.evals.ranks import ALONE, Ranks
from bias_intervene.evals.scoring import Scorer
from bias_intervene.models import load_model, load_tokenizer, tokenizer_fingerprint, weights_fingerprint
from bias_intervene.record import fingerprint, read_json, write_json
from bias_intervene.settings import EvalsSettings, WorldData

RESULTS_SCHEMA = 1
Rows = list[dict[str, Any]]


# --- what is scored --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Items:
    """What is scored: each benchmark's items, None where it is off."""

    crows_pairs: list[crows_pairs_items.CrowsPair] | None
    winobias: list[winobias_items.WinobiasPair] | None
    lambada: list[lambada_items.LambadaPassage] | None
    pronouns: list[prompts.PronounPrompt] | None
    harness: dict[str, Any] | None
    """What identifies the tasks of lm-evaluation-harness."""

    def fingerprints(self) -> dict[str, str]:
        """Identity of each benchmark."""
        found = {
            name: sources.fingerprint_of(items)
            for name in ("crows_pairs", "winobias", "lambada", "pronouns")
            if (items := getattr(self, name)) is not None
        }
        return found | ({"harness": fingerprint(self.harness)} if self.harness else {})

    def notes(self) -> dict[str, Any]:
        """What a reader of the numbers must know of the items."""
        said: dict[str, Any] = {}
        if self.crows_pairs is not None:
            said["crows_pairs"] = {"pairs": len(self.crows_pairs), "caveats": list(crows_pairs_items.NOTES)}
        if self.winobias is not None:
            said["winobias"] = {"pairs": len(self.winobias), **winobias_items.notes(self.winobias)}
        return said


def load_items(evals: EvalsSettings, *, world_folder: Path | None, world_data: WorldData | None) -> Items:
    """The items of every enabled benchmark. Raises `DataError` or `HubError`."""
    return Items(
        # What is mistyped is found first, what is on the hub comes last.
        harness=harness.check(evals.harness_tasks, evals.harness_include_path) if evals.harness_tasks else None,
        pronouns=prompts.read(evals.pronouns, world_data=world_data) if evals.pronouns.enabled else None,
        crows_pairs=crows_pairs_items.read(evals.crows_pairs, world_folder=world_folder)
        if evals.crows_pairs.enabled
        else None,
        winobias=winobias_items.read(evals.winobias, world_folder=world_folder)
        if evals.winobias.enabled and evals.winobias.protocols
        else None,
        lambada=lambada_items.read(evals.lambada) if evals.lambada.enabled else None,
    )


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
class Job:
    """One benchmark, ready to be scored. identity: everything its rows depend on besides the checkpoint."""

    benchmark: str
    identity: dict[str, Any]
    score: Callable[[Scorer, Path], tuple[Rows, Rows]]
    """(model, checkpoint folder) -> (rows of items, metrics); the first rank's are kept."""


def jobs(evals: EvalsSettings, items: Items, heldout_rows: np.ndarray | None) -> Iterator[Job]:
    """The enabled benchmarks."""
    prints = items.fingerprints()
    rows = rows_identity(heldout_rows)

    def job(module: Any, score: Callable[[Scorer], Rows], **identity: Any) -> Job:
        def both(scorer: Scorer, _: Path) -> tuple[Rows, Rows]:
            found = score(scorer)
            return found, list(module.metrics(found))

        name = module.__name__.rsplit(".", 1)[-1]
        return Job(name, {"version": module.VERSION, "too_long": evals.too_long, **identity}, both)

    if (pairs := items.crows_pairs) is not None:
        yield job(crows_pairs, lambda scorer: crows_pairs.score(pairs, scorer), items=prints["crows_pairs"])
    if (sentences := items.winobias) is not None:
        protocols = evals.winobias.protocols
        yield job(
            winobias,
            lambda scorer: winobias.score(sentences, scorer, protocols=protocols),
            items=prints["winobias"],
            protocols=protocols,
        )
    if (passages := items.lambada) is not None:
        yield job(lambada, lambda scorer: lambada.score(passages, scorer), items=prints["lambada"])
    if evals.perplexity.enabled and heldout_rows is not None:
        yield job(perplexity, lambda scorer: perplexity.score(heldout_rows, scorer), heldout_rows=rows)
    if (openings := items.pronouns) is not None:
        yield job(
            pronouns,
            lambda scorer: pronouns.score(openings, heldout_rows, scorer),
            items=prints["pronouns"],
            heldout_rows=rows,
        )
    if items.harness is not None:
        yield Job(
            "harness",
            items.harness,
            lambda scorer, folder: harness.score(
                evals.harness_tasks, evals.harness_include_path, scorer, folder=folder
            ),
        )


def rows_identity(rows: np.ndarray | None) -> list[Any] | None:
    """Shape and digest of held-out rows."""
    if rows is None:
        return None
    return [*rows.shape, hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest()]


# --- scoring it ------------------------------------------------------------------------------------------------


def evaluate(
    run_dir: Path,
    *,
    evals: EvalsSettings,
    items: Items,
    checkpoints: Sequence[Checkpoint],
    heldout_rows: np.ndarray | None,
    device: torch.device,
    cache: Path,
    ranks: Ranks = ALONE,
) -> dict[str, dict[str, Any]]:
    """Scores the checkpoints and writes results.json.

    Returns the fingerprint of each one's weights by its name, and what else each benchmark's numbers depend on.
    """
    todo = list(jobs(evals, items, heldout_rows))
    kept = cache / "evaluations"
    folders = [run_dir / "evals" / checkpoint.name for checkpoint in checkpoints]
    scored = ranks.first([(folder / "metrics.json").is_file() for folder in folders])
    with ThreadPoolExecutor(1) as loader:
        waiting = [number for number, done in enumerate(scored) if not done]
        coming = {}
        for place, here in enumerate(waiting):
            for number in waiting[place : place + 2]:
                if number not in coming:
                    coming[number] = loader.submit(
                        Scoring, checkpoints[number], todo, evals=evals, kept=kept, device=device
                    )
            scoring = coming.pop(here).result()
            scoring.score(todo, folders[here], ranks=ranks)
            del scoring  # Its memory, before the one after the next is loaded.
    found: dict[str, Rows] = {"metrics": [], "published": []}
    prints: dict[str, str] = {}
    if ranks.rank == 0:
        for checkpoint, folder in zip(checkpoints, folders, strict=True):
            one = read_json(folder / "metrics.json")
            prints[checkpoint.name] = one["weights"]
            found["published" if checkpoint.published else "metrics"] += one["metrics"]
        write_json(run_dir / "results.json", {"schema": RESULTS_SCHEMA, **found})
    made_from = {job.benchmark: {**job.identity, "dtype": evals.dtype, "device": device.type} for job in todo}
    return {"evaluated_weights": prints, "evaluations": made_from}


class Scoring:
    """One checkpoint: found out what it is, and loaded if a benchmark of it is not kept yet.

    A kept evaluation is found by what it was made from: the bytes of the weights, the tokenizer, the items, the version
    of the protocol, the type of the weights while scoring and the kind of device; so it cannot be another model's.
    """

    def __init__(
        self, checkpoint: Checkpoint, todo: Sequence[Job], *, evals: EvalsSettings, kept: Path, device: torch.device
    ):
        self.checkpoint, self.evals, self.kept, self.device = checkpoint, evals, kept, device
        self.weights = weights_fingerprint(checkpoint.folder)
        self.tokenizer = load_tokenizer(checkpoint.folder)
        # Once: every benchmark is looked up by it, and a tokenizer takes a while to digest.
        self.made_from = {
            "weights": self.weights,
            "architecture": fingerprint(read_json(checkpoint.folder / "config.json")),
            "tokenizer": tokenizer_fingerprint(self.tokenizer),
            "prefix": self.tokenizer.prefix,
            "dtype": evals.dtype,
            "device": device.type,
        }
        self._scorer: Scorer | None = None
        self._model: Any = None
        if any(not (kept / fingerprint(self.identity(job))).is_dir() for job in todo):
            self._model = self.load()

    def load(self) -> Any:
        """The model, on the host."""
        return load_model(self.checkpoint.folder, dtype=self.evals.dtype, tokenizer=self.tokenizer)

    def identity(self, job: Job) -> dict[str, Any]:
        """What an evaluation is made from."""
        return {"benchmark": job.benchmark, **job.identity, **self.made_from}

    def scorer(self, ranks: Ranks) -> Scorer:
        """The model on its device, made once."""
        if self._scorer is None:
            model = self.load() if self._model is None else self._model
            self._scorer = Scorer(
                model,
                self.tokenizer,
                device=self.device,
                batch_tokens=self.evals.batch_tokens,
                too_long=self.evals.too_long,
                ranks=ranks,
            )
        return self._scorer

    def score(self, todo: Sequence[Job], folder: Path, *, ranks: Ranks) -> None:
        """Writes the items of every benchmark below `folder`, metrics.json last."""
        metrics: Rows = []
        for job in todo:

            def make(job: Job = job) -> tuple[Rows, Rows]:
                scorer = self.scorer(ranks)
                scorer.num_truncated.clear()
                rows, found = job.score(scorer, self.checkpoint.folder)
                cut = sum(scorer.num_truncated.values())
                return rows, [{**row, "truncated": cut} for row in found] if cut else found

            target = folder / f"{job.benchmark}.parquet"
            found = keep(self.kept, self.identity(job), make, items_to=target, ranks=ranks)
            metrics += [{"step": self.checkpoint.step, "benchmark": job.benchmark, **row} for row in found]
        if ranks.rank == 0:
            write_json(folder / "metrics.json", {"weights": self.weights, "metrics": metrics})
