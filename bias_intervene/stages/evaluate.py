"""One rank of the evaluation: scores the checkpoints that the plan names.

Input: inputs.json, settings and a plan.
Output: evals/ and results.json, written by `evals.suite` on the first rank.
Guarantees: held-out rows are read as they are stored; no intervention is applied to anything that is scored.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bias_intervene.data.corpus import HELDOUT
from bias_intervene.data.indexed import Layout, Rows
from bias_intervene.errors import RunDirectoryError
from bias_intervene.evals.ranks import ranks
from bias_intervene.evals.suite import Checkpoint, load_items
from bias_intervene.evals.suite import evaluate as score_all
from bias_intervene.plan import Plan
from bias_intervene.record import first_altered, read_json, write_json
from bias_intervene.record.tracking import NoTracker, log_audit, log_results, open_tracker
from bias_intervene.settings import Settings, WorldData
from bias_intervene.stages.inputs import check_items, check_unchanged

IMPORTED_LATER = ("transformers.modeling_utils",)
"""Modules that take long and that the stage imports where it uses them."""


def run(run_dir: Path, settings: Settings, plan: Plan) -> None:
    """Scores the checkpoints of the plan and writes the results, also to the tracker."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    inputs = read_json(run_dir / "inputs.json")
    check_unchanged(inputs)
    world_folder = Path(inputs["world"]) if inputs["world"] else None
    world_data = settings.data if isinstance(settings.data, WorldData) else None
    heldout_rows = _heldout_rows(inputs["corpus"])
    checkpoints = _checkpoints(run_dir, plan, inputs)
    items = load_items(settings.evals, world_folder=world_folder, world_data=world_data)
    check_items(inputs, items.fingerprints())
    with ranks() as shared:
        # Before the work, so that a tracker that cannot be reached is reported at once.
        tracker = open_tracker(run_dir, settings.tracking) if shared.rank == 0 else NoTracker()
        fingerprints = score_all(
            run_dir,
            evals=settings.evals,
            items=items,
            checkpoints=checkpoints,
            heldout_rows=heldout_rows,
            heldout_protocol=(inputs["corpus"] or {}).get("heldout_protocol", HELDOUT),
            device=_scoring_device(settings.train.device),
            cache=settings.cache,
            ranks=shared,
        )
        if shared.rank == 0:
            write_json(run_dir / "evals" / "fingerprints.json", fingerprints)
            log_results(tracker, read_json(run_dir / "results.json")["metrics"])
            if (run_dir / "audit.json").is_file():
                log_audit(tracker, read_json(run_dir / "audit.json"), step=plan.end_step)
        tracker.close()


def _checkpoints(run_dir: Path, plan: Plan, inputs: Mapping[str, Any]) -> list[Checkpoint]:
    """The checkpoints to score, by step: the base, the run's own and published ones. inputs: of inputs.json.

    Raises `RunDirectoryError` for one of its own that is not as it was saved.
    """
    base, own = Path(inputs["base"]), run_dir / "training" / "checkpoints"
    checkpoints = [
        Checkpoint(step, base if step == plan.start_step else _intact(own / f"step{step}"))
        for step in plan.evaluated_steps
    ]
    published = {int(step): Path(folder) for step, folder in inputs["published"].items()}
    checkpoints += [
        Checkpoint(step, published[step], published=step > plan.start_step) for step in plan.published_steps
    ]
    return sorted(checkpoints, key=lambda checkpoint: checkpoint.step)


def _intact(checkpoint: Path) -> Path:
    """The folder of a checkpoint that this run saved, as it was saved. Raises `RunDirectoryError`."""
    altered = first_altered(checkpoint, without="resume/") if os.environ.get("RANK", "0") == "0" else None
    if altered is not None:
        raise RunDirectoryError(
            f"{altered}: {'altered' if altered.is_file() else 'missing'} since it was saved; put it back, or remove "
            f"{checkpoint.parent.parent} to train again from the beginning"
        )
    return checkpoint


def _heldout_rows(corpus: Mapping[str, Any] | None) -> np.ndarray | None:
    """(rows, tokens) that were kept out of training; None if there are none. corpus: of inputs.json."""
    if corpus is None:
        return None
    numbers = range(*corpus["heldout"])
    layout = Layout.from_json(corpus.get("heldout_layout") or corpus["layout"])
    return Rows(layout).stack(numbers) if numbers else None


def _scoring_device(device: str) -> torch.device:
    """This rank's GPU, or the CPU. device: `train.device` of the settings."""
    if device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    gpu = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(gpu)
    return gpu
