"""Runs that several files of this folder read: a sweep of two arms, and a training on two ranks.

They are shared by the workers, so no test changes anything in them.
"""

from pathlib import Path

import pytest

from tests.conftest import TINY, made_once, run
from tests.helpers.whole_runs import NOTHING_SCORED


@pytest.fixture(scope="session")
def sweep(common_folder: Path, cache: Path) -> Path:
    """Control and intervention of the tiny demo."""

    def make(folder: Path) -> None:
        run(
            "-m", "intervention=none,masculine_to_feminine", *TINY, f"hydra.sweep.dir={folder / 'both'}",
            cwd=folder, cache=cache,
        )  # fmt: skip

    return made_once(common_folder / "sweep", make) / "both"


@pytest.fixture(scope="session")
def two_ranks(common_folder: Path, cache: Path) -> Path:
    """The training of the tiny demo on two ranks, with half the micro batch of one."""

    def make(folder: Path) -> None:
        words = ("train.num_processes=2", "train.micro_batch_rows=2", f"hydra.run.dir={folder / 'run'}")
        run(*NOTHING_SCORED, *words, cwd=folder, cache=cache)

    return made_once(common_folder / "two_ranks", make) / "run"
