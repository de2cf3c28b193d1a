"""Checkpoints: whole or absent, verified before they are used.

Input: a DeepSpeed engine between two steps. Output: training/checkpoints/stepN/ with the fp32 weights and tokenizer in
Hugging Face's format, the audit so far, `resume/` (DeepSpeed's state, one random state a rank) and manifest.json,
written last, with the sha256 of every file. Guarantees: a folder named stepN is complete, because it is written under
another name and renamed; a file that was altered afterwards is named and refused. The newest
`train.keep_resumable` checkpoints keep their resume state, the last one of a run has none: nothing continues from it.

DeepSpeed would write and load pickles; its state goes through `resume_state` instead, so no file of a run directory can
run code, whatever its manifest says.
"""

import contextlib
import errno
import json
import os
import shutil
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from bias_intervene.errors import RunDirectoryError
from bias_intervene.interventions.audit import Audit
from bias_intervene.models import copy_tokenizer
from bias_intervene.record import first_altered, read_json, settle_folder, write_bytes, write_json, write_manifest
from bias_intervene.training import resume_state

_TAG = "state"
_AUDIT = "audit_so_far.json"
_LEAST_FREE = 16 << 20
"""Bytes. A save that fails with less space than this left is taken to have filled the disk."""


def _step_of(folder: Path) -> int:
    """The N of .../stepN."""
    return int(folder.name.removeprefix("step"))


def saved_steps(checkpoints: Path) -> list[int]:
    """Steps with a complete checkpoint, ascending."""
    return sorted(_step_of(path) for path in checkpoints.glob("step*") if (path / "manifest.json").is_file())


def _resumable_steps(checkpoints: Path) -> list[int]:
    """Those of them that can be continued from, ascending."""
    return [step for step in saved_steps(checkpoints) if (checkpoints / f"step{step}/resume").is_dir()]


def clear_partial(checkpoints: Path) -> None:
    """Removes half-written checkpoints that a killed process left. Rank 0 only, before anything is saved."""
    for partial in checkpoints.glob(".step*.partial"):
        shutil.rmtree(partial, ignore_errors=True)


def save(
    checkpoints: Path,
    *,
    step: int,
    engine: Any,
    audit: Audit,
    tokenizer_folder: Path,
    card: str,
    keep_resumable: int,
) -> Audit:
    """Saves the state after `step` steps and returns the audit of all ranks. Collective: every rank calls it.

    card: README.md of the exported model. keep_resumable: how many of the newest checkpoints, this one included, keep
    their resume state; 0: none, as the run is at its end.
    """
    rank = dist.get_rank()
    folder = checkpoints / f"step{step}"
    partial = checkpoints / f".step{step}.partial"
    total = _gather_audit(audit)
    with _refusing_a_full_disk(checkpoints, partial):
        if rank == 0:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        dist.barrier()
        _export(engine, partial if rank == 0 else None)
        if keep_resumable:
            _store_without_pickles(engine)
            engine.save_checkpoint(str(partial / "resume"), tag=_TAG)
            resume_state.write(_random_state(), _random_state_path(partial, rank))
        dist.barrier()
        if rank == 0:
            # DeepSpeed's scripts for its own format, which these files do not have.
            for script in (partial / "resume").glob("*.py"):
                script.unlink()
            copy_tokenizer(tokenizer_folder, partial)
            write_json(partial / _AUDIT, total.to_json())
            write_bytes(partial / "README.md", card.encode())
            write_manifest(partial, step=step)
            settle_folder(partial, folder)
            resumable = [earlier for earlier in _resumable_steps(checkpoints) if earlier <= step]
            for earlier in resumable[: max(0, len(resumable) - keep_resumable)]:
                _drop_resume_state(checkpoints / f"step{earlier}")
        dist.barrier()
    return total


@contextlib.contextmanager
def _refusing_a_full_disk(checkpoints: Path, partial: Path) -> Generator[None]:
    """Raises torch's and safetensors' own errors for a full disk as the system's error; clears the partial folder."""
    try:
        yield
    except Exception as error:
        if dist.get_rank() == 0:
            shutil.rmtree(partial, ignore_errors=True)
        is_full = shutil.disk_usage(checkpoints).free < _LEAST_FREE or "No space left" in str(error)
        if is_full and not isinstance(error, OSError):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(checkpoints)) from error
        raise


