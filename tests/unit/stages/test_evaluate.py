"""Which checkpoints are scored."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from bias_intervene.errors import RunDirectoryError
from bias_intervene.record import write_manifest
from bias_intervene.stages import evaluate


def saved(run_dir: Path) -> Path:
    """A checkpoint as a run saves it."""
    folder = run_dir / "training" / "checkpoints" / "step20"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_text("1")
    write_manifest(folder, step=20)
    return folder


def test_own_checkpoints_are_scored_only_as_they_were_saved(tmp_path: Path):
    folder = saved(tmp_path)
    plan = SimpleNamespace(start_step=10, evaluated_steps=(10, 20), published_steps=())
    inputs = {"base": str(tmp_path / "base"), "published": {}}
    scored = evaluate._checkpoints(tmp_path, plan, inputs)  # type: ignore[arg-type]
    assert [(checkpoint.step, checkpoint.folder) for checkpoint in scored] == [(10, tmp_path / "base"), (20, folder)]
    (folder / "model.safetensors").write_text("2")
    with pytest.raises(RunDirectoryError, match=r"model\.safetensors: altered since it was saved; put it back, or"):
        evaluate._checkpoints(tmp_path, plan, inputs)  # type: ignore[arg-type]
    (folder / "manifest.json").unlink()
    with pytest.raises(RunDirectoryError, match=r"manifest\.json: missing since it was saved"):
        evaluate._checkpoints(tmp_path, plan, inputs)  # type: ignore[arg-type]
