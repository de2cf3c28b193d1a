"""The steps that a request asks for, and every request that no published checkpoint can meet."""

import pytest

from bias_intervene.errors import PlanError
from bias_intervene.plan import make_plan
from tests.conftest import composed


def plan(*overrides: str):
    return make_plan(composed(*overrides))


def test_a_fraction_begins_at_the_nearest_published_step():
    made = plan("model=6.9b", "intervention.fraction=0.07")
    assert (made.start_step, made.num_steps, made.asked_fraction) == (133_000, 10_000, 0.07)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("model=6.9b", "intervention.fraction=0.001"), r"step 142857 .* the last one \(143000\).*142000.*0\.00699"),
        (("model=70m", "model.step=133500"), r"nearest: 133000 and 134000"),
        (("model=70m", "model.step=133000", "intervention.fraction=0.07"), r"set one of them"),
        (("model=70m", "train.num_steps=1500"), r"nearest: 141000 and 142000"),
        (("model=70m", "train.num_steps=900000"), r"num_steps=900000 without a fraction: .* has 143000 steps"),
        (("model=70m", "model.step=142000", "train.num_steps=2000"), r"has 1000 steps left"),
        (("model=70m", "train.global_batch_rows=512"), r"original training read 1024"),
        (("model=70m", "data=world"), r"model=demo data=world"),
        (("model=demo", "data=text", "data.path=x"), r"belong together"),
        (("model=smollm2", "data.path=x"), r"train\.num_steps: needed"),
        (("model=smollm2", "data.path=x", "intervention.fraction=0.1"), r"set train\.num_steps instead"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(overrides: tuple[str, ...], message: str):
    with pytest.raises(PlanError, match=message):
        plan(*overrides)


def test_a_trajectory_trains_nothing():
    made = plan("model=410m", "evals=trajectory", "evals.steps=[143000,113000,1000]")
    assert (made.num_steps, made.evaluated_steps, made.published_steps) == (0, (), (1_000, 113_000, 143_000))
    assert made.arm == "none"
    assert "perplexity" not in made.benchmarks


def test_published_checkpoints_beside_a_training():
    made = plan("model=410m", "evals.steps=[132000,133000,134000]", "evals.base=true")
    assert made.evaluated_steps[:2] == (133_000, 134_000)
    # The base is scored as such; the last one is a control of its own.
    assert made.published_steps == (132_000, 134_000, 143_000)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("model=410m", "evals=trajectory"), r"evals\.steps: none given; name the checkpoints"),
        (("model=410m", "evals.steps=[134500]"), r"evals\.steps: no checkpoint of step 134500.*134000 and 135000"),
        (
            ("model=local", "model.path=x", "data=text", "data.path=x", "train.num_steps=0", "evals.steps=[1]"),
            r"evals\.steps=\[1\]: which checkpoints of .* were published is not known",
        ),
        (("model=demo", "evals.steps=[0]"), "step 0 of world/demo holds random weights"),
        (
            ("model=160m", "model.variant=intervention", "intervention.fraction=0"),
            r"model\.name=70m, 410m, 1\.4b, 6\.9b",
        ),
        (("model=70m", "model.variant=intervention"), r"evaluated, not trained further; set intervention\.fraction=0"),
        (
            ("model=70m", "model.variant=intervention", "intervention.fraction=0", "evals.steps=[133000]"),
            r"no checkpoint of step 133000 was published; the nearest: 134000",
        ),
    ],
)
def test_checkpoints_that_are_not_published(words: tuple[str, ...], message: str):
    with pytest.raises(PlanError, match=message):
        plan(*words)
