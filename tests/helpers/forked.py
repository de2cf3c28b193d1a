"""A command whose processes are forked from one that has imported everything, for tests of what a run does.

A run is four processes, and most of what a tiny one costs are their imports: torch, transformers, DeepSpeed and Hydra,
fifteen seconds of a core. Here they are done once, by Python's fork server (`multiprocessing`), which imports
`helpers.preloaded` and does nothing else. The command is a fork of it, and a stage of a single rank is a fork of the
command, with the session, the environment, the arguments and the parent that it has otherwise.

What is not tested by this is the start of an interpreter: that each process imports what it needs, and reads the
environment while it does. So the sweep of `runs/conftest.py`, the known answers, the kills, the launchers, and whatever
runs on several ranks start new processes (`tests.conftest.run`); a test there holds the two ways to the same bits.
"""

import logging
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

from tests.conftest import exit_status_is

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tests.helpers.preloaded"])


def run_forked(*words: str, module: str = "bias_intervene", cwd: Path, cache: Path, check: int | None = 0, **more: str):
    """As `tests.conftest.run`: `python -m module words`, its exit status asserted."""
    environment = {**os.environ, "BIAS_INTERVENE_CACHE": str(cache), "HF_HUB_OFFLINE": "1", **more}
    with tempfile.TemporaryDirectory() as place:
        files = [Path(place) / name for name in ("stdout", "stderr")]
        process = _SERVER.Process(target=_become, args=(module, words, cwd, environment, files))
        process.start()
        try:
            process.join()
        except BaseException:  # A test's time is up.
            process.kill()
            raise
        stdout, stderr = (file.read_text() for file in files)
    assert process.exitcode is not None
    return exit_status_is(check, subprocess.CompletedProcess(words, process.exitcode, stdout, stderr))


def _become(module: str, words: tuple[str, ...], cwd: Path, environment: dict[str, str], files: list[Path]) -> None:
    """`python -m module words`, in a process that the fork server has forked."""
    from bias_intervene.run import launch

    multiprocessing.set_start_method(None, force=True)
    for number, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND), number)
    sys.stdout, sys.stderr = open(1, "w"), open(2, "w")  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = [module, *words]
    launch.subprocess = SimpleNamespace(Popen=_start, DEVNULL=subprocess.DEVNULL, PIPE=subprocess.PIPE)  # type: ignore[assignment]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _start(command: list[str], **options):
    """What `subprocess.Popen` would start: a stage of one rank as a fork, torch's launcher as a new process."""
    if command[:3] == [sys.executable, "-m", "bias_intervene.stages"]:
        return _ForkedStage(command[3:], **options)
    return subprocess.Popen(command, **options)


class _ForkedStage:
    """A stage in a fork of this process, with what `run.launch` asks of a `subprocess.Popen`."""

    def __init__(
        self,
        words: list[str],
        *,
        env: dict[str, str],
        stdin: int,
        start_new_session: bool,
        pass_fds: tuple[int, ...],  # A fork has all of them.
        preexec_fn: Callable[[], None],
    ):
        self.stdin: BinaryIO | None = None
        self.returncode: int | None = None
        reading, writing = os.pipe() if stdin == subprocess.PIPE else (os.open(os.devnull, os.O_RDONLY), -1)
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.dup2(reading, 0)
                if writing >= 0:
                    os.close(writing)
                if start_new_session:
                    os.setsid()
                preexec_fn()
                status = _stage(words, env)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        os.close(reading)
        if writing >= 0:
            self.stdin = os.fdopen(writing, "wb")

    def wait(self) -> int:
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode

    def kill(self) -> None:
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)


def _stage(words: list[str], environment: dict[str, str]) -> int:
    """`python -m bias_intervene.stages words`, without what the command has set up for itself."""
    from bias_intervene.stages.__main__ import main

    logging.getLogger().handlers.clear()
    sys.stdin = open(0)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    return main(words)
