"""The worker processes of one stage: started, signalled and ended together.

Input: a stage and a run directory. Output: nothing but what the workers wrote. Guarantees: the workers of a stage form
a session of their own and end with the controller, also when it is killed; a signal to the controller reaches all ranks
at once, so that they save together; a second SIGTERM or SIGINT kills them. A stage that ends without a word after such
a signal, because it was still starting, was stopped and has not failed. How a stage ended is read from its outcome
file, because torchrun knows only the statuses 0 and 1.

Several ranks are started by torch's own launcher (`stages.torch_launcher`, which keeps it quiet), which gives each run
a port of its own; on several machines by one such launcher each, which meet where `nodes` says. A single rank has
nobody to meet, and a stage without ranks has no process group: both are plain processes.

A plain process can be started before its turn (`started_early`), because the imports of torch, transformers and
DeepSpeed take seconds on one core: it does them beside the stage before it and then waits for a line on its standard
input. Until then it has read and written nothing, so it is killed where its turn does not come.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from types import FrameType

from bias_intervene.errors import StageError, StageStopped
from bias_intervene.run import lock
from bias_intervene.run.nodes import ALONE, Meeting, Node
from bias_intervene.run.protocol import (
    STOP_SIGNALS,
    STOPPED,
    TURN,
    WAITS,
    StopSignal,
    end_with_parent,
    outcome_path,
)

RUNS_AT_ONCE = "BIAS_INTERVENE_RUNS_AT_ONCE"
"""Environment variable: how many runs this machine works on side by side. conf/config.yaml sets it from the number of
jobs that Hydra's launcher keeps going; negative counts from the number of cores, as in joblib."""
_STATUSES_OF_STOPPED = {STOPPED, *(-number for number in STOP_SIGNALS)}
"""Exit statuses of a process that a stop signal ended before it could write its outcome."""
_INSISTENT = (signal.SIGTERM, signal.SIGINT)
_LAUNCHER_VARIABLES = (
    "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "ROLE_RANK", "ROLE_WORLD_SIZE",
    "MASTER_ADDR", "MASTER_PORT",
)  # fmt: skip
"""Left by a launcher around us (torchrun, SLURM's srun), these would make our ranks join its group."""
_SINGLE_RANK = {
    "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1", "GROUP_RANK": "0",
    "MASTER_ADDR": "localhost", "MASTER_PORT": "0",
}  # fmt: skip
"""What torch's launcher would set for a group of one rank. Port 0: whichever is free when the rank opens it."""
_SPIN_COUNT = 1000
"""Turns of the loop in which an OpenMP thread of libgomp (which torch brings) waits for work before it sleeps.

libgomp's default is hundreds of thousands: beside another busy process the waiting threads take the cores from the
working ones, and a step takes ten times as long. 1000 is libgomp's own count where it knows of more threads than cores.
"""
_WAITING_VARIABLES = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}

_KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}
"""glibc keeps up to this many bytes of freed memory for the process, and takes tensors of up to this size from them.

By its own rule it gives the memory of a small step back to the system after the step, and the system clears every page
again for the next one.
"""


def run_stage(
    stage: str,
    run_dir: Path,
    *,
    num_ranks: int | None,
    num_threads: int,
    cpu_only: bool,
    node: Node = ALONE,
    meeting: Meeting | None = None,
    early: "subprocess.Popen[bytes] | None" = None,
) -> None:
    """Runs one stage to its end. Raises `StageError` or `StageStopped` with the message that the worker wrote.

    num_ranks: on this machine; None for a process without a process group. num_threads: CPU threads of each process.
    meeting: where the ranks of several machines meet. early: the stage's process, if it waits for its turn already.
    """
    outcome_file = outcome_path(run_dir, stage, node.number)
    outcome_file.unlink(missing_ok=True)
    has_launcher = _needs_launcher(num_ranks, meeting)
    forwarding = _Forwarding(to_children=has_launcher)
    with forwarding:
        process = early or _start(
            _command(stage, run_dir, num_ranks=num_ranks, node=node, meeting=meeting),
            _environment(
                num_threads=num_threads, cpu_only=cpu_only, is_single_rank=num_ranks is not None and not has_launcher
            ),
            stdin=subprocess.DEVNULL,
        )
        forwarding.pass_to(process)
        try:
            if process.stdin is not None:
                with contextlib.suppress(BrokenPipeError), process.stdin:  # Where it is broken, its status is reported.
                    process.stdin.write(TURN)
            status = process.wait()
        except BaseException:
            _kill_session(process)
            raise
    outcome: dict[str, str] = json.loads(outcome_file.read_text(encoding="utf8")) if outcome_file.is_file() else {}
    outcome_file.unlink(missing_ok=True)
    match outcome.get("status"):
        case "done" if not forwarding.received:
            return
        case "done":
            raise StageStopped(_stopped_message(f"after stage {stage}"), signals=forwarding.received)
        case "stopped":
            raise StageStopped(outcome["message"], signals=forwarding.received)
        case "failed":
            raise StageError(outcome["message"])
        case _ if forwarding.received or status in _STATUSES_OF_STOPPED:
            raise StageStopped(_stopped_message(f"in stage {stage}"), signals=forwarding.received)
        case _:
            why = "killed, or out of memory?" if status < 0 else "what it printed says why"
            raise StageError(
                f"stage {stage}: its process ended with status {status} without a word ({why}); the same command in "
                f"{run_dir} continues from the last checkpoint"
            )


def _stopped_message(where: str) -> str:
    """Of a run that a signal stopped where nothing was to be saved."""
    return f"stopped by a signal {where}; the same command in the same directory continues"


