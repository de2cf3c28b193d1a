"""What the tests share: composed settings, a cache for generated worlds, the optional ../shared data."""

import argparse
import functools
import inspect
import json.decoder
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics

import pytest
from filelock import FileLock
from hydra import compose, initialize_config_dir
from hypothesis import HealthCheck, settings
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from bias_intervene.app import job
from bias_intervene.pronouns import ROLES
from bias_intervene.settings import InterventionSettings, Settings, WorldData, conf_dir, read_intervention


def pytest_addoption(parser: pytest.Parser) -> None:
    """The second lane."""
    parser.addoption("--all", action="store_true", help="run the slow tests too: kills, ranks, resumes, sweeps, worlds")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without --all, tests marked slow are left out, and the closing line counts them as deselected."""
    if config.getoption("--all"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if not item.get_closest_marker("slow")]


# No test fails because a machine is slow.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = REPOSITORY.parent / "shared" / "data"

TINY = (
    "model.num_layers=1", "model.hidden_size=32", "model.num_heads=2", "model.sequence_length=32",
    "model.batch_rows=4", "model.total_steps=20", "model.warmup_steps=2", "model.checkpoint_interval=10",
    "model.default_fraction=0.5", "data.heldout_rows=8", "train.sequence_length=32", "train.global_batch_rows=4",
    "train.micro_batch_rows=4", "train.save_interval=5", "evals.saved=last", "train.num_threads=1",
)  # fmt: skip
"""Overrides that make the demo a matter of seconds."""
NO_BENCHMARKS = (
    "evals.crows_pairs.enabled=false", "evals.winobias.enabled=false", "evals.lambada.enabled=false",
    "evals.perplexity.enabled=false", "evals.published_final=false",
)  # fmt: skip
"""Overrides that leave nothing to score but the manipulation check."""


def composed(*overrides: str) -> Settings:
    """The settings of a command line."""
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        return job.settings_of(compose("config", overrides=list(overrides)))


def intervention(name: str, **changed) -> InterventionSettings:
    """The settings of an intervention, with its defaults."""
    return read_intervention(name, changed)


def world_data(**changed) -> WorldData:
    """The settings of a generated world, with the defaults of conf/."""
    data = composed("data=world", *(f"data.{key}={value}" for key, value in changed.items())).data
    assert isinstance(data, WorldData)
    return data


def run(*words: str, module: str = "bias_intervene", cwd: Path, cache: Path, check: int | None = 0, **more: str):
    """Runs a command as a user would, in a new process; asserts its exit status. See also `helpers.forked`."""
    done = subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=cwd,
        env={**os.environ, "BIAS_INTERVENE_CACHE": str(cache), "HF_HUB_OFFLINE": "1", **more},
        capture_output=True,
        text=True,
        timeout=600,
    )
    return exit_status_is(check, done)


def exit_status_is(expected: int | None, done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    """`done`, its exit status asserted unless `expected` is None."""
    if expected is not None:
        assert done.returncode == expected, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


def curve(run_dir: Path) -> list[dict]:
    """The lines of training/metrics.jsonl."""
    return [json.loads(line) for line in (run_dir / "training" / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="session")
def common_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the session that both workers of pytest-xdist see."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """`folder`, made by the worker that needs it first; the other one waits for it. `make` is given the empty folder.

    A folder that could not be made is removed, so that the other worker's test fails with the reason too.
    """
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            folder.mkdir(parents=True)
            try:
                make(folder)
            except BaseException:
                shutil.rmtree(folder)
                raise
    return folder


@pytest.fixture(scope="session")
def cache(common_folder: Path) -> Path:
    """One cache for the session: a tiny world's model is pretrained once. tests.mutations hands one on.

    Both workers write to it; the application locks a pretraining. A test that counts what is in a cache takes its own.
    """
    given = os.environ.get("BIAS_INTERVENE_TEST_CACHE")
    return Path(given) if given else common_folder / "cache"


@pytest.fixture(scope="session")
def shared() -> Path:
    """../shared/data, or a skip that says so."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there; this test reads the published benchmark files")
    return SHARED


# --- tokenizers and text ---------------------------------------------------------------------------------------


def english() -> list[str]:
    """English prose and markup that every Python brings: its own help topics."""
    return list(topics.values())


def source_code() -> list[str]:
    """Code that every Python brings."""
    return [inspect.getsource(module) for module in (argparse, textwrap, json.decoder, subprocess)]


SENTENCES = " ".join(
    f"{subject.title()} said that {subject} hurt {reflexive}. They saw {object_}; {object_} and {determiner} dog. "
    f"{subject.upper()} LEFT WITH {determiner.upper()} COAT, and it was {alone}. {determiner.title()} key."
    for subject, object_, determiner, alone, reflexive in (tuple(forms.values()) for forms in ROLES.values())
)


def trained(kind: str, size: int = 2000) -> Tokenizer:
    """A byte-level BPE tokenizer, trained once a process; each caller gets a copy. kind: gpt2, neox (NFC, tokens for
    runs of spaces) or smollm2 (digits one by one)."""
    return Tokenizer.from_str(_trained(kind, size))


@functools.cache
def _trained(kind: str, size: int) -> str:
    """The tokenizer in JSON."""
    tokenizer = Tokenizer(models.BPE())
    split: list = [pre_tokenizers.ByteLevel(add_prefix_space=False)]
    if kind == "smollm2":
        split.insert(0, pre_tokenizers.Digits(individual_digits=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(split) if len(split) > 1 else split[0]
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<|endoftext|>", "<|padding|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*english(), *[SENTENCES] * 40, *source_code()], trainer)
    if kind == "neox":
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.add_tokens([AddedToken(" " * count, normalized=False) for count in range(24, 1, -1)])
    return tokenizer.to_str()


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return trained("gpt2")
