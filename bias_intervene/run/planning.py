"""The plan of a run, with the effect that its intervention is expected to have.

Input: settings. Output: the plan that plan.json holds. Guarantees: the manipulation check finds in the plan what it
looks for, so no part of the program that reads records holds a list of interventions. `plan` cannot look it up itself,
because it is on one floor with `interventions`.
"""

from collections.abc import Iterable

from bias_intervene.interventions import INTERVENTIONS
from bias_intervene.plan import Plan, draws_from_seed, history, make_plan
from bias_intervene.results import ExpectedEffect
from bias_intervene.settings import Settings


def plan_of(settings: Settings, *, given: Iterable[str] = ()) -> Plan:
    """The plan of a run. given: keys of the command line. Raises `PlanError`."""
    swaps_pronouns = INTERVENTIONS[settings.intervention.name].swaps_pronouns
    return make_plan(settings, expected_effect=_expected_effect(settings), swaps_pronouns=swaps_pronouns, given=given)


def draws_from_its_seed(settings: Settings) -> bool:
    """Whether two runs of these settings that differ in `seed` alone can differ in their weights."""
    swaps_pronouns = INTERVENTIONS[settings.intervention.name].swaps_pronouns
    return draws_from_seed(settings, trains=plan_of(settings).trains, swaps_pronouns=swaps_pronouns)


def _expected_effect(settings: Settings) -> ExpectedEffect | None:
    """The effect of the run's intervention, or of the one that an altered model it evaluates is said to act like."""
    known = history(settings.model)
    return INTERVENTIONS[(known.acts_as if known else None) or settings.intervention.name].expected_effect
