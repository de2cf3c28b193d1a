"""What the controller and its workers have agreed on: signals, exit statuses, where a stage says how it ended."""

import ctypes
import signal
import sys
from collections.abc import Callable
from pathlib import Path

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
"""Each makes all ranks save together and end; the run can be continued."""
STOPPED = 75
"""Exit status of a run that was stopped and can be continued (EX_TEMPFAIL)."""
PR_SET_PDEATHSIG = 1


def outcome_path(run_dir: Path, stage: str, node: int = 0) -> Path:
    """Where the workers of a stage on one machine say what became of it."""
    return run_dir / f".{stage}{f'-{node}' if node else ''}.outcome.json"


def end_with_parent(number: signal.Signals) -> Callable[[], None]:
    """Asks the kernel to send `number` to this process when its parent dies. Linux only; elsewhere nothing."""

    def ask() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(number))

    return ask
