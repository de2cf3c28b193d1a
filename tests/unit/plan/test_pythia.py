"""Facts of the suite against published numbers."""

import pytest

from bias_intervene.plan import pythia


@pytest.mark.parametrize(
    ("size", "parameters"),
    [
        ("14m", 14_067_712), ("31m", 30_494_720), ("70m", 70_426_624), ("160m", 162_322_944), ("410m", 405_334_016),
        ("1b", 1_011_781_632), ("1.4b", 1_414_647_808), ("2.8b", 2_775_208_960), ("6.9b", 6_857_302_016),
        ("12b", 11_846_072_320),
    ],
)  # fmt: skip
def test_parameter_counts_are_the_model_cards(size: str, parameters: int):
    assert pythia.SIZES[size].num_parameters == parameters


def test_there_are_154_checkpoints():
    assert len(pythia.CHECKPOINT_STEPS) == 154
    assert pythia.CHECKPOINT_STEPS[:4] == (0, 1, 2, 4)
    assert pythia.CHECKPOINT_STEPS[-2:] == (142_000, 143_000)


def test_nearest_checkpoints():
    assert pythia.neighbours(132_990, pythia.CHECKPOINT_STEPS) == (132_000, 133_000)
    assert pythia.neighbours(133_000, pythia.CHECKPOINT_STEPS) == (133_000,)
    assert pythia.neighbours(700, pythia.CHECKPOINT_STEPS) == (512, 1_000)
