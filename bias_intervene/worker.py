"""One process of one stage: `python -m bias_intervene.worker STAGE RUN_DIR`.

Enters: settings.json and plan.json of a run directory. Leaves: what its stage leaves. It imports no Hydra. Stages:
`prepare` finds or makes every input (checkpoint, rows, benchmark items) and writes inputs.json; `train` is one rank of
the training; `evaluate` scores the checkpoints. What became of it is said in the stage's outcome file; a rank that
fails ends with status 1, so that its launcher ends the others, which would wait for it.
"""

import contextlib
import errno
import logging
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from bias_intervene import checking
from bias_intervene import plan as planning
from bias_intervene.errors import BiasInterveneError, StageStopped
from bias_intervene.interventions.possessive import POSSESSIVES, WORD_LISTS, Possessives
from bias_intervene.launch import STOP_SIGNALS, end_with_parent, outcome_path
from bias_intervene.plan import Plan
from bias_intervene.record import read_json, write_json
from bias_intervene.settings import Settings, WorldData, WorldModel
from bias_intervene.tracking import NoTracker, log_audit, log_results, open_tracker

if TYPE_CHECKING:
    import torch

PLACE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}
"""What a place to write to can do to a program that is right: full, not ours, read-only."""


def main(argv: list[str] | None = None) -> int:
    """Runs a stage. argv: STAGE RUN_DIR."""
    stage, folder = sys.argv[1:] if argv is None else argv
    run_dir = Path(folder)
    if "RANK" in os.environ:  # No rank goes on by itself when its launcher is killed.
        end_with_parent(signal.SIGKILL)()
    quiet()
    outcome = outcome_path(run_dir, stage, int(os.environ.get("GROUP_RANK", "0")))
    settings = checking.read(read_json(run_dir / "settings.json"))
    plan = planning.from_json(read_json(run_dir / "plan.json"))
    try:
        if stage != "train":  # The training saves first; what the others have finished is kept as it is.
            stop_when_told(stage)
        STAGES[stage](run_dir, settings, plan)
    except StageStopped as stopped:
        write_json(outcome, {"status": "stopped", "message": str(stopped)})
    except BiasInterveneError as error:
        write_json(outcome, {"status": "failed", "message": str(error)})
        return 1
    except Exception as error:
        if isinstance(error, OSError) and error.errno in PLACE_ERRORS:
            place = error.filename or run_dir
            say_on_a_full_disk(outcome, f"{place}: {error.strerror}; what was saved before is intact")
        elif not outcome.is_file():  # Otherwise another rank has said what happened, and this one lost touch with it.
            raise
        return 1
    else:
        write_json(outcome, {"status": "done"})
    return 0


def stop_when_told(stage: str) -> None:
    """Ends the stage at the first stop signal, as one that can be continued."""

    def stop(number: int, _frame: object) -> None:
        raise StageStopped(
            f"stopped by {signal.Signals(number).name} in stage {stage}; the same command in the same directory "
            "continues it"
        )

    for number in STOP_SIGNALS:
        signal.signal(number, stop)


def say_on_a_full_disk(outcome: Path, message: str) -> None:
    """Writes the outcome if the place still takes it; on the screen in any case."""
    print(message, file=sys.stderr)
    with contextlib.suppress(OSError):
        write_json(outcome, {"status": "failed", "message": message})


def quiet() -> None:
    """Leaves the screen to the progress bars: libraries speak when something is wrong."""
    warnings.filterwarnings("ignore")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    for name in ("DeepSpeed", "torch.distributed", "huggingface_hub", "httpx"):
        # A filter and not a level: DeepSpeed sets the level of its logger when it is imported.
        logging.getLogger(name).addFilter(lambda record: record.levelno >= logging.ERROR)
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()


def prepare(run_dir: Path, settings: Settings, plan: Plan) -> None:
    """Finds or makes every input."""
    from bias_intervene.preparation import prepare as find_inputs

    find_inputs(run_dir, settings, plan)


# --- train -----------------------------------------------------------------------------------------------------