def _store_without_pickles(engine: Any) -> None:
    """Lets DeepSpeed write and read its state as `resume_state` does."""
    engine.checkpoint_engine.save = resume_state.write
    engine.checkpoint_engine.load = resume_state.read


def _random_state_path(checkpoint: Path, rank: int) -> Path:
    """Where the state of a rank's generators is kept."""
    return checkpoint / "resume" / f"random_{rank}.safetensors"


def _random_state() -> dict[str, torch.Tensor]:
    """State of this rank's generators."""
    state = {"cpu": torch.get_rng_state()}
    return state | {"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else state


def _gather_audit(audit: Audit) -> Audit:
    """The sum of all ranks' audits, on every rank."""
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, audit.to_json())
    total = Audit()
    for part in parts:
        total.merge(Audit.from_json(part))
    return total


def _export(engine: Any, folder: Path | None) -> None:
    """Writes the fp32 weights in Hugging Face's format. Collective; `folder` is given on rank 0 only."""
    from deepspeed.utils import safe_get_full_fp32_param

    module = engine.module.model
    whole: dict[int, torch.Tensor] = {}
    for parameter in module.parameters():
        value: Any = parameter.data if engine.zero_optimization_stage() == 0 else safe_get_full_fp32_param(parameter)
        if folder is not None:  # All ranks gather, one stores: a host has no room for a copy of each.
            whole[id(parameter)] = value.detach().to("cpu", torch.float32)
    if folder is None:
        return
    state = {name: whole.get(id(tensor), tensor) for name, tensor in module.state_dict(keep_vars=True).items()}
    module.save_pretrained(folder, state_dict=state)
    config = json.loads((folder / "config.json").read_text(encoding="utf8"))
    config["dtype"] = "float32"
    write_json(folder / "config.json", config)


def _drop_resume_state(folder: Path) -> None:
    """Removes resume/ of a checkpoint that a newer one has replaced; its weights stay."""
    manifest = read_json(folder / "manifest.json")
    manifest["files"] = {k: v for k, v in manifest["files"].items() if not k.startswith("resume/")}
    write_json(folder / "manifest.json", manifest)
    shutil.rmtree(folder / "resume", ignore_errors=True)


def _verify(folder: Path) -> None:
    """Raises `RunDirectoryError` naming the first file that is missing or altered."""
    path = first_altered(folder)
    if path is not None:
        state = "altered" if path.is_file() else "missing"
        raise RunDirectoryError(
            f"{path}: {state} since it was saved; remove {folder} to continue from the checkpoint before it, or "
            "set train.on_damaged=previous"
        )


def _newest_intact(checkpoints: Path, *, before: int, on_damaged: str) -> int | None:
    """The newest step to continue from. A damaged checkpoint is refused, or with `previous` passed over and named."""
    resumable = [step for step in _resumable_steps(checkpoints) if step < before]
    for step in reversed(resumable):
        try:
            _verify(checkpoints / f"step{step}")
        except RunDirectoryError as error:
            if on_damaged == "refuse":
                raise
            print(f"passed over: {error}", file=sys.stderr)
        else:
            return step
    if resumable:
        raise RunDirectoryError(f"{checkpoints}: every checkpoint is damaged; remove them to start anew")
    return None


def load_latest(checkpoints: Path, *, engine: Any, before: int, on_damaged: str) -> tuple[int, Audit] | None:
    """Loads the newest resumable state into the engine and returns (step, audit so far); None: start anew.

    Collective. The audit so far is returned on rank 0 and is empty elsewhere: ranks' audits are summed on saving.
    """
    step = _newest_intact(checkpoints, before=before, on_damaged=on_damaged)
    if step is None:
        return None
    folder = checkpoints / f"step{step}"
    _store_without_pickles(engine)
    loaded, _ = engine.load_checkpoint(str(folder / "resume"), tag=_TAG)
    if loaded is None:
        raise RunDirectoryError(f"{folder}: DeepSpeed found no state in it; remove the folder to start before it")
    rank = dist.get_rank()
    state = resume_state.read(_random_state_path(folder, rank))
    torch.set_rng_state(state["cpu"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])
    return step, load_audit(folder) if rank == 0 else Audit()


def load_audit(folder: Path) -> Audit:
    """The audit of all ranks up to a checkpoint."""
    return Audit.from_json(read_json(folder / _AUDIT))
