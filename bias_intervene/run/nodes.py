"""A run on several machines: the number of this machine, and how the others find the first.

There is no host file and no port to configure: the first machine picks a free port and writes it into a file.

Input: the environment variables set by srun, or by a torchrun that started this process.
Output: a number for this machine, and one small file in the run directory, which all machines share.
Guarantees: machine 0 leads. It alone prepares, evaluates and writes records; the others wait until it starts training,
and end when it does, with its error message if it failed. A file left by an earlier attempt is ignored, because it
carries another token.
"""

import socket
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bias_intervene.errors import PlanError, StageError
from bias_intervene.record import read_json, write_json

MEETING = ".nodes.json"
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Node:
    """This machine: `number` of `count`. token: identifies this attempt, the same on all machines."""

    number: int
    count: int
    token: str
    address: str
    """Host name or IP address under which the others reach this machine."""


@dataclass(frozen=True)
class Meeting:
    """Address and port of the rendezvous of all ranks."""

    address: str
    port: int


ALONE = Node(0, 1, "", "localhost")


def this_node(rendezvous: str, count: int, environment: Mapping[str, str]) -> Node:
    """The machine this process runs on. Raises `PlanError` for variables that are missing or disagree with `count`."""
    if count == 1:
        return ALONE
    node = _from_slurm(environment) if rendezvous == "slurm" else _from_torchrun(environment)
    if node.count != count:
        raise PlanError(f"train.num_nodes={count}: {rendezvous} started {node.count} machines; make them the same")
    return node


def _from_slurm(environment: Mapping[str, str]) -> Node:
    """Under srun, with one task per machine."""
    names = ("SLURM_NODEID", "SLURM_STEP_NUM_NODES", "SLURM_STEP_NUM_TASKS", "SLURM_JOB_ID")
    number, count, tasks, job = (_required_variable(environment, name, "srun") for name in names)
    if tasks != count:
        raise PlanError(f"train.rendezvous=slurm: {tasks} tasks on {count} machines; use srun --ntasks-per-node=1")
    attempt = [environment.get(name, "0") for name in ("SLURM_STEP_ID", "SLURM_RESTART_COUNT")]
    address = environment.get("SLURMD_NODENAME") or socket.gethostname()
    return Node(int(number), int(count), ".".join(["slurm", job, *attempt]), address)


def _from_torchrun(environment: Mapping[str, str]) -> Node:
    """Under torchrun, with one process per machine; that process is ours and starts the ranks."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    number, count, local, address, port = (_required_variable(environment, name, "torchrun") for name in names)
    if local != "1":
        raise PlanError(f"train.rendezvous=torchrun: {local} processes a machine; use torchrun --nproc-per-node 1")
    attempt = [environment.get(name, "0") for name in ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT")]
    return Node(int(number), int(count), ".".join(["torchrun", address, port, *attempt]), address)


def _required_variable(environment: Mapping[str, str], name: str, launcher: str) -> str:
    """The value of a variable that the launcher sets. Raises `PlanError` if it is missing."""
    if name not in environment:
        raise PlanError(
            f"train.num_nodes is more than 1 and {name} is not set: start one process a machine by {launcher}, or set "
            "train.num_nodes=1"
        )
    return environment[name]


@contextmanager
def leading(run_dir: Path, node: Node) -> Generator[Callable[[], Meeting | None]]:
    """On machine 0: gives what calls the others to train. They are let go at the end, or told what went wrong."""
    if node.count == 1:
        yield lambda: None
        return

    def say(state: str, **more: object) -> None:
        write_json(run_dir / MEETING, {"token": node.token, "state": state, **more})

    def call() -> Meeting:
        meeting = Meeting(node.address, _free_port())
        say("train", address=meeting.address, port=meeting.port)
        return meeting

    say("wait")
    try:
        yield call
    except BaseException as error:
        say("failed", message=f"on the first machine: {error}")
        raise
    say("done")


def called(run_dir: Path, node: Node) -> Meeting | None:
    """On the other machines: waits for machine 0. None: there is nothing to train. Raises `StageError` in its words."""
    while True:
        said: dict[str, Any] = read_json(run_dir / MEETING) if (run_dir / MEETING).is_file() else {}
        if said.get("token") == node.token and said["state"] != "wait":
            break
        time.sleep(_POLL_SECONDS)
    if said["state"] == "failed":
        raise StageError(said["message"])
    return Meeting(said["address"], said["port"]) if said["state"] == "train" else None


def _free_port() -> int:
    """A port that is free on this machine now."""
    with socket.socket() as listening:
        listening.bind(("", 0))
        return int(listening.getsockname()[1])