@contextlib.contextmanager
def stoppable() -> Generator[None]:
    """Within the block a stop signal raises `StageStopped`, wherever the run is; a stage that runs gets it instead.

    Signals that follow the first are only noted, for whoever handled them before this block.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if len(received) == 1:
            raise StopSignal(number)

    previous_handlers = {number: signal.signal(number, stop) for number in STOP_SIGNALS}
    try:
        yield
    except StopSignal:
        raise StageStopped(_stopped_message("between two stages"), signals=received) from None
    except StageStopped as stopped:
        stopped.signals = (*stopped.signals, *received)
        raise
    finally:
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def started_early(
    stage: str, run_dir: Path, *, num_ranks: int | None, num_threads: int, cpu_only: bool
) -> "Generator[subprocess.Popen[bytes] | None]":
    """Within the block a process of the stage waits for its turn; None for a stage of several ranks."""
    if _needs_launcher(num_ranks, None):
        yield None
        return
    process = _start(
        [*_command(stage, run_dir, num_ranks=num_ranks), WAITS],
        _environment(num_threads=num_threads, cpu_only=cpu_only, is_single_rank=num_ranks is not None),
        stdin=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _start(command: list[str], environment: dict[str, str], *, stdin: int) -> "subprocess.Popen[bytes]":
    """A session of its own that ends with this process, and keeps its locks until it has."""
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=stdin,
        start_new_session=True,
        pass_fds=lock.inherited(),
        preexec_fn=end_with_parent(signal.SIGTERM, parent=os.getpid()),
    )
    lock.note_worker(process.pid)
    return process


def threads_per_process(num_threads: int | None, *, num_ranks: int, beside_other_runs: bool = True) -> int:
    """CPU threads of one process: `num_threads`, or where it is None an equal share of the cores.

    The cores are those this process may use (under SLURM or in a container fewer than the machine has). They are shared
    by the ranks of the run and, with `beside_other_runs`, by the runs that work side by side (`RUNS_AT_ONCE`).
    """
    if num_threads is not None:
        return num_threads
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    num_runs = int(os.environ.get(RUNS_AT_ONCE) or 1) if beside_other_runs else 1
    if num_runs < 0:
        num_runs += cores + 1
    return max(1, cores // (num_ranks * max(1, num_runs)))


def _needs_launcher(num_ranks: int | None, meeting: Meeting | None) -> bool:
    """Whether there are ranks to be brought together; starting torch's launcher takes seconds."""
    return num_ranks is not None and (num_ranks > 1 or meeting is not None)


def _command(
    stage: str, run_dir: Path, *, num_ranks: int | None, node: Node = ALONE, meeting: Meeting | None = None
) -> list[str]:
    """The command line of a stage."""
    worker = ["bias_intervene.stages", stage, str(run_dir)]
    if not _needs_launcher(num_ranks, meeting):
        return [sys.executable, "-m", *worker]
    where = ["--standalone"]
    if meeting is not None:
        where = ["--nnodes", str(node.count), "--node-rank", str(node.number)]
        where += ["--master-addr", meeting.address, "--master-port", str(meeting.port)]
    launcher = ["bias_intervene.stages.torch_launcher", *where, "--nproc-per-node", str(num_ranks), "--module"]
    return [sys.executable, "-m", *launcher, *worker]


def _environment(*, num_threads: int, cpu_only: bool, is_single_rank: bool = False) -> dict[str, str]:
    """The environment of a worker: this process's own, without what another launcher left in it."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in _LAUNCHER_VARIABLES and not name.startswith("TORCHELASTIC")
    }
    ours = {"OMP_NUM_THREADS": str(num_threads), "TOKENIZERS_PARALLELISM": "true", "TORCH_CPP_LOG_LEVEL": "ERROR"}
    if not _WAITING_VARIABLES & inherited.keys():  # The user's own setting holds.
        ours["GOMP_SPINCOUNT"] = str(_SPIN_COUNT)
    if cpu_only:
        ours |= {"DS_ACCELERATOR": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    return _KEPT_MEMORY | inherited | ours | (_SINGLE_RANK if is_single_rank else {})


class _Forwarding:
    """While entered, passes stop signals on: the first to every rank, a second SIGTERM or SIGINT kills the session."""

    def __init__(self, *, to_children: bool):
        self.process: subprocess.Popen[bytes] | None = None
        self.to_children = to_children
        self.previous_handlers: dict[int, object] = {}
        self.received: list[int] = []

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self.previous_handlers = {int(number): signal.signal(number, self.forward) for number in STOP_SIGNALS}

    def pass_to(self, process: "subprocess.Popen[bytes]") -> None:
        """From now on signals go to this process; one that came while it was started does at once."""
        self.process = process
        if self.received:
            self._send(self.received[0])

    def forward(self, number: int, _frame: FrameType | None) -> None:
        """One signal. A preemption sends SIGTERM and a notice (SIGUSR2), in any order: saving goes on undisturbed."""
        is_first, has_insisted = not self.received, any(earlier in _INSISTENT for earlier in self.received)
        self.received.append(number)
        if self.process is None:
            return
        if is_first:
            self._send(number)
        elif has_insisted and number in _INSISTENT:
            _kill_session(self.process)

    def _send(self, number: int) -> None:
        """To every rank."""
        assert self.process is not None
        # torchrun would kill its ranks 30 seconds after a signal; the ranks get it directly, and torchrun waits for
        # them to end.
        ranks = _children(self.process.pid) if self.to_children else []
        for pid in ranks or [self.process.pid]:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def __exit__(self, *_: object) -> None:
        for number, handler in self.previous_handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]


def _children(pid: int) -> list[int]:
    """Process ids of the direct children, from /proc."""
    pids: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            pids += [int(word) for word in path.read_text().split()]
        except OSError:
            continue
    return pids


def _kill_session(process: "subprocess.Popen[bytes]") -> None:
    """Kills all processes of a stage."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
