"""Openings of the manipulation check."""

import pytest

from bias_intervene.errors import DataError
from bias_intervene.evals.benchmarks import prompts
from bias_intervene.settings import PronounsSettings, WorldData


def test_every_form_has_openings_about_nobody_and_about_occupations():
    found = prompts.read(PronounsSettings(enabled=True, source="english"), world_data=None)
    assert len({one.item for one in found}) == len(found)
    assert len({one.text for one in found}) == len(found)
    for form in prompts.FORMS:
        of_form = [one for one in found if one.form == form]
        assert {one.subset for one in of_form} == {"neutral", "female_leaning", "male_leaning"}
    nurse = [one.text for one in found if one.cluster == "nurse" and one.form == "she_he"]
    assert nurse == ["The nurse said that", "The nurse was tired because"]
    neutral = [one for one in found if one.subset == "neutral"]
    assert all(one.cluster == one.text for one in neutral)


def test_the_worlds_truth_is_known():
    data = WorldData(kind="world", seed=1, bias_log_odds=2.0, heldout_rows=0)
    found = prompts.read(PronounsSettings(enabled=True, source="world"), world_data=data)
    assert {one.planted_log_odds for one in found if one.cluster == "nurse"} == {-2.0}
    with pytest.raises(DataError, match="no generated world; use english"):
        prompts.read(PronounsSettings(enabled=True, source="world"), world_data=None)
