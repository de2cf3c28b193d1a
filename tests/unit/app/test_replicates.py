"""A sweep over seeds whose jobs would be one training is refused."""

import pytest

from tests.helpers.seeds import faults_of_seeds

ARMS = "intervention=none,masculine_to_feminine"


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (("model=70m,410m", ARMS, "seed=1,2,3"), 4),
        (("model=70m", "intervention=none", "intervention.probability=0.5", "seed=1,2"), 1),
        (("model=70m", "intervention=retokenize", "intervention.probability=0.5", "seed=1,2"), 1),
        (("model=70m", "++seed=1,2"), 1),
        (("model=smollm2", "data.path=x", "train.num_steps=2", "data.shuffle=false", "seed=1,2"), 1),
        (("data.seed=1", "seed=1,2"), 1),
    ],
)
def test_seeds_from_which_nothing_is_drawn(words: tuple[str, ...], count: int):
    found = faults_of_seeds(*words)
    assert len(found) == count
    assert all("no replicates; set data.shuffle=true" in fault for fault in found)


@pytest.mark.parametrize(
    "words",
    [
        ("model=70m,410m", ARMS, "seed=1,2,3", "data.shuffle=true"),
        ("model=70m", ARMS, "intervention.probability=0.5", "seed=1,2"),
        (ARMS, "seed=1,2"),
        ("data.seed=1,2", ARMS),
        ("model=70m", "model.deduped=false", "model.seed=1,2", ARMS),
        ("model=70m", ARMS),
        ("model=70m", "model.step=7", "seed=1,2"),
    ],
)
def test_seeds_that_are_replicates_or_something_else(words: tuple[str, ...]):
    """Rows in another order, other rows altered, other worlds, other original trainings; a job that fails by itself."""
    assert faults_of_seeds(*words) == []


def test_the_seeds_of_an_evaluation_alone():
    (fault,) = faults_of_seeds("model=70m", "intervention.fraction=0", "seed=1,2")
    assert "nothing is trained, so every seed gives the same results; give one seed" in fault


def test_a_seed_that_is_added_to_a_sweep():
    words = ("model=70m", "seed=2")
    assert faults_of_seeds(*words) == []
    assert "seed=1,2" in faults_of_seeds(*words, earlier=(["model=70m", "seed=1"],))[0]
    assert faults_of_seeds("model=70m", "seed=2", earlier=(["model=410m", "seed=1"], ["model=410m", "seed=2"])) == []
