"""What the tests share: composed settings, a cache for generated worlds, the optional ../shared data."""

import argparse
import functools
import inspect
import json.decoder
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from pydoc_data.topics import topics

import pytest
from hydra import compose, initialize_config_dir
from hypothesis import HealthCheck, settings
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from bias_intervene.app import job
from bias_intervene.interventions.lexicon import ROLES
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
    """One cache for the session: the tiny world's model is pretrained once. tests.mutations hands one on."""
    given = os.environ.get("BIAS_INTERVENE_TEST_CACHE")
    return Path(given) if given else tmp_path_factory.mktemp("cache")


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
