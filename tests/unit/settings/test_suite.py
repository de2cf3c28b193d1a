"""Facts of suites: they are checked as settings are, and may be left out."""

import pytest

from bias_intervene.errors import SettingsError
from bias_intervene.settings import read_settings
from bias_intervene.settings.suite import StepRange, all_steps
from tests.conftest import composed


def test_steps_are_single_ones_and_ranges():
    assert all_steps([512, 0, StepRange(first=1_000, last=3_500, every=1_000), 2_000]) == (0, 512, 1_000, 2_000, 3_000)


def test_a_fact_of_another_kind_is_refused_by_its_key():
    values = composed("model=70m").to_json()
    values["model"]["facts"]["schedule"]["form"] = "sawtooth"
    values["model"]["facts"]["models"][3]["acts_as"] = "upside_down"
    with pytest.raises(SettingsError) as caught:
        read_settings(values)
    assert [fault.split(":")[0] for fault in caught.value.faults] == [
        "model.facts.models.3.acts_as", "model.facts.schedule.form",
    ]  # fmt: skip


def test_facts_may_be_left_out():
    values = composed("model=70m").to_json()
    for name in ("schedule", "row_order", "optimizer_steps"):
        del values["model"]["facts"][name]
    values["model"]["facts"]["sizes"] = {"70m": {}}
    facts = read_settings(values).model.facts  # type: ignore[union-attr]
    assert (facts.schedule, facts.row_order, facts.sizes["70m"].gpt_neox) == (None, None, None)
