"""The figure of planned against original learning rates."""

from pathlib import Path

from bias_intervene.plan import make_plan
from bias_intervene.training.figure import curves, draw
from tests.conftest import composed


def test_the_curves_are_the_schedules():
    plan = make_plan(composed("model=70m", "train.rewarmup_steps=100"))
    planned, original = curves(plan)
    assert original is not None
    assert original[0][0] == 0
    assert original[0][-1] == 142_999
    assert (planned[0][0], planned[0][-1]) == (133_000, 142_999)
    assert planned[1][0] < original[1][-1]
    assert planned[1][-1] == original[1][-1] == 1e-4


def test_a_model_without_a_history_has_one_curve():
    plan = make_plan(composed("model=smollm2", "data.path=x", "train.num_steps=3"))
    planned, original = curves(plan)
    assert original is None
    assert planned == ([0, 1, 2], [5e-5] * 3)


def test_it_is_a_png(tmp_path: Path):
    draw(make_plan(composed("model=70m", "train.schedule=constant", "train.learning_rate=1e-4")), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
