"""A tiny model with random weights and the tokenizer of a tiny world."""

import shutil
from pathlib import Path

import pytest
import torch

from bias_intervene import models
from bias_intervene.data import world
from bias_intervene.evals.scoring import Scorer
from bias_intervene.models import world_model
from bias_intervene.settings import WorldData, WorldModel
from tests.conftest import TINY, composed


@pytest.fixture(scope="session")
def world_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = composed("model=demo", *TINY)
    assert isinstance(settings.data, WorldData)
    assert isinstance(settings.model, WorldModel)
    _, folder = world.prepare_world(settings.data, settings.model, tmp_path_factory.mktemp("evals"))
    world_model.save_world_tokenizer(folder / "tokenizer.json", folder / "tokenizer")
    return folder


@pytest.fixture(scope="session")
def scorer(world_folder: Path) -> Scorer:
    model = composed("model=demo", *TINY).model
    assert isinstance(model, WorldModel)
    tokenizer = models.load_tokenizer(world_folder / "tokenizer")
    made = world_model.new_world_model(model, seed=0, end_of_text_id=tokenizer.end_of_text_id)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(20 if parameter.ndim > 1 else 1)
    return Scorer(made, tokenizer, device=torch.device("cpu"), batch_tokens=64)


@pytest.fixture
def base(tmp_path: Path, scorer: Scorer, world_folder: Path) -> Path:
    """The model as a checkpoint on disk."""
    folder = tmp_path / "base"
    shutil.copytree(world_folder / "tokenizer", folder)
    scorer.model.save_pretrained(folder)
    return folder
