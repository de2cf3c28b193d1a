"""One process of one stage: `python -m bias_intervene.stages STAGE RUN_DIR [--wait]`.

Input: settings.json and plan.json of a run directory. Output: the files of its stage, and the stage's outcome file,
which says how it ended. Guarantees: a stage imports what it uses, and no Hydra; a rank that fails ends with status 1,
so that its launcher ends the other ranks, which would wait for it.

With `--wait` it imports what the stage uses and waits until it is told to begin.

`prepare` locates or makes every input (checkpoint, rows, benchmark items) and writes inputs.json; `train` is one rank
of the training; `evaluate` scores the checkpoints.
"""

import contextlib
import errno
import importlib
import logging
import os
import signal
import sys
import warnings
from pathlib import Path

from bias_intervene.console import prepare
from bias_intervene.errors import BiasInterveneError, StageStopped, first_line
from bias_intervene.plan import Plan
from bias_intervene.record import read_json, write_json
from bias_intervene.run.protocol import (
    LAUNCHER,
    STOPPED,
    TURN,
    WAITS,
    StopSignal,
    end_with_parent,
    outcome_path,
    raise_at_stop_signals,
)
from bias_intervene.settings import read_settings

_PLACE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}
"""Errors of the place that is written to (full, not ours, read-only), not of this program."""


def main(argv: list[str] | None = None) -> int:
    """Runs a stage. argv: STAGE RUN_DIR [--wait]."""
    prepare()
    stage, folder, *options = sys.argv[1:] if argv is None else argv
    run_dir = Path(folder)
    raise_at_stop_signals()  # The training handles them itself once it has something to save.
    if LAUNCHER in os.environ:  # No rank goes on by itself when its launcher is killed.
        end_with_parent(signal.SIGKILL, parent=int(os.environ[LAUNCHER]))()
    _quieten_libraries()
    try:
        if WAITS in options and not _turn_comes(stage):
            return 0
    except StopSignal:
        return STOPPED  # Before its turn it writes nothing, no outcome either.
    outcome = outcome_path(run_dir, stage, int(os.environ.get("GROUP_RANK", "0")))
    try:
        return _run(stage, run_dir, outcome)
    except StopSignal as stop:
        message = f"{stop} in stage {stage}; the same command in the same directory continues it"
        write_json(outcome, {"status": "stopped", "message": message})
        # Other ranks may wait for this one: where it fails, their launcher ends them.
        return 0 if os.environ.get("WORLD_SIZE", "1") == "1" else 1


def _run(stage: str, run_dir: Path, outcome: Path) -> int:
    """The stage itself, and its outcome."""
    try:
        settings = read_settings(read_json(run_dir / "settings.json"))
        plan = Plan.from_json(read_json(run_dir / "plan.json"))
        importlib.import_module(f"bias_intervene.stages.{stage}").run(run_dir, settings, plan)
    except StageStopped as stopped:
        write_json(outcome, {"status": "stopped", "message": str(stopped)})
    except BiasInterveneError as error:
        write_json(outcome, {"status": "failed", "message": str(error)})
        return 1
    except MemoryError as error:
        write_json(outcome, {"status": "failed", "message": _out_of_memory(stage, error)})
        return 1
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _PLACE_ERRORS:
            place = error.filename or run_dir
            _report_full_disk(outcome, f"{place}: {error.strerror}; what was saved before is intact")
        elif not outcome.is_file():  # Otherwise another rank has reported, and this one failed for want of it.
            raise
        return 1
    else:
        write_json(outcome, {"status": "done"})
    return 0


def _turn_comes(stage: str) -> bool:
    """Imports what the stage uses, then waits; whether it is to begin."""
    for name in importlib.import_module(f"bias_intervene.stages.{stage}").IMPORTED_LATER:
        importlib.import_module(name)
    return sys.stdin.buffer.readline() == TURN


def _out_of_memory(stage: str, error: MemoryError) -> str:
    """The message about an array that this machine cannot hold; numpy says how large it would be."""
    return (
        f"stage {stage}: out of memory{f' ({first_line(error)})' if str(error) else ''}; use fewer "
        "data.heldout_rows or train.micro_batch_rows, a smaller model, or a machine with more memory"
    )


def _report_full_disk(outcome: Path, message: str) -> None:
    """Prints the message, and writes it as the outcome where the disk still takes it."""
    print(message, file=sys.stderr)
    with contextlib.suppress(OSError):
        write_json(outcome, {"status": "failed", "message": message})


def _quieten_libraries() -> None:
    """Leaves the screen to the progress bars: libraries print errors only."""
    warnings.filterwarnings("ignore")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    for name in ("DeepSpeed", "torch.distributed", "huggingface_hub", "httpx"):
        # A filter and not a level: DeepSpeed sets the level of its logger when it is imported.
        logging.getLogger(name).addFilter(lambda record: record.levelno >= logging.ERROR)


if __name__ == "__main__":
    sys.exit(main())
