"""What the tests share: composed settings, a cache for generated worlds, the optional ../shared data."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from bias_intervene import app
from bias_intervene.settings import Settings

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = REPOSITORY.parent / "shared" / "data"

TINY = (
    "model.num_layers=1", "model.hidden_size=32", "model.num_heads=2", "model.sequence_length=32",
    "model.batch_rows=4", "model.total_steps=20", "model.warmup_steps=2", "model.checkpoint_interval=10",
    "model.default_fraction=0.5", "data.heldout_rows=8", "train.sequence_length=32", "train.global_batch_rows=4",
    "train.micro_batch_rows=4", "train.save_interval=5", "evals.saved=last", "train.num_threads=1",
)  # fmt: skip
"""Overrides that make the demo a matter of seconds."""


def composed(*overrides: str) -> Settings:
    """The settings of a command line."""
    with initialize_config_dir(app.conf_dir(), version_base="1.3"):
        return app.settings_of(compose("config", overrides=list(overrides)))


def run(*words: str, module: str = "bias_intervene", cwd: Path, cache: Path, check: int | None = 0, **more: str):
    """Runs a command as a user would; asserts its exit status."""
    done = subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=cwd,
        env={**os.environ, "BIAS_INTERVENE_CACHE": str(cache), "HF_HUB_OFFLINE": "1", **more},
        capture_output=True,
        text=True,
        timeout=600,
    )
    if check is not None:
        assert done.returncode == check, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


def curve(run_dir: Path) -> list[dict]:
    """The lines of training/metrics.jsonl."""
    return [json.loads(line) for line in (run_dir / "training" / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the session: the tiny world's model is pretrained once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def shared() -> Path:
    """../shared/data, or a skip that says so."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there; this test reads the published benchmark files")
    return SHARED
