"""What the stages are given; whole runs are in test_run."""

from pathlib import Path
from typing import Any

import pytest

from bias_intervene.run import pipeline
from tests.conftest import composed


@pytest.mark.parametrize("stage", ["prepare", "train", "evaluate"])
def test_every_stage_keeps_to_its_threads(stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Two jobs on one machine share its cores in the evaluation too."""
    given: list[dict[str, Any]] = []
    monkeypatch.setattr(pipeline.launch, "run_stage", lambda *_, **asked: given.append(asked))
    pipeline.stage(stage, tmp_path, composed("experiment=demo", "train.num_threads=3"))
    assert [asked["num_threads"] for asked in given] == [3]
