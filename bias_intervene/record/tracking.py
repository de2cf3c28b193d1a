"""Copies the numbers of a run to an experiment tracker, TensorBoard or W&B, if one is configured.

Evaluation runs after training and logs earlier steps, which W&B's own step counter would drop; the step is therefore
logged as a metric of its own.

Input: numbers by name and step, from the training process and, later, from the evaluation process.
Output: one run in the tracker, however many processes and restarts it took: its id is stored in the run directory.
Guarantees: a tracker receives copies only; the results are results.json and metrics.jsonl. No environment variable
reaches a tracker. A missing package is reported before any work.
"""

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from bias_intervene.errors import BiasInterveneError
from bias_intervene.record.files import read_json, write_json
from bias_intervene.settings import TrackingSettings


class Tracker(Protocol):
    """Receives numbers."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Logs numbers at a step, by names with slashes."""
        ...

    def close(self) -> None:
        """Writes out everything that was logged."""
        ...


class NoTracker:
    """No tracker: the files of the run directory only."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


class _TensorBoard:
    """Writes scalars under tensorboard/."""

    def __init__(self, run_dir: Path):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise _missing_package("tensorboard") from None
        self._writer = SummaryWriter(str(run_dir / "tensorboard"))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Writes one scalar per name."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Closes the event file."""
        self._writer.close()


class _WandB:
    """A W&B run; in offline mode a folder under wandb/ to sync later."""

    def __init__(self, run_dir: Path, tracking: TrackingSettings):
        try:
            import wandb
        except ImportError:
            raise _missing_package("wandb") from None
        id_path = run_dir / "wandb" / "run.json"
        if not id_path.is_file():
            write_json(id_path, {"id": uuid.uuid4().hex[:12]})
        self._run = wandb.init(
            project=tracking.project, mode=tracking.mode, dir=str(run_dir), name=run_dir.name,
            id=read_json(id_path)["id"], resume="allow",
            # Its description of the machine holds every SLURM variable, tokens included; ours is environment.json.
            settings=wandb.Settings(x_disable_meta=True, disable_git=True, save_code=False),
        )  # fmt: skip
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Logs all values in one call."""
        self._run.log({"step": step, **values})

    def close(self) -> None:
        """Ends the process's part of the run; a later process continues it under the same id."""
        self._run.finish()


def _missing_package(package: str) -> BiasInterveneError:
    """The error for a tracker whose package is not installed."""
    return BiasInterveneError(
        f'tracking={package}: the package is not installed; run `pip install "bias_intervene[{package}]"`'
    )


def open_tracker(run_dir: Path, tracking: TrackingSettings) -> Tracker:
    """The tracker that the settings name."""
    match tracking.name:
        case "none":
            return NoTracker()
        case "tensorboard":
            return _TensorBoard(run_dir)
        case "wandb":
            return _WandB(run_dir, tracking)


def log_results(tracker: Tracker, metrics: Sequence[Mapping[str, Any]]) -> None:
    """Logs the rows of results.json as eval/BENCHMARK/PROTOCOL/SUBSET/METRIC."""
    by_step: dict[int, dict[str, float]] = {}
    for row in metrics:
        name = "/".join(["eval", *(row[part] for part in ("benchmark", "protocol", "subset", "metric"))])
        if row["value"] is not None:  # A value that is not finite, of which results.json keeps null.
            by_step.setdefault(row["step"], {})[name] = row["value"]
    for step, values in sorted(by_step.items()):
        tracker.log(step, values)


def log_audit(tracker: Tracker, audit: Mapping[str, Any], *, step: int) -> None:
    """Logs the audit of the intervention as audit/..., at the last step."""
    totals = {
        f"audit/{name}": audit[name]
        for name in ("num_swaps", "rows_changed", "rows", "dose")
        if audit.get(name) is not None
    }
    forms = {f"audit/swaps/{form}": count for form, count in audit["swaps"].items()}
    skipped = {f"audit/skipped/{reason}": count for reason, count in audit["skipped"].items()}
    tracker.log(step, totals | forms | skipped)
