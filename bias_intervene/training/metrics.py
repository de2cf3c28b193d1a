"""Training curves: training/metrics.jsonl always, TensorBoard or W&B if asked.

Enters: one dictionary a step, on rank 0. Promised: after a run was stopped and continued, metrics.jsonl holds every
step once; lines of steps that were lost with the process are dropped when it starts again.
"""

import json
from pathlib import Path
from typing import Any

from bias_intervene.errors import BiasInterveneError
from bias_intervene.record import write_bytes
from bias_intervene.settings import TrackingSettings


class Metrics:
    """Writes one line a step and passes it to the tracker."""

    def __init__(self, folder: Path, *, tracking: TrackingSettings, first_step: int, run_name: str):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "metrics.jsonl"
        self.keep_before(first_step)
        self._file = self.path.open("a", encoding="utf8")
        self._tracker = open_tracker(folder, tracking, run_name)

    def keep_before(self, step: int) -> None:
        """Drops the lines of `step` and later, and a line cut by a kill."""
        if not self.path.is_file():
            return
        kept: list[str] = []
        for line in self.path.read_text(encoding="utf8").splitlines():
            try:
                if json.loads(line)["step"] >= step:
                    break
            except ValueError:
                break
            kept.append(line + "\n")
        write_bytes(self.path, "".join(kept).encode())

    def log(self, values: dict[str, Any]) -> None:
        """One step. values: `step` and numbers."""
        self._file.write(json.dumps(values) + "\n")
        self._file.flush()
        self._tracker.log(values)

    def close(self) -> None:
        """Ends the file and the tracker."""
        self._file.close()
        self._tracker.close()


class NoTracker:
    """metrics.jsonl is enough."""

    def log(self, values: dict[str, Any]) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


class TensorBoard:
    """Scalars under training/tensorboard/."""

    def __init__(self, folder: Path):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise missing("tensorboard") from None
        self._writer = SummaryWriter(str(folder / "tensorboard"))

    def log(self, values: dict[str, Any]) -> None:
        """Each number under train/."""
        for name, value in values.items():
            if name != "step":
                self._writer.add_scalar(f"train/{name}", value, values["step"])

    def close(self) -> None:
        """Ends the event file."""
        self._writer.close()


class WandB:
    """A W&B run; offline it is a folder under training/wandb/ to sync later."""

    def __init__(self, folder: Path, tracking: TrackingSettings, run_name: str):
        try:
            import wandb
        except ImportError:
            raise missing("wandb") from None
        self._run = wandb.init(
            project=tracking.project, mode=tracking.mode, dir=str(folder), name=run_name, resume="allow"
        )

    def log(self, values: dict[str, Any]) -> None:
        """Each number under train/."""
        self._run.log({f"train/{k}": v for k, v in values.items() if k != "step"}, step=values["step"])

    def close(self) -> None:
        """Ends the run."""
        self._run.finish()


def missing(package: str) -> BiasInterveneError:
    """The tracker's package is not installed."""
    return BiasInterveneError(
        f'tracking={package}: the package is not installed; run `pip install "bias_intervene[{package}]"`'
    )


def open_tracker(folder: Path, tracking: TrackingSettings, run_name: str) -> NoTracker | TensorBoard | WandB:
    """The tracker asked for."""
    match tracking.name:
        case "none":
            return NoTracker()
        case "tensorboard":
            return TensorBoard(folder)
        case "wandb":
            return WandB(folder, tracking, run_name)
