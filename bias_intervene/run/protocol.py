"""What the controller and its workers agree on: signals, exit statuses, the file in which a stage reports its outcome.

Input: nothing. Output: constants, a path, a call to the kernel. Guarantees: it imports nothing that takes time, so that
workers can use it before anything else.
"""

import ctypes
import signal
import sys
from collections.abc import Callable
from pathlib import Path

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
"""Each makes all ranks save together and end; the run can be continued."""
STOPPED = 75
"""Exit status of a run that was stopped and can be continued (EX_TEMPFAIL)."""
WAITS = "--wait"
"""Last word of the command line of a stage that was started before its turn: it imports what it uses, then reads its
standard input."""
TURN = b"go\n"
"""The line that tells it to begin. Where the input ends without this line, the process ends too."""
_PR_SET_PDEATHSIG = 1


def outcome_path(run_dir: Path, stage: str, node: int = 0) -> Path:
    """The file in which the workers of a stage on one machine report how it ended."""
    return run_dir / f".{stage}{f'-{node}' if node else ''}.outcome.json"


def end_with_parent(number: signal.Signals) -> Callable[[], None]:
    """A function by which a process gets the signal `number` from the kernel when its parent dies. Linux only."""

    def request() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number))

    return request
