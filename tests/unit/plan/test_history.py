"""The original training of a model: the facts of Pythia against published numbers, and models never published."""

import pytest

from bias_intervene.errors import PlanError
from bias_intervene.plan import pile_rows
from bias_intervene.plan.history import History, history, neighbours
from tests.conftest import composed


def known(*overrides: str) -> History:
    original = history(composed(*overrides).model)
    assert original is not None
    return original


@pytest.mark.parametrize(
    ("size", "parameters", "peak"),
    [
        ("14m", 14_067_712, 1e-3), ("31m", 30_494_720, 1e-3), ("70m", 70_426_624, 1e-3), ("160m", 162_322_944, 6e-4),
        ("410m", 405_334_016, 3e-4), ("1b", 1_011_781_632, 2.5e-4), ("1.4b", 1_414_647_808, 2e-4),
        ("2.8b", 2_775_208_960, 1.6e-4), ("6.9b", 6_857_302_016, 1.2e-4), ("12b", 11_846_072_320, 1.2e-4),
    ],
)  # fmt: skip
def test_sizes_are_those_of_the_model_cards(size: str, parameters: int, peak: float):
    original = known(f"model={size}")
    assert original.shape is not None
    assert original.learning_rate is not None
    assert original.shape.num_parameters == parameters
    assert (original.learning_rate.peak, original.learning_rate.minimum) == (peak, peak * 0.1)
    assert original.learning_rate.warmup_steps == 1_430


def test_pythia_was_published_at_154_steps():
    steps = known("model=70m").checkpoint_steps
    assert len(steps) == 154
    assert steps[:4] == (0, 1, 2, 4)
    assert steps[-2:] == (142_000, 143_000)
    assert known("model=70m").revision_of(142_000) == "step142000"


def test_the_rows_of_a_model_are_those_it_was_trained_on():
    assert known("model=70m").rows_repository == pile_rows.DEDUPED_REPOSITORY
    assert known("model=70m", "model.deduped=false", "model.seed=9").rows_repository == pile_rows.STANDARD_REPOSITORY


def test_the_generated_world_s_model_has_a_history_too():
    original = known("model=demo")
    assert (original.repository, original.checkpoint_steps[:3], original.row_order) == (
        "world/demo",
        (0, 50, 100),
        "world",
    )
    assert original.random_steps == (0,)


def test_of_other_models_nothing_is_known():
    assert history(composed("model=smollm2", "data.path=x", "train.num_steps=1").model) is None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("model.name=70b",), r'no size "70b" of pythia; did you mean "70m"'),
        (("model.seed=3",), r"model\.seed=3, .* was published; .* model\.seed=null or model\.deduped=false"),
        (
            ("model=1.4b", "model.deduped=false", "model.seed=3"),
            r"there are model\.seed=null or model\.name=14m, 31m, 70m, 160m, 410m$",
        ),
        (("model.deduped=false", "model.seed=10"), r"model\.seed=null or model\.seed=1, 2, 3, 4, 5, 6, 7, 8, 9$"),
        # True equals 1 in Python, and is no seed.
        (("model.deduped=false", "model.seed=true"), r"no such model of pythia was published"),
        (
            ("model=160m", "model.variant=intervention"),
            r"model\.variant=original or model\.name=70m, 410m, 1\.4b, 6\.9b$",
        ),
        (("model=1.4b", "model.variant=other"), r"model\.variant=original or model\.variant=intervention or"),
    ],
)
def test_a_model_that_was_never_published_is_refused_with_those_that_were(overrides: tuple[str, ...], message: str):
    with pytest.raises(PlanError, match=message):
        known("model=70m", *overrides)


def test_nearest_checkpoints():
    steps = known("model=70m").checkpoint_steps
    assert neighbours(132_990, steps) == (132_000, 133_000)
    assert neighbours(133_000, steps) == (133_000,)
    assert neighbours(700, steps) == (512, 1_000)
