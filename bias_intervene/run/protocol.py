"""What the controller and its workers agree on: signals, exit statuses, the file in which a stage reports its outcome.

Input: nothing. Output: constants, a path, handlers of signals, a call to the kernel. Guarantees: it imports nothing
that takes time, so that workers can use it before anything else.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
"""Each makes all ranks save together and end; the run can be continued."""
STOPPED = 75
"""Exit status of a run that was stopped and can be continued (EX_TEMPFAIL)."""
WAITS = "--wait"
"""Last word of the command line of a stage that was started before its turn: it imports what it uses, then reads its
standard input."""
LAUNCHER = "BIAS_INTERVENE_LAUNCHER"
"""Environment variable in which torch's launcher tells its ranks its process id."""
TURN = b"go\n"
"""The line that tells it to begin. Where the input ends without this line, the process ends too."""
_PR_SET_PDEATHSIG = 1


class StopSignal(BaseException):
    """A stop signal arrived where nothing has to be saved first. It is no `Exception`: a library that takes any of them
    for a failure of its own (a download, a driver) does not take this for one."""

    def __init__(self, number: int):
        self.number = number
        super().__init__(f"stopped by {signal.Signals(number).name}")


def raise_at_stop_signals() -> None:
    """From now on the first stop signal raises `StopSignal`; those that follow do not disturb what it ends."""

    def stop(number: int, _frame: FrameType | None) -> None:
        for other in STOP_SIGNALS:
            signal.signal(other, signal.SIG_IGN)
        raise StopSignal(number)

    for number in STOP_SIGNALS:
        signal.signal(number, stop)


def exit_at_stop_signals() -> None:
    """From now on a stop signal ends the process as one that can be started again: it has not begun anything."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(STOPPED)

    for number in STOP_SIGNALS:
        signal.signal(number, stop)


def outcome_path(run_dir: Path, stage: str, node: int = 0) -> Path:
    """The file in which the workers of a stage on one machine report how it ended."""
    return run_dir / f".{stage}{f'-{node}' if node else ''}.outcome.json"


def end_with_parent(number: signal.Signals, *, parent: int | None = None) -> Callable[[], None]:
    """A function by which a process gets the signal `number` from the kernel when its parent dies. Linux only.

    parent: its process id. Where another process is the parent by now, it has died, and the signal is sent at once.
    """

    def request() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number))
            if parent is not None and os.getppid() != parent:
                os.kill(os.getpid(), number)

    return request
