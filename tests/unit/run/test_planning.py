"""The plan says what the manipulation check is to look for."""

import json

import pytest

from bias_intervene.interventions import INTERVENTIONS
from bias_intervene.plan import Plan
from bias_intervene.run.planning import plan_of
from tests.conftest import composed


@pytest.mark.parametrize("name", INTERVENTIONS)
def test_the_effect_of_the_intervention(name: str):
    assert plan_of(composed(f"intervention={name}")).expected_effect == INTERVENTIONS[name].expected_effect


@pytest.mark.parametrize("variant", ["intervention", "intervention_long"])
def test_the_effect_of_a_released_model_is_that_of_its_own_intervention(variant: str):
    plan = plan_of(composed("model=1.4b", f"model.variant={variant}", "intervention=none", "intervention.fraction=0"))
    assert plan.arm == f"released_{variant}"
    assert plan.expected_effect == INTERVENTIONS["masculine_to_feminine"].expected_effect


def test_it_survives_plan_json_and_plans_of_earlier_versions_have_none():
    plan = plan_of(composed("intervention=both"))
    values = json.loads(json.dumps(plan.to_json()))
    assert values["expected_effect"] == {
        "benchmark": "pronouns", "protocol": "prompts", "subset": "occupations", "metric": "occupation_gap", "sign": -1,
        "margin": 0.2,
    }  # fmt: skip
    assert Plan.from_json(values) == plan
    del values["expected_effect"]
    assert Plan.from_json(values).expected_effect is None
