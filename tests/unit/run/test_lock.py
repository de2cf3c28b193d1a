"""Who works in a run directory; who still does when the controller was killed."""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bias_intervene.errors import RunDirectoryError
from bias_intervene.record import append_line, write_json
from bias_intervene.run import lock

CONTROLLER = """
import sys
from pathlib import Path
from bias_intervene.run import launch, lock
run_dir = Path(sys.argv[1])
launch._command = lambda *_, **__: ["sh", "-c", f"trap : TERM; cd {run_dir}; {sys.argv[2]}"]
with lock.held(run_dir):
    (run_dir / "settings.json").write_text("{}")
    launch.run_stage("train", run_dir, num_ranks=None, num_threads=1, cpu_only=True)
"""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(lock, "_POLL_SECONDS", 0.01)


def left_behind_by_a_killed_controller(run_dir: Path, script: str) -> None:
    """A worker that goes on for a while after SIGTERM, as one that saves does; its controller got kill -9."""
    controller = subprocess.Popen([sys.executable, "-c", CONTROLLER, str(run_dir), f"echo $$ > pid; {script}"])
    deadline = time.monotonic() + 60
    while not (run_dir / "pid").is_file() and time.monotonic() < deadline:
        time.sleep(0.01)
    controller.kill()
    controller.wait()


def test_the_next_controller_waits_for_the_workers_of_a_killed_one(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    saving = "for _ in 1 2 3 4 5 6 7 8 9 10; do sleep 0.05; done; touch saved"
    left_behind_by_a_killed_controller(tmp_path, saving)
    assert lock.is_held(tmp_path)
    with caplog.at_level(logging.INFO), lock.held(tmp_path):
        assert (tmp_path / "saved").is_file()
    assert "in use, left by a killed one, which save and end; waiting" in caplog.text


def test_workers_that_do_not_end_are_ended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lock, "_SAVING_SECONDS", 0.3)
    left_behind_by_a_killed_controller(tmp_path, "while :; do sleep 0.05; done")
    worker = int((tmp_path / "pid").read_text())
    with lock.held(tmp_path):
        assert lock._started(worker) is None
    assert f"process {worker}, left by a killed run, does not end; it is killed" in caplog.text


def test_a_living_controller_is_not_waited_for(tmp_path: Path):
    said = f"in use by process {os.getpid()} on "
    with lock.held(tmp_path), pytest.raises(RunDirectoryError, match=said), lock.held(tmp_path):
        pass


def test_a_process_that_was_given_the_id_of_an_old_worker_is_left_alone(tmp_path: Path):
    write_json(tmp_path / lock._HOLDER, {"process": 1, "started": "0", "host": lock.socket.gethostname(), "since": ""})
    append_line(tmp_path / lock._WORKERS, {"process": os.getpid(), "started": "7"})
    assert lock._left_behind(tmp_path) == []
    append_line(tmp_path / lock._WORKERS, lock._process(os.getpid()))
    assert lock._left_behind(tmp_path) == [os.getpid()]


def test_on_another_machine_it_may_live(tmp_path: Path):
    write_json(tmp_path / lock._HOLDER, {"process": 1, "started": "0", "host": "elsewhere", "since": ""})
    assert lock._left_behind(tmp_path) is None


def test_a_worker_inherits_every_lock_its_controller_holds(tmp_path: Path):
    write_json(tmp_path / "world" / "settings.json", {})
    with lock.held(tmp_path / "run"), lock.held(tmp_path / "world"):
        child = subprocess.Popen(["sleep", "0.3"], pass_fds=lock.inherited())
    assert lock.is_held(tmp_path / "world")
    child.wait()
    assert not lock.is_held(tmp_path / "world")
    assert lock.inherited() == ()
