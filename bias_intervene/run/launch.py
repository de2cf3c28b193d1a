"""Worker processes of one stage: started, signalled and ended together.

Enters: a stage and a run directory. Leaves: nothing but what the workers wrote. Promised: ranks live in a session of
their own and end with their parent, also when it is killed; a signal to the controller reaches all ranks at once, so
that they save together; a second SIGTERM or SIGINT ends them. What became of a stage is told by its outcome file,
because torchrun knows only 0 and 1.

Ranks are started by torch's own launcher (`ranks`, which keeps it quiet), which gives each run a port of its own; on
several machines by one such launcher each, which meet where `nodes` says. A stage without ranks is a plain process.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType

from bias_intervene.errors import StageError, StageStopped
from bias_intervene.run.nodes import ALONE, Meeting, Node
from bias_intervene.run.protocol import STOP_SIGNALS, end_with_parent, outcome_path

INSISTENT = (signal.SIGTERM, signal.SIGINT)
# Left by a launcher around us (torchrun, SLURM's srun), these would make our ranks join its group.
FOREIGN = (
    "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "ROLE_RANK", "ROLE_WORLD_SIZE",
    "MASTER_ADDR", "MASTER_PORT",
)  # fmt: skip


def run_stage(
    stage: str,
    run_dir: Path,
    *,
    num_ranks: int | None,
    num_threads: int | None,
    cpu_only: bool,
    node: Node = ALONE,
    meeting: Meeting | None = None,
) -> None:
    """Runs one stage to its end. Raises `StageError` or `StageStopped`, with the worker's own words.

    num_ranks: on this machine; None for a plain process without a process group. num_threads: CPU threads a rank;
    None: cores / ranks. meeting: where the ranks of several machines meet.
    """
    outcome = outcome_path(run_dir, stage, node.number)
    outcome.unlink(missing_ok=True)
    threads = num_threads or max(1, (os.cpu_count() or 1) // (num_ranks or 1))
    process = subprocess.Popen(
        command(stage, run_dir, num_ranks=num_ranks, node=node, meeting=meeting),
        env=environment(threads=threads, cpu_only=cpu_only),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=end_with_parent(signal.SIGTERM),
    )
    forwarding = Forwarding(process, ranks_below=num_ranks is not None)
    with forwarding:
        try:
            status = process.wait()
        except BaseException:
            end_group(process)
            raise
    said: dict[str, str] = json.loads(outcome.read_text(encoding="utf8")) if outcome.is_file() else {}
    outcome.unlink(missing_ok=True)
    match said.get("status"):
        case "done":
            return
        case "stopped":
            raise StageStopped(said["message"], signals=forwarding.received)
        case "failed":
            raise StageError(said["message"])
        case _:
            raise StageError(
                f"stage {stage}: its process ended with status {status} without a word (killed, or out of memory?); "
                f"the same command in {run_dir} continues from the last checkpoint"
            )


def command(
    stage: str, run_dir: Path, *, num_ranks: int | None, node: Node = ALONE, meeting: Meeting | None = None
) -> list[str]:
    """The command line of a stage."""
    worker = ["bias_intervene.stages", stage, str(run_dir)]
    if num_ranks is None:
        return [sys.executable, "-m", *worker]
    where = ["--standalone"]
    if meeting is not None:
        where = ["--nnodes", str(node.count), "--node-rank", str(node.number)]
        where += ["--master-addr", meeting.address, "--master-port", str(meeting.port)]
    launcher = ["bias_intervene.stages.torch_launcher", *where, "--nproc-per-node", str(num_ranks), "--module"]
    return [sys.executable, "-m", *launcher, *worker]


def environment(*, threads: int, cpu_only: bool) -> dict[str, str]:
    """Ours, without what another launcher left in it."""
    kept = {
        name: value for name, value in os.environ.items() if name not in FOREIGN and not name.startswith("TORCHELASTIC")
    }
    ours = {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "true", "TORCH_CPP_LOG_LEVEL": "ERROR"}
    if cpu_only:
        ours |= {"DS_ACCELERATOR": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    return kept | ours


class Forwarding:
    """While entered, passes stop signals on: the first to every rank, a second SIGTERM or SIGINT ends the group."""

    def __init__(self, process: "subprocess.Popen[bytes]", *, ranks_below: bool):
        self.process, self.ranks_below = process, ranks_below
        self.previous: dict[int, object] = {}
        self.received: list[int] = []

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self.previous = {int(number): signal.signal(number, self.forward) for number in STOP_SIGNALS}

    def forward(self, number: int, _frame: FrameType | None) -> None:
        """One signal. A notice (SIGUSR2) beside a SIGTERM leaves the saving alone: a preemption sends both."""
        first, insisted = not self.received, any(one in INSISTENT for one in self.received)
        self.received.append(number)
        if not first:
            if insisted and number in INSISTENT:
                end_group(self.process)
            return
        # torchrun would kill its ranks 30 seconds after a signal; they are told themselves and it waits for them.
        ranks = children(self.process.pid) if self.ranks_below else []
        for pid in ranks or [self.process.pid]:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def __exit__(self, *_: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]


def children(pid: int) -> list[int]:
    """Process ids of the direct children, from /proc."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(word) for word in path.read_text().split()]
        except OSError:
            continue
    return found


def end_group(process: "subprocess.Popen[bytes]") -> None:
    """Kills the whole session of a stage."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
