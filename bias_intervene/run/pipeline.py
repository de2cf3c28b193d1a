"""A run, stage by stage. Reads as a table of contents; touches no torch.

Input: settings, a plan, a run directory opened for them (`directory.open_run_directory`). Output: a complete run
directory, record.json last. Guarantees: the same call in the same directory continues where it stopped.
"""

import contextlib
import dataclasses
import logging
import subprocess
import time
from collections.abc import Generator, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

from bias_intervene import record
from bias_intervene.analysis import pairing, records, verdicts
from bias_intervene.errors import StageStopped
from bias_intervene.interventions import INTERVENTIONS
from bias_intervene.models import pretraining_settings, world_folder
from bias_intervene.plan import Plan
from bias_intervene.record.environment import energy_joules
from bias_intervene.run import launch, lock, nodes
from bias_intervene.run.nodes import ALONE, Leader, Meeting, Node
from bias_intervene.run.planning import plan_of
from bias_intervene.run.protocol import StopSignal
from bias_intervene.settings import Settings, TrainSettings, WorldModel

_Process = subprocess.Popen[bytes]
log = logging.getLogger("bias_intervene")


def run(run_dir: Path, settings: Settings, plan: Plan, *, node: Node = ALONE) -> None:
    """Runs every stage that is not done yet and writes the record. On machine 0; the others: `follow`."""
    train = settings.train
    with contextlib.ExitStack() as waiting:
        with nodes.leading(run_dir, node) as leader:
            _ensure_world_model(settings)
            needed = {"train": _trains(run_dir, plan), "evaluate": _scores(plan)}
            coming = [stage for stage, is_needed in needed.items() if is_needed]
            early = waiting.enter_context(_started_early(run_dir, coming, train=train, node=node))
            _run_stage("prepare", run_dir, train=train)
            _train(run_dir, plan, train=train, leader=leader, early=early.get("train"))
        _report_audit(run_dir)
        _evaluate(run_dir, plan, train=train, early=early.get("evaluate"))
    _check_manipulation(run_dir)
    record.write_record(run_dir)
    log.info("complete: %s", run_dir)


def follow(run_dir: Path, *, train: TrainSettings, node: Node) -> None:
    """The part of a machine other than the first: it trains when the first one calls."""
    log.info("machine %s of %s: waiting for the first one", node.number, node.count)
    meeting = nodes.wait_for_call(run_dir, node)
    if meeting is not None:
        _run_stage("train", run_dir, train=train, node=node, meeting=meeting)


def _trains(run_dir: Path, plan: Plan) -> bool:
    """Whether there is a training left to do."""
    return plan.trains and not (run_dir / "training" / "summary.json").is_file()


def _scores(plan: Plan) -> bool:
    """Whether there is a checkpoint to score."""
    return bool(plan.evaluated_steps or plan.published_steps)


def _train(run_dir: Path, plan: Plan, *, train: TrainSettings, leader: Leader, early: _Process | None) -> None:
    """The training, where there is one left to do."""
    if not _trains(run_dir, plan):
        return
    log.info(
        "training %s: steps %s to %s of %s, arm %s",
        plan.num_steps, plan.start_step, plan.end_step, plan.repository, plan.arm,
    )  # fmt: skip
    _run_stage("train", run_dir, train=train, node=leader.node, meeting=leader.call_to_train(), early=early)


def _evaluate(run_dir: Path, plan: Plan, *, train: TrainSettings, early: _Process | None) -> None:
    """The evaluation; results.json without a metric where nothing is to be scored."""
    if _scores(plan):
        _run_stage("evaluate", run_dir, train=train, early=early)
    elif not (run_dir / "results.json").is_file():
        record.write_no_results(run_dir)


class _Processes(TypedDict):
    """How many processes a stage has on this machine, with how many threads, on which device."""

    num_ranks: int | None
    num_threads: int
    cpu_only: bool


def _processes(stage: str, train: TrainSettings, *, beside_other_runs: bool) -> _Processes:
    """Those of a stage."""
    has_ranks = stage == "train" or (stage == "evaluate" and train.num_processes > 1)
    return {
        "num_ranks": train.num_processes if has_ranks else None,
        "num_threads": launch.threads_per_process(
            train.num_threads, num_ranks=train.num_processes if has_ranks else 1, beside_other_runs=beside_other_runs
        ),
        "cpu_only": train.device == "cpu",
    }


