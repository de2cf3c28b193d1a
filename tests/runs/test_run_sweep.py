"""Whole sweeps in processes of their own: kills, failures, repeats, launchers, a search."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.conftest import NO_BENCHMARKS, TINY, run
from tests.helpers import slurm
from tests.helpers.forked import run_forked
from tests.helpers.whole_runs import NOTHING_SCORED

pytestmark = pytest.mark.slow

JOBS = ("-m", "sweep=named", *TINY, *NO_BENCHMARKS)
UNSCORED_JOBS = ("-m", "sweep=named", *NOTHING_SCORED)
LONGER = ("model.total_steps=400", "train.save_interval=100")
"""Long enough to be met while it trains."""


def states(folder: Path) -> dict[str, str]:
    """What sweep.json says of each job, by what tells it."""
    jobs = json.loads((folder / "sweep.json").read_text())["jobs"]
    common = set.intersection(*(set(job["overrides"]) for job in jobs))
    return {" ".join(word for word in job["overrides"] if word not in common): job["status"] for job in jobs}


def directory(folder: Path, override: str) -> Path:
    """The run directory of the job with an override."""
    (name,) = [
        job["directory"]
        for job in json.loads((folder / "sweep.json").read_text())["jobs"]
        if override in job["overrides"]
    ]
    return folder / name


@contextmanager
def started(*words: str, cwd: Path, cache: Path, **more: str) -> Generator[subprocess.Popen]:
    """A command that is left running, and ended with the test."""
    environment = {**os.environ, "BIAS_INTERVENE_CACHE": str(cache), "HF_HUB_OFFLINE": "1", **more}
    with (cwd / "errors").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "bias_intervene", *words], cwd=cwd, env=environment, stdout=subprocess.DEVNULL,
            stderr=errors,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(condition, seconds: float = 180):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)
    return found


def test_a_failed_job_stops_no_other_and_the_name_continues(tmp_path: Path, cache: Path):
    sweep = tmp_path / "outputs" / "sweeps" / "named"
    words = (*JOBS, "intervention=none,both", "seed=1,-1")
    done = run_forked(*words, cwd=tmp_path, cache=cache, check=1)
    assert states(sweep) == {
        "intervention=none seed=1": "complete", "intervention=none seed=-1": "failed",
        "intervention=both seed=1": "complete", "intervention=both seed=-1": "failed",
    }  # fmt: skip
    assert "2 complete, 2 failed" in done.stderr
    assert "seed: found -1; input should be greater than or equal to 0" in done.stderr
    assert "sweep=named goes on" in done.stderr
    assert (sweep / "comparison.json").is_file()
    before = {path: path.stat().st_mtime_ns for path in sweep.rglob("record.json")}

    # A part of it again: what is complete is left alone.
    run_forked(*JOBS, "intervention=none,both", "seed=1", cwd=tmp_path, cache=cache)
    assert {path: path.stat().st_mtime_ns for path in sweep.rglob("record.json")} == before

    # Other jobs under its name.
    refused = run_forked(*JOBS, "intervention=neutral,both", "seed=3", cwd=tmp_path, cache=cache, check=1)
    assert 'this sweep holds other jobs, "intervention=none seed=1"' in refused.stderr
    assert "another question takes another name: sweep=NAME" in refused.stderr

    table = run(str(sweep), module="bias_intervene.sweep", cwd=tmp_path, cache=cache, check=1)
    assert "2 complete, 2 failed" in table.stdout


def test_killed_twice_it_is_finished_by_the_same_command(tmp_path: Path, cache: Path):
    sweep = tmp_path / "outputs" / "sweeps" / "named"
    words = (*UNSCORED_JOBS, *LONGER, "intervention=none,masculine_to_feminine")
    # What later calls are forked from does its imports now, and not while a job is to be met running.
    run_forked("--help", module="bias_intervene.sweep", cwd=tmp_path, cache=cache)
    for number in (1, 2):
        with started(*words, cwd=tmp_path, cache=cache):
            wait_for(lambda number=number: len(list(sweep.glob("*/training/metrics.jsonl"))) >= number)
            run_forked(str(sweep), module="bias_intervene.sweep", cwd=tmp_path, cache=cache, check=1)
            assert list(states(sweep).values())[number - 1] == "running"

    def listed() -> list[str]:
        run_forked(str(sweep), module="bias_intervene.sweep", cwd=tmp_path, cache=cache, check=1)
        return list(states(sweep).values())

    wait_for(lambda: listed() == ["complete", "interrupted"])  # It runs until the last worker has ended.
    run_forked(*words, cwd=tmp_path, cache=cache)
    assert list(states(sweep).values()) == ["complete", "complete"]


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_jobs_side_by_side(tmp_path: Path, cache: Path, launcher: str):
    done = run(*UNSCORED_JOBS, f"hydra/launcher={launcher}", "intervention=none,both", cwd=tmp_path, cache=cache)
    assert set(states(tmp_path / "outputs" / "sweeps" / "named").values()) == {"complete"}
    assert "UserWarning" not in done.stderr


def test_a_slurm_job_that_is_told_of_its_limit_is_queued_again_and_goes_on(tmp_path: Path, cache: Path):
    sweep = tmp_path / "outputs" / "sweeps" / "named"
    stand_in = tmp_path / "slurm"
    more = slurm.install(stand_in) | {"PATH": f"{stand_in / 'bin'}:{os.environ['PATH']}"}
    words = (
        "hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu", "hydra.launcher.timeout_min=90",
        "hydra.launcher.gpus_per_node=8", "intervention=none,both",
    )  # fmt: skip
    with started(*UNSCORED_JOBS, *LONGER, *words, cwd=tmp_path, cache=cache, **more) as controller:
        wait_for(lambda: (sweep / "sweep.json").is_file())
        curve = directory(sweep, "intervention=both") / "training" / "metrics.jsonl"
        wait_for(curve.is_file)
        task = psutil.Process(int((stand_in / "task.1").read_text().split()[0]))
        # The signals of a preemption, one after the other.
        task.send_signal(signal.SIGTERM)
        task.send_signal(signal.SIGUSR2)
        assert controller.wait(timeout=300) == 0, (tmp_path / "errors").read_text()
    assert (stand_in / "requeued").read_text() == "requeue 77_1\n"
    steps = [json.loads(line)["step"] for line in curve.read_text().splitlines()]
    assert steps == sorted(set(steps))
    assert set(states(sweep).values()) == {"complete"}
    script = (stand_in / "script.sh").read_text()
    for line in (
        "--partition=gpu", "--gpus-per-node=8", "--nodes=1", "--ntasks-per-node=1", "--time=90", "--signal=USR2@300",
        "--array=0-1%2", "--job-name=bias_intervene",
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in script


@pytest.mark.parametrize("preset", ["direction", "dose_response"])
def test_a_preset_answers_its_question(tmp_path: Path, cache: Path, preset: str):
    words = ("intervention.fraction=0.5",)
    words += ("intervention.probability=0.5,1.0",) if preset == "dose_response" else ()
    run_forked(f"experiment={preset}", "sweep=named", *TINY, *NO_BENCHMARKS, *words, cwd=tmp_path, cache=cache)
    sweep = tmp_path / "outputs" / "sweeps" / "named"
    assert set(states(sweep).values()) == {"complete"}
    arms = {verdict["arm"] for verdict in json.loads((sweep / "comparison.json").read_text())["verdicts"]}
    wanted = {
        "direction": {"masculine_to_feminine", "feminine_to_masculine", "both", "neutral"},
        "dose_response": {"masculine_to_feminine probability=0.5", "masculine_to_feminine probability=1.0"},
    }
    assert arms == wanted[preset]


def test_a_search_over_settings_gets_the_metric(tmp_path: Path, cache: Path):
    words = ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=1", "intervention=both")
    done = run_forked(
        *JOBS, *words, "intervention.probability=choice(0.1,0.9)", "hydra.sweeper.sampler.seed=1",
        "objective=pronouns/prompts/neutral/log_odds_she_he", cwd=tmp_path, cache=cache,
    )  # fmt: skip
    sweep = tmp_path / "outputs" / "sweeps" / "named"
    best = next(line for line in (sweep / "optimization_results.yaml").read_text().splitlines() if "best_value" in line)
    values = [
        row["value"]
        for path in sweep.glob("*/results.json")
        for row in json.loads(path.read_text())["metrics"]
        if (row["step"], row["subset"], row["metric"]) == (20, "neutral", "log_odds_she_he")
    ]
    assert float(best.split()[1]) == min(values), done.stdout


def test_two_processes_are_kept_out_of_one_directory(tmp_path: Path, cache: Path):
    words = ("intervention=both", *NOTHING_SCORED, f"hydra.run.dir={tmp_path / 'run'}")
    with started(*words, cwd=tmp_path, cache=cache) as first:
        wait_for(lambda: (tmp_path / "run" / ".holder.json").is_file())
        second = run_forked(*words, cwd=tmp_path, cache=cache, check=1)
        assert f"in use by process {first.pid} on " in second.stderr
    # What the killed one left does not keep the next one out.
    assert (tmp_path / "run" / ".holder.json").is_file()
    run_forked(*words, cwd=tmp_path, cache=cache)


def test_a_name_is_a_sweeps(tmp_path: Path, cache: Path):
    done = run_forked("sweep=x", *TINY, cwd=tmp_path, cache=cache, check=1)
    assert "sweep=x: names a sweep (-m); one run's directory is hydra.run.dir=..." in done.stderr