def train(run_dir: Path, settings: Settings, plan: Plan) -> None:
    """One rank of the training."""
    import torch

    from bias_intervene import models
    from bias_intervene.data.indexed import Layout, Rows
    from bias_intervene.data.row_swap import RowSwap
    from bias_intervene.data.stream import RowStream, row_order
    from bias_intervene.training.loop import seed_everything
    from bias_intervene.training.loop import train as run_steps

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    seed_everything(settings.seed)
    inputs = read_json(run_dir / "inputs.json")
    tokenizer_folder = Path(inputs["tokenizer"])
    tokenizer = models.load_tokenizer(tokenizer_folder)
    if inputs["base"] is None:
        assert isinstance(settings.model, WorldModel)
        assert isinstance(settings.data, WorldData)
        from bias_intervene.world_model import new_world_model

        model = new_world_model(settings.model, seed=settings.data.seed, end_of_text_id=tokenizer.end_of_text_id)
    else:
        model = models.load_model(Path(inputs["base"]), dtype="float32", tokenizer=tokenizer)
    corpus = inputs["corpus"]
    swap = None
    if settings.intervention.name != "none":
        # The literature's padding token where the tokenizer has it.
        padding_id = tokenizer.backend.token_to_id("<|padding|>") or tokenizer.end_of_text_id
        kept = run_dir / POSSESSIVES
        swap = RowSwap(
            settings.intervention,
            tokenizer.backend,
            seed=settings.seed,
            padding_id=padding_id,
            possessives=Possessives.load(kept) if kept.is_file() else WORD_LISTS,
        )
    stream = RowStream(
        rows=Rows(Layout.from_json(corpus["layout"])),
        order=row_order(
            settings.data, seed=settings.seed, num_rows=corpus["num_training_rows"], window=range(*plan.rows)
        ),
        plan=plan,
        rank=int(os.environ["RANK"]),
        swap=swap,
        vocabulary_size=model.config.vocab_size,
    )
    run_steps(run_dir, settings=settings, plan=plan, stream=stream, model=model, tokenizer_folder=tokenizer_folder)


# --- evaluate --------------------------------------------------------------------------------------------------


def evaluate(run_dir: Path, settings: Settings, plan: Plan) -> None:
    """Scores the checkpoints of the plan."""
    import torch

    from bias_intervene.data.indexed import Layout, Rows
    from bias_intervene.evals.sharing import ranks
    from bias_intervene.evals.suite import Checkpoint, load_items
    from bias_intervene.evals.suite import evaluate as score_all

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    inputs = read_json(run_dir / "inputs.json")
    world_folder = Path(inputs["world"]) if inputs["world"] else None
    world_data = settings.data if isinstance(settings.data, WorldData) else None
    base, own = Path(inputs["base"]), run_dir / "training" / "checkpoints"
    checkpoints = [
        Checkpoint(step, base if step == plan.start_step else own / f"step{step}") for step in plan.evaluated_steps
    ]
    published = {int(step): Path(folder) for step, folder in inputs["published"].items()}
    checkpoints += [
        Checkpoint(step, published[step], published=step > plan.start_step) for step in plan.published_steps
    ]
    heldout = None
    if inputs["corpus"] is not None:
        numbers = range(*inputs["corpus"]["heldout"])
        if numbers:
            heldout = Rows(Layout.from_json(inputs["corpus"]["layout"])).stack(numbers)
    with ranks() as shared:
        # Before the work, so that a tracker that cannot be had is said at once.
        tracker = open_tracker(run_dir, settings.tracking) if shared.rank == 0 else NoTracker()
        made_from = score_all(
            run_dir,
            evals=settings.evals,
            items=load_items(settings.evals, world_folder=world_folder, world_data=world_data),
            checkpoints=sorted(checkpoints, key=lambda checkpoint: checkpoint.step),
            heldout_rows=heldout,
            device=scoring_device(settings),
            cache=settings.cache,
            ranks=shared,
        )
        if shared.rank == 0:
            write_json(run_dir / "evals" / "fingerprints.json", made_from)
            log_results(tracker, read_json(run_dir / "results.json")["metrics"])
            if (run_dir / "audit.json").is_file():
                log_audit(tracker, read_json(run_dir / "audit.json"), step=plan.end_step)
        tracker.close()


def scoring_device(settings: Settings) -> "torch.device":
    """This rank's GPU, or the CPU."""
    import torch

    if settings.train.device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device


STAGES = {"prepare": prepare, "train": train, "evaluate": evaluate}

if __name__ == "__main__":
    sys.exit(main())