@contextlib.contextmanager
def _started_early(
    run_dir: Path, stages: Iterable[str], *, train: TrainSettings, beside_other_runs: bool = True, node: Node = ALONE
) -> Generator[dict[str, _Process | None]]:
    """Within the block a process of each stage does its imports and waits for its turn, where one machine does the run.

    One that waits takes 400 MB of memory and no processor.
    """
    with contextlib.ExitStack() as waiting:
        yield {
            stage: waiting.enter_context(
                launch.started_early(stage, run_dir, **_processes(stage, train, beside_other_runs=beside_other_runs))
            )
            for stage in stages
            if node.count == 1
        }


def _run_stage(
    stage: str,
    run_dir: Path,
    *,
    train: TrainSettings,
    beside_other_runs: bool = True,
    node: Node = ALONE,
    meeting: Meeting | None = None,
    early: _Process | None = None,
) -> None:
    """One stage in processes of its own."""
    processes = _processes(stage, train, beside_other_runs=beside_other_runs)
    with _noted(run_dir, stage):
        launch.run_stage(stage, run_dir, **processes, node=node, meeting=meeting, early=early)


@contextlib.contextmanager
def _noted(run_dir: Path, stage: str) -> Generator[None]:
    """Appends a line to stages.jsonl: how long the block took and what it cost, however it ends."""
    started, clock, energy = datetime.now(UTC), time.monotonic(), energy_joules()
    outcome = "failed"
    try:
        yield
        outcome = "done"
    except (StageStopped, StopSignal):
        outcome = "stopped"
        raise
    finally:
        spent = energy_joules() if energy is not None else None
        line = {
            "stage": stage, "started": started.isoformat(timespec="seconds"), "outcome": outcome,
            "seconds": round(time.monotonic() - clock, 1),
            "gpu_joules": None if spent is None or energy is None else round(spent - energy),
        }  # fmt: skip
        with contextlib.suppress(OSError):  # On a full disk the stage's own error is the one to report.
            record.append_line(run_dir / record.STAGES, line)


def _ensure_world_model(settings: Settings) -> None:
    """Pretrains the generated world's model, once for every set of settings it depends on; others wait for it.

    It has all cores, because the runs beside this one wait for it, and because its bits depend on its threads.
    """
    if not isinstance(settings.model, WorldModel):
        return
    folder = world_folder(settings)
    if record.is_complete(folder):
        return
    with lock.held(folder, wait=True):
        if record.is_complete(folder):
            return
        log.info("pretraining the demo model once; it is kept in %s", folder)
        pretraining = pretraining_settings(settings)
        with record.open_run(folder, settings=pretraining.to_json(), plan=plan_of(pretraining).to_json()):
            train = pretraining.train
            with _started_early(folder, ["train"], train=train, beside_other_runs=False) as early:
                for stage in ("prepare", "train"):
                    _run_stage(stage, folder, train=train, beside_other_runs=False, early=early.get(stage))
            record.write_no_results(folder)
            record.write_record(folder)


def _check_manipulation(run_dir: Path) -> None:
    """Writes how far the expected metric moved since the checkpoint that the run started from.

    Whether the intervention took is only said where nothing was swapped: a run alone has no control.
    """
    run = records.Run(run_dir, record.gather(run_dir))
    records.label([run])
    (arm,) = pairing.arms([run], as_given=True)
    verdict = verdicts.verdict_of(arm)
    if verdict is not None:
        record.write_json(run_dir / "manipulation_check.json", dataclasses.asdict(verdict))
        log.log(logging.WARNING if verdict.took is False else logging.INFO, "%s", verdict.sentence)


def _report_audit(run_dir: Path) -> None:
    """Logs what the swap did, above all when it did nothing."""
    path = run_dir / "audit.json"
    if not path.is_file():
        return
    audit = record.read_json(path)
    if not INTERVENTIONS[audit["intervention"]].alters_rows:
        return
    for notice in audit.get("possessives", {}).get("notices", ()):
        log.info("%s", notice)
    if "warning" in audit:
        log.warning("%s", audit["warning"])
    else:
        log.info("swapped %s pronouns in %s of %s rows", audit["num_swaps"], audit["rows_changed"], audit["rows"])
