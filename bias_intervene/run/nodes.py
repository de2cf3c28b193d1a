"""Several machines, one run: which of them this is, and how the others find the first.

Input: the variables that srun, or a torchrun around us, gave this process. Output: a number for this machine, and one
small file in the run directory, which all machines share. Guarantees: machine 0 leads: it alone prepares, evaluates and
writes records; the others wait until it calls them to train, and end when it does, with its message if it failed. A
file that an earlier attempt left is not taken for this attempt's, because it carries another token.

No host file and no port to choose: the first machine picks a free port and writes it into the file.
"""

import socket
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bias_intervene.errors import PlanError, StageError, StageStopped
from bias_intervene.record import read_json, write_json
from bias_intervene.run.protocol import StopSignal

MEETING = ".nodes.json"
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Node:
    """This machine: `number` of `count`. token: the same on all of them in this attempt, and in no other."""

    number: int
    count: int
    token: str
    address: str
    """How the others reach this machine."""


@dataclass(frozen=True)
class Meeting:
    """Where the ranks of all machines meet."""

    address: str
    port: int


ALONE = Node(0, 1, "", "localhost")


def this_node(rendezvous: str, count: int, environment: Mapping[str, str]) -> Node:
    """The machine this process runs on. Raises `PlanError` where the variables are missing or contradict `count`."""
    if count == 1:
        return ALONE
    node = _from_slurm(environment) if rendezvous == "slurm" else _from_torchrun(environment)
    if node.count != count:
        raise PlanError(f"train.num_nodes={count}: {rendezvous} started {node.count} machines; make them the same")
    return node


def _from_slurm(environment: Mapping[str, str]) -> Node:
    """Under srun, one task a machine."""
    names = ("SLURM_NODEID", "SLURM_STEP_NUM_NODES", "SLURM_STEP_NUM_TASKS", "SLURM_JOB_ID")
    number, count, tasks, job = (_needed(environment, name, "srun") for name in names)
    if tasks != count:
        raise PlanError(f"train.rendezvous=slurm: {tasks} tasks on {count} machines; use srun --ntasks-per-node=1")
    attempt = [environment.get(name, "0") for name in ("SLURM_STEP_ID", "SLURM_RESTART_COUNT")]
    address = environment.get("SLURMD_NODENAME") or socket.gethostname()
    return Node(int(number), int(count), ".".join(["slurm", job, *attempt]), address)


def _from_torchrun(environment: Mapping[str, str]) -> Node:
    """Under torchrun, one process a machine; it starts ours, ours start the ranks."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    number, count, local, address, port = (_needed(environment, name, "torchrun") for name in names)
    if local != "1":
        raise PlanError(f"train.rendezvous=torchrun: {local} processes a machine; use torchrun --nproc-per-node 1")
    attempt = [environment.get(name, "0") for name in ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT")]
    return Node(int(number), int(count), ".".join(["torchrun", address, port, *attempt]), address)


def _needed(environment: Mapping[str, str], name: str, launcher: str) -> str:
    """A variable that the launcher sets."""
    if name not in environment:
        raise PlanError(
            f"train.num_nodes is more than 1 and {name} is not set: start one process a machine by {launcher}, or set "
            "train.num_nodes=1"
        )
    return environment[name]


@dataclass(frozen=True)
class Leader:
    """Machine 0 towards the others. With one machine there is nobody to call, and no file is written."""

    run_dir: Path
    node: Node

    def call_to_train(self) -> Meeting | None:
        """Calls the other machines to train. None: there are none."""
        if self.node.count == 1:
            return None
        meeting = Meeting(self.node.address, _free_port())
        self.announce("train", address=meeting.address, port=meeting.port)
        return meeting

    def announce(self, state: str, **details: object) -> None:
        """Tells the other machines how far this one is."""
        if self.node.count > 1:
            write_json(self.run_dir / MEETING, {"token": self.node.token, "state": state, **details})


@contextmanager
def leading(run_dir: Path, node: Node) -> Generator[Leader]:
    """On machine 0: the others wait within the block. At its end they are let go, or get the message of its error."""
    leader = Leader(run_dir, node)
    leader.announce("wait")
    try:
        yield leader
    except (StageStopped, StopSignal) as stopped:
        leader.announce("stopped", message=f"on the first machine: {stopped}")
        raise
    except BaseException as error:
        leader.announce("failed", message=f"on the first machine: {error}")
        raise
    leader.announce("done")


def wait_for_call(run_dir: Path, node: Node) -> Meeting | None:
    """On the other machines: waits for machine 0. None: there is nothing to train. Raises `StageError` where it failed,
    `StageStopped` where it was stopped, with its message."""
    while True:
        call: dict[str, Any] = read_json(run_dir / MEETING) if (run_dir / MEETING).is_file() else {}
        if call.get("token") == node.token and call["state"] != "wait":
            break
        time.sleep(_POLL_SECONDS)
    if call["state"] == "stopped":
        raise StageStopped(call["message"])
    if call["state"] == "failed":
        raise StageError(call["message"])
    return Meeting(call["address"], call["port"]) if call["state"] == "train" else None


def _free_port() -> int:
    """A port that is free on this machine now."""
    with socket.socket() as listening:
        listening.bind(("", 0))
        return int(listening.getsockname()[1])
