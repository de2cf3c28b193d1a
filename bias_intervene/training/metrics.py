"""Training curves: training/metrics.jsonl, and a tracker's copy.

Input: one dictionary a step, on rank 0. Output: a line of JSON each. Guarantees: after a run was stopped and continued,
metrics.jsonl holds every step once; lines of steps that were lost with a process are dropped at the next start.
"""

import json
from pathlib import Path
from typing import Any

from bias_intervene.record import json_text, write_bytes
from bias_intervene.record.tracking import Tracker


class Metrics:
    """Writes one line a step and passes it to the tracker."""

    def __init__(self, folder: Path, *, tracker: Tracker, first_step: int):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "metrics.jsonl"
        self._drop_from(first_step)
        self._file = self.path.open("a", encoding="utf8")
        self._tracker = tracker

    def _drop_from(self, step: int) -> None:
        """Drops the lines of `step` and later, and a line cut by a kill."""
        if not self.path.is_file():
            return
        earlier: list[str] = []
        for line in self.path.read_text(encoding="utf8").splitlines():
            try:
                if json.loads(line)["step"] >= step:
                    break
            except ValueError:
                break
            earlier.append(line + "\n")
        write_bytes(self.path, "".join(earlier).encode())

    def log(self, values: dict[str, Any]) -> None:
        """One step. values: `step` and numbers."""
        self._file.write(json_text(values, indent=None) + "\n")
        self._file.flush()
        self._tracker.log(values["step"], {f"train/{k}": v for k, v in values.items() if k != "step"})

    def close(self) -> None:
        """Ends the file and the tracker."""
        self._file.close()
        self._tracker.close()
