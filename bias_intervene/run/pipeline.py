"""A run, stage by stage. Reads as a table of contents; touches no torch.

Enters: settings, a plan, a directory. Leaves: a complete run directory, record.json last. Promised: the same call in
the same directory continues where it stopped, and never two at a time; a run that is refused before any work leaves
nothing behind but its log.
"""

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from bias_intervene import record
from bias_intervene.analysis import comparison, pairing, records
from bias_intervene.errors import StageError, StageStopped
from bias_intervene.interventions import INTERVENTIONS
from bias_intervene.models import pretraining_settings, world_folder
from bias_intervene.plan import Plan
from bias_intervene.record.environment import energy_joules
from bias_intervene.run import launch, lock, nodes
from bias_intervene.run.nodes import ALONE, Meeting, Node
from bias_intervene.run.planning import plan_of
from bias_intervene.settings import Settings, WorldModel

log = logging.getLogger("bias_intervene")


def run(
    run_dir: Path,
    settings: Settings,
    plan: Plan,
    *,
    node: Node = ALONE,
    when_claimed: Callable[[], None] = lambda: None,
) -> None:
    """Runs every stage that is not done yet and writes the record. On machines other than the first: only trains.

    when_claimed: called once the directory is this process's own and fit for these settings.
    """
    if node.number > 0:
        log.info("machine %s of %s: waiting for the first one", node.number, node.count)
        meeting = nodes.called(run_dir, node)
        if meeting is not None:
            stage("train", run_dir, settings, node=node, meeting=meeting)
        return
    with lock.held(run_dir):
        undo = record.open_run(run_dir, settings=settings.to_json(), plan=plan.to_json())
        when_claimed()
        with nodes.leading(run_dir, node) as call:
            try:
                ensure_world_model(settings)
                stage("prepare", run_dir, settings)
            except StageError:
                undo()
                raise
            train(run_dir, settings, plan, node=node, call=call)
        report_audit(run_dir)
        evaluate(run_dir, settings, plan)
        check_manipulation(run_dir)
        record.write_record(run_dir)
    log.info("complete: %s", run_dir)


def train(run_dir: Path, settings: Settings, plan: Plan, *, node: Node, call: Callable[[], Meeting | None]) -> None:
    """The training, where there is one left to do. call: calls the other machines."""
    if not plan.trains or (run_dir / "training" / "summary.json").is_file():
        return
    log.info(
        "training %s: steps %s to %s of %s, arm %s",
        plan.num_steps, plan.start_step, plan.end_step, plan.repository, plan.arm,
    )  # fmt: skip
    stage("train", run_dir, settings, node=node, meeting=call())


def evaluate(run_dir: Path, settings: Settings, plan: Plan) -> None:
    """The evaluation; results.json without a metric where nothing is to be scored."""
    if plan.evaluated_steps or plan.published_steps:
        stage("evaluate", run_dir, settings)
    elif not (run_dir / "results.json").is_file():
        record.write_no_results(run_dir)


def stage(name: str, run_dir: Path, settings: Settings, *, node: Node = ALONE, meeting: Meeting | None = None) -> None:
    """One stage in processes of its own."""
    shared = name == "train" or (name == "evaluate" and settings.train.num_processes > 1)
    with noted(run_dir, name):
        launch.run_stage(
            name,
            run_dir,
            num_ranks=settings.train.num_processes if shared else None,
            num_threads=settings.train.num_threads,
            cpu_only=settings.train.device == "cpu",
            node=node,
            meeting=meeting,
        )


@contextlib.contextmanager
def noted(run_dir: Path, name: str) -> Generator[None]:
    """Keeps how long the block took and what it cost, however it ends."""
    started, clock, energy = datetime.now(UTC), time.monotonic(), energy_joules()
    outcome = "failed"
    try:
        yield
        outcome = "done"
    except StageStopped:
        outcome = "stopped"
        raise
    finally:
        spent = energy_joules() if energy is not None else None
        line = {
            "stage": name, "started": started.isoformat(timespec="seconds"), "outcome": outcome,
            "seconds": round(time.monotonic() - clock, 1),
            "gpu_joules": None if spent is None or energy is None else round(spent - energy),
        }  # fmt: skip
        with contextlib.suppress(OSError):  # The stage's own error is the one to be told.
            record.append_line(run_dir / record.STAGES, line)


def ensure_world_model(settings: Settings) -> None:
    """Pretrains the generated world's model, once for every set of settings it depends on; others wait for it."""
    if not isinstance(settings.model, WorldModel):
        return
    folder = world_folder(settings)
    if record.is_complete(folder):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if record.is_complete(folder):
            return
        log.info("pretraining the demo model once; it is kept in %s", folder)
        ours = pretraining_settings(settings)
        plan = plan_of(ours)
        record.open_run(folder, settings=ours.to_json(), plan=plan.to_json())
        for name in ("prepare", "train"):
            stage(name, folder, ours)
        record.write_no_results(folder)
        record.write_record(folder)


def check_manipulation(run_dir: Path) -> None:
    """Asks whether the intervention took, against the checkpoint that the run started from."""
    run = records.Run(run_dir, record.gather(run_dir))
    records.label([run])
    (arm,) = pairing.arms([run], as_given=True)
    verdict = comparison.verdict_of(arm)
    if verdict is not None:
        record.write_json(run_dir / "manipulation_check.json", dataclasses.asdict(verdict))
        log.log(logging.WARNING if verdict.took is False else logging.INFO, "%s", verdict.sentence)


def report_audit(run_dir: Path) -> None:
    """Says what the swap did, above all when it did nothing."""
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
