"""The learning rate against the protocol's formula and its known facts."""

import pytest

from bias_intervene.plan import Schedule, make_plan
from bias_intervene.training.schedule import learning_rate
from tests.conftest import composed


def schedule(**changed) -> Schedule:
    original = {
        "kind": "original", "peak": 1e-3, "minimum": 1e-4, "warmup_steps": 1430, "total_steps": 143_000,
        "start_step": 0, "rewarmup_steps": 0,
    }  # fmt: skip
    return Schedule(**{**original, **changed})


def test_known_points_of_the_original():
    assert learning_rate(715, schedule()) == pytest.approx(5e-4)
    assert learning_rate(1430, schedule()) == pytest.approx(1e-3)
    assert learning_rate(1430 + 71_500, schedule()) == pytest.approx(5e-4)
    assert learning_rate(115_000, schedule()) > 1e-4
    assert learning_rate(115_200, schedule()) == 1e-4
    assert learning_rate(142_999, schedule()) == 1e-4


def test_a_run_goes_on_at_the_originals_rate():
    plan = make_plan(composed("model=1.4b", "intervention.fraction=0.21"))
    assert learning_rate(113_000, plan.schedule) == pytest.approx(2.2e-5, rel=0.05)
    assert learning_rate(133_000, plan.schedule) == pytest.approx(2e-5)


def test_nothing_is_learned_before_the_window():
    assert learning_rate(99, schedule(start_step=100)) == 0.0
    assert learning_rate(100, schedule(start_step=100)) > 0


def test_the_ramp_ends_on_the_schedule():
    ramped = schedule(kind="constant", start_step=100, rewarmup_steps=4)
    assert [learning_rate(s, ramped) for s in range(100, 105)] == pytest.approx([2.5e-4, 5e-4, 7.5e-4, 1e-3, 1e-3])
