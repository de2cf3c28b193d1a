"""Worker processes: what they inherit, what becomes of them."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from bias_intervene.errors import StageError, StageStopped
from bias_intervene.record import write_json
from bias_intervene.run import launch
from bias_intervene.run.nodes import Meeting, Node
from bias_intervene.run.protocol import STOP_SIGNALS, outcome_path
from bias_intervene.settings import conf_dir


def staged(monkeypatch: pytest.MonkeyPatch, run_dir: Path, script: str) -> None:
    monkeypatch.setattr(launch, "_command", lambda *_, **__: ["sh", "-c", script])
    launch.run_stage("train", run_dir, num_ranks=None, num_threads=1, cpu_only=True)


def test_outcomes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    path = outcome_path(tmp_path, "train")
    staged(monkeypatch, tmp_path, f"""echo '{{"status": "done"}}' > {path}""")
    with pytest.raises(StageError, match="no room"):
        staged(monkeypatch, tmp_path, f"""echo '{{"status": "failed", "message": "no room"}}' > {path}""")
    with pytest.raises(StageStopped, match="saved"):
        staged(monkeypatch, tmp_path, f"""echo '{{"status": "stopped", "message": "saved"}}' > {path}""")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("signals", "ended"),
    [
        ([signal.SIGTERM], False),
        # A preemption, in either order.
        ([signal.SIGTERM, signal.SIGUSR2], False),
        ([signal.SIGUSR2, signal.SIGTERM], False),
        ([signal.SIGTERM, signal.SIGTERM], True),
        ([signal.SIGUSR1, signal.SIGINT, signal.SIGINT], True),
    ],
)
def test_only_an_insistent_signal_ends_what_is_saving(monkeypatch: pytest.MonkeyPatch, signals: list, ended: bool):
    killed: list[object] = []
    passed: list[int] = []
    monkeypatch.setattr(launch, "_kill_session", killed.append)
    monkeypatch.setattr(launch.os, "kill", lambda _pid, number: passed.append(number))
    process = subprocess.Popen(["true"])
    process.wait()
    forwarding = launch._Forwarding(to_children=False)
    forwarding.pass_to(process)
    for number in signals:
        forwarding.forward(number, None)
    assert bool(killed) is ended
    assert passed == signals[:1]
    assert forwarding.received == signals


DONE = """echo '{"status": "done"}' > .train.outcome.json"""
AT_CONTROLLER = "kill -TERM $PPID; while :; do sleep 0.01; done"


@pytest.mark.parametrize(
    ("script", "signals"),
    [
        ("kill -TERM $$", ()),
        ("kill -USR2 $$", ()),
        ("exit 75", ()),
        (AT_CONTROLLER, (signal.SIGTERM,)),
        (f"trap 'exit 1' TERM; {AT_CONTROLLER}", (signal.SIGTERM,)),
        (f"trap 'kill -KILL $$' TERM; {AT_CONTROLLER}", (signal.SIGTERM,)),
        (f"trap '{DONE.replace(chr(39), chr(39) + chr(92) + chr(39) * 2)}; exit 0' TERM; {AT_CONTROLLER}", (15,)),
    ],
    ids=["ended by it", "by another", "said so", "at the controller", "and fails", "and is killed", "and is done"],
)
def test_a_stage_that_a_signal_ends_while_it_starts_was_stopped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, signals: tuple[int, ...]
):
    """It has not written its outcome, or is done where a next stage would begin. A preemption queues the run again."""
    with pytest.raises(StageStopped, match="stopped by a signal") as stopped:
        staged(monkeypatch, tmp_path, f"cd {tmp_path}; {script}")
    assert stopped.value.signals == signals


def test_what_was_killed_without_a_stop_signal_has_failed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    with pytest.raises(StageError, match=r"ended with status -9 without a word"):
        staged(monkeypatch, tmp_path, "kill -KILL $$")


def test_a_signal_that_comes_while_the_process_is_made_is_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def start(*_: object, **__: object) -> subprocess.Popen[bytes]:
        signal.raise_signal(signal.SIGUSR1)
        return subprocess.Popen(["sleep", "30"])

    monkeypatch.setattr(launch, "_start", start)
    with pytest.raises(StageStopped):
        launch.run_stage("train", tmp_path, num_ranks=None, num_threads=1, cpu_only=True)


def preempted() -> None:
    """The signals of a preemption, in code that takes every exception for a failure of its own."""
    try:
        signal.raise_signal(signal.SIGTERM)
    except Exception:
        pytest.fail("taken for a failure")
    finally:
        signal.raise_signal(signal.SIGUSR2)


def test_between_two_stages_a_signal_stops_the_run():
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    with pytest.raises(StageStopped, match="between two stages") as stopped, launch.stoppable():
        preempted()
    assert stopped.value.signals == (signal.SIGTERM, signal.SIGUSR2)
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before


def test_while_a_stage_runs_a_signal_is_the_stages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    with pytest.raises(StageStopped, match="in stage train") as stopped, launch.stoppable():
        staged(monkeypatch, tmp_path, AT_CONTROLLER)
    assert stopped.value.signals == (signal.SIGTERM,)


def test_an_old_outcome_is_not_taken_for_a_new_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    write_json(outcome_path(tmp_path, "train"), {"status": "done"})
    with pytest.raises(StageError, match="ended with status 3 without a word"):
        staged(monkeypatch, tmp_path, "exit 3")


def waiting(monkeypatch: pytest.MonkeyPatch, run_dir: Path, script: str, *, num_ranks: int | None = None):
    monkeypatch.setattr(launch, "_command", lambda *_, **__: ["sh", "-c", script])
    return launch.started_early("train", run_dir, num_ranks=num_ranks, num_threads=1, cpu_only=True)


def test_a_process_started_early_begins_at_its_turn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    path = outcome_path(tmp_path, "train")
    script = f"""read line; [ "$line" = go ] && echo '{{"status": "done"}}' > {path}"""
    with waiting(monkeypatch, tmp_path, script) as process:
        assert process is not None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        monkeypatch.setattr(launch, "_start", lambda *_, **__: pytest.fail("a second process"))
        launch.run_stage("train", tmp_path, num_ranks=None, num_threads=1, cpu_only=True, early=process)
        assert process.returncode == 0


def test_one_that_ended_before_its_turn_is_reported_at_its_turn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    with waiting(monkeypatch, tmp_path, "exit 3") as process:
        assert process is not None
        process.wait()
        with pytest.raises(StageError, match="ended with status 3 without a word"):
            launch.run_stage("train", tmp_path, num_ranks=None, num_threads=1, cpu_only=True, early=process)


def test_one_that_a_signal_ended_before_its_turn_was_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    with waiting(monkeypatch, tmp_path, "read line") as process:
        assert process is not None
        process.terminate()
        process.wait()
        with pytest.raises(StageStopped):
            launch.run_stage("train", tmp_path, num_ranks=None, num_threads=1, cpu_only=True, early=process)


def test_one_whose_turn_does_not_come_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    with pytest.raises(StageStopped), waiting(monkeypatch, tmp_path, "read line") as process:
        raise StageStopped("in the stage before it")
    assert process is not None
    assert process.returncode == -signal.SIGKILL


def test_ranks_that_need_a_launcher_are_not_started_early(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    with waiting(monkeypatch, tmp_path, "exit 0", num_ranks=2) as process:
        assert process is None


def test_freed_memory_is_kept_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "7")
    ours = launch._environment(num_threads=2, cpu_only=True)
    assert (ours["MALLOC_TRIM_THRESHOLD_"], ours["MALLOC_MMAP_THRESHOLD_"]) == ("7", str(1 << 30))


def test_another_launchers_variables_are_not_inherited(monkeypatch: pytest.MonkeyPatch):
    for name in ("RANK", "MASTER_PORT", "TORCHELASTIC_RUN_ID"):
        monkeypatch.setenv(name, "1")
    ours = launch._environment(num_threads=3, cpu_only=True)
    assert not {"RANK", "MASTER_PORT", "TORCHELASTIC_RUN_ID"} & ours.keys()
    assert (ours["OMP_NUM_THREADS"], ours["DS_ACCELERATOR"], ours["CUDA_VISIBLE_DEVICES"]) == ("3", "cpu", "")
    assert ours["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize(
    ("users", "expected"),
    [
        ({}, {"GOMP_SPINCOUNT": "1000"}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "active"}, {"OMP_WAIT_POLICY": "active"}),
    ],
)
def test_waiting_threads_spin_briefly_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, users: dict[str, str], expected: dict[str, str]
):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in users.items():
        monkeypatch.setenv(name, value)
    ours = launch._environment(num_threads=2, cpu_only=True)
    assert {name: ours[name] for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY") if name in ours} == expected


@pytest.mark.parametrize(
    ("num_threads", "num_ranks", "runs_at_once", "expected"),
    [
        (None, 1, None, 16),
        (None, 4, None, 4),
        (None, 2, "4", 2),
        (None, 1, "32", 1),
        (None, 1, "-1", 1),
        (None, 1, "-15", 8),
        (3, 2, "4", 3),
    ],
)
def test_ranks_and_runs_share_the_cores(
    monkeypatch: pytest.MonkeyPatch, num_threads: int | None, num_ranks: int, runs_at_once: str | None, expected: int
):
    monkeypatch.setattr(launch.os, "sched_getaffinity", lambda _: set(range(16)))
    monkeypatch.delenv(launch.RUNS_AT_ONCE, raising=False)
    if runs_at_once is not None:
        monkeypatch.setenv(launch.RUNS_AT_ONCE, runs_at_once)
    assert launch.threads_per_process(num_threads, num_ranks=num_ranks) == expected


@pytest.mark.parametrize(
    ("overrides", "runs_at_once"),
    [([], "1"), (["hydra/launcher=joblib"], "2"), (["hydra/launcher=joblib", "hydra.launcher.n_jobs=3"], "3")],
)
def test_the_launcher_of_a_sweep_says_how_many_runs_there_are_at_once(overrides: list[str], runs_at_once: str):
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        composed = compose("config", overrides=overrides, return_hydra_config=True)
    assert composed.hydra.job.env_set[launch.RUNS_AT_ONCE] == runs_at_once


def test_a_run_that_others_wait_for_has_the_cores_to_itself(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(launch.os, "sched_getaffinity", lambda _: set(range(16)))
    monkeypatch.setenv(launch.RUNS_AT_ONCE, "4")
    assert launch.threads_per_process(None, num_ranks=1, beside_other_runs=False) == 16


def test_several_ranks_are_started_by_torchs_own_launcher(tmp_path: Path):
    words = launch._command("train", tmp_path, num_ranks=2)
    assert words[1:] == [
        "-m", "bias_intervene.stages.torch_launcher", "--standalone", "--nproc-per-node", "2", "--module",
        "bias_intervene.stages", "train", str(tmp_path),
    ]  # fmt: skip


def test_the_only_rank_of_a_machine_among_several_is_too(tmp_path: Path):
    words = launch._command(
        "train", tmp_path, num_ranks=1, node=Node(1, 2, "t", "gpu2"), meeting=Meeting("gpu1", 29500)
    )
    assert words[2:5] == ["bias_intervene.stages.torch_launcher", "--nnodes", "2"]


@pytest.mark.parametrize("num_ranks", [None, 1])
def test_a_process_alone_needs_no_launcher(tmp_path: Path, num_ranks: int | None):
    words = launch._command("train", tmp_path, num_ranks=num_ranks)
    assert words[1:] == ["-m", "bias_intervene.stages", "train", str(tmp_path)]


def test_a_single_rank_gets_the_variables_of_its_group(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORLD_SIZE", "8")
    ours = launch._environment(num_threads=1, cpu_only=True, is_single_rank=True)
    assert {name: ours[name] for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR")} == {
        "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost",
    }  # fmt: skip
