"""What a run tells an experiment tracker: TensorBoard or W&B, if asked.

Enters: numbers by name and step, from the training and, in another process, from the evaluation. Leaves: one run in the
tracker, whatever the number of processes and restarts: its identity is kept in the run directory. Promised: a tracker
gets copies only, results.json and metrics.jsonl are the results; a package that is missing is said before any work;
evaluations of earlier steps are taken although training has gone on, so steps are an axis of ours and not W&B's own.
"""

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from bias_intervene.errors import BiasInterveneError
from bias_intervene.record.record import read_json, write_json
from bias_intervene.settings import TrackingSettings


class Tracker(Protocol):
    """Takes numbers."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers at a step, by names with slashes."""
        ...

    def close(self) -> None:
        """Everything logged is kept."""
        ...


class NoTracker:
    """The files of the run directory are enough."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


class TensorBoard:
    """Scalars under tensorboard/."""

    def __init__(self, run_dir: Path):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise missing("tensorboard") from None
        self._writer = SummaryWriter(str(run_dir / "tensorboard"))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """One scalar a name."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Ends the event file."""
        self._writer.close()


class WandB:
    """A W&B run; offline it is a folder under wandb/ to sync later."""

    def __init__(self, run_dir: Path, tracking: TrackingSettings):
        try:
            import wandb
        except ImportError:
            raise missing("wandb") from None
        kept = run_dir / "wandb" / "run.json"
        if not kept.is_file():
            write_json(kept, {"id": uuid.uuid4().hex[:12]})
        self._run = wandb.init(
            project=tracking.project, mode=tracking.mode, dir=str(run_dir), name=run_dir.name,
            id=read_json(kept)["id"], resume="allow",
        )  # fmt: skip
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """All of them at once."""
        self._run.log({"step": step, **values})

    def close(self) -> None:
        """Ends the run; the same id goes on with it."""
        self._run.finish()


def missing(package: str) -> BiasInterveneError:
    """The tracker's package is not installed."""
    return BiasInterveneError(
        f'tracking={package}: the package is not installed; run `pip install "bias_intervene[{package}]"`'
    )


def open_tracker(run_dir: Path, tracking: TrackingSettings) -> Tracker:
    """The tracker asked for."""
    match tracking.name:
        case "none":
            return NoTracker()
        case "tensorboard":
            return TensorBoard(run_dir)
        case "wandb":
            return WandB(run_dir, tracking)


def log_results(tracker: Tracker, metrics: Sequence[Mapping[str, Any]]) -> None:
    """The rows of results.json, as eval/BENCHMARK/PROTOCOL/SUBSET/METRIC."""
    by_step: dict[int, dict[str, float]] = {}
    for row in metrics:
        name = "/".join(["eval", *(row[part] for part in ("benchmark", "protocol", "subset", "metric"))])
        by_step.setdefault(row["step"], {})[name] = row["value"]
    for step, values in sorted(by_step.items()):
        tracker.log(step, values)


def log_audit(tracker: Tracker, audit: Mapping[str, Any], *, step: int) -> None:
    """What the swap did, as audit/..., at the last step."""
    plain = {
        f"audit/{name}": audit[name]
        for name in ("num_swaps", "rows_changed", "rows", "dose")
        if audit.get(name) is not None
    }
    forms = {f"audit/swaps/{form}": count for form, count in audit["swaps"].items()}
    skipped = {f"audit/skipped/{reason}": count for reason, count in audit["skipped"].items()}
    tracker.log(step, plain | forms | skipped)
