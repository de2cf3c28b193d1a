"""One run of two arms that the tests of this folder read."""

from pathlib import Path

import pytest

from tests.conftest import TINY, run


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """Control and intervention of the tiny demo."""
    folder = tmp_path_factory.mktemp("sweep")
    run(
        "-m", "intervention=none,masculine_to_feminine", *TINY, f"hydra.sweep.dir={folder / 'both'}",
        cwd=folder, cache=cache,
    )  # fmt: skip
    return folder / "both"
