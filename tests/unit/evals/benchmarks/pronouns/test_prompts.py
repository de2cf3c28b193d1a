"""Openings of the manipulation check."""

import itertools

import pytest

from bias_intervene.data import world
from bias_intervene.errors import DataError
from bias_intervene.evals.benchmarks.pronouns import prompts
from bias_intervene.settings import PronounsSettings
from tests.conftest import world_data


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
    data = world_data(seed=1, bias_log_odds=2.0, heldout_rows=0)
    found = prompts.read(PronounsSettings(enabled=True, source="world"), world_data=data)
    assert {one.planted_log_odds for one in found if one.cluster == "nurse"} == {-2.0}
    assert not any(one.unmentioned for one in found)
    with pytest.raises(DataError, match="no generated world; use english"):
        prompts.read(PronounsSettings(enabled=True, source="world"), world_data=None)


def test_a_second_family_of_openings_that_no_row_holds():
    data = world_data(seed=1, unmentioned=4)
    found = prompts.read(PronounsSettings(enabled=True, source="world"), world_data=data)
    unseen = [one for one in found if one.family == "unseen"]
    assert len(unseen) == 4 * 28
    written = " ".join(itertools.islice(world.documents(data), 3000))
    openings = [one.text for one in found if one.family == "prompts" and one.form == "she_he"]
    assert sum(text in written for text in openings) > 0.9 * len(openings)
    assert not any(text in written for text in (one.text for one in unseen))
    sheriff = next(one for one in unseen if one.cluster == "sheriff")
    assert sheriff.subsets == ["all", "male_leaning", "unmentioned"]
    assert sheriff.planted_log_odds == pytest.approx(2.5 * (2 * 17 / 19 - 1))
