"""Every fault at once, by its dotted key."""

import typing
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from bias_intervene.errors import SettingsError
from bias_intervene.settings import Settings, known_keys, read_intervention, read_settings
from tests.conftest import composed


def values() -> dict:
    return composed().to_json()


def faults(changed: dict) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read_settings(changed)
    return caught.value.faults


def test_all_faults_are_reported_together():
    changed = values()
    changed["intervention"]["fraction"] = 1.5
    changed["train"]["zero_stage"] = "two"
    changed["model"]["laers"] = 3
    del changed["seed"]
    found = "\n".join(faults(changed))
    assert "intervention.fraction: found 1.5" in found
    assert "train.zero_stage: found 'two'" in found
    assert "model.laers: no such key for model.kind=world" in found
    assert "seed: missing" in found


@pytest.mark.parametrize("wrong", [-0.1, 1.01, "0.5", True])
def test_nothing_is_coerced(wrong: object):
    changed = values()
    changed["intervention"]["fraction"] = wrong
    assert "intervention.fraction" in faults(changed)[0]


def test_winobias_without_a_protocol_is_refused():
    changed = values()
    changed["evals"]["winobias"]["protocols"] = []
    assert faults(changed) == [
        "evals.winobias.protocols: found []; name a protocol at least, or switch WinoBias off: "
        "evals.winobias.enabled=false"
    ]


def test_a_key_of_another_model_is_refused():
    changed = values()
    changed["model"]["deduped"] = True
    assert "model.deduped: no such key for model.kind=world" in faults(changed)[0]


def test_the_keys_of_a_suite_are_those_its_facts_list():
    changed = composed("model=70m").to_json()
    changed["model"]["dedupd"] = changed["model"].pop("deduped")
    assert faults(changed) == [
        'model.dedupd: no such key for model.suite=pythia; did you mean "deduped"?',
        "model.deduped: missing",
    ]


def test_settings_of_a_version_that_knew_one_suite_are_read():
    model = {
        "kind": "pythia", "name": "70m", "deduped": False, "seed": 3, "variant": "original", "step": 1000, "path": None,
        "default_fraction": 0.07,
    }  # fmt: skip
    now = composed("model=70m", "model.deduped=false", "model.seed=3", "model.step=1000")
    assert read_settings({**now.to_json(), "model": model}) == now


def test_suggestions():
    changed = values()
    changed["intervention"]["fractoin"] = 0.1
    assert 'did you mean "fraction"?' in faults(changed)[0]


def test_settings_survive_json():
    settings = composed("model=70m")
    assert read_settings(settings.to_json()) == settings


def groups_in(annotation: object) -> list[type[BaseModel]]:
    """The classes of settings in an annotation, also within unions, lists and choices."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [group for part in typing.get_args(annotation) for group in groups_in(part)]


def keys_without_a_sentence(group: type[BaseModel]) -> list[str]:
    """Dotted keys below a class of settings. A group's sentence is its docstring, and so is that of its `kind`."""
    missing = [] if "__doc__" in vars(group) and group.__doc__ else [group.__name__]
    for name, field in group.model_fields.items():
        below = groups_in(field.annotation)
        missing += [key for part in below for key in keys_without_a_sentence(part)]
        if not below and name != "kind" and not field.description:
            missing.append(f"{group.__name__}.{name}")
    return missing


def test_every_key_has_a_sentence():
    assert keys_without_a_sentence(Settings) == []


def test_a_key_of_any_type_without_a_sentence_is_noticed():
    class Inner(BaseModel):
        """A group."""

        choice: Literal["a", "b"]
        several: list[str] | None
        number: int = Field(description="It has one.")

    class Outer(BaseModel):
        inner: list[Inner] | None
        kind: Literal["outer"]

    assert keys_without_a_sentence(Outer) == ["Outer", "Inner.choice", "Inner.several"]


def test_floats_that_differ_in_their_last_digit_are_one_setting():
    """0.1 + 0.2, as range(0.1,0.4,0.1) makes it, is 0.3: on the command line, in settings.json, in a preview."""
    sloppy = composed(
        "intervention.probability=0.30000000000000004", "data.bias_log_odds=1.1000000000000001", "sweep=x"
    )
    assert sloppy == composed("intervention.probability=0.3", "data.bias_log_odds=1.1", "sweep=x")
    stored = sloppy.to_json()
    stored["intervention"]["probability"] = 0.1 + 0.2
    assert read_settings(stored) == sloppy
    assert read_intervention("both", {"probability": 0.7 + 0.1}).probability == 0.8
    assert read_intervention("both", {"probability": 1.0000000000000002}).probability == 1


def numbers_without_a_bound(part: typing.Any, place: str = "") -> list[str]:
    """Places in a JSON schema where a number may be as large as one likes."""
    if not isinstance(part, dict | list):
        return []
    part = dict(enumerate(part)) if isinstance(part, list) else part
    is_number, bounds = part.get("type") in ("integer", "number"), {"maximum", "exclusiveMaximum"}
    own = [place] if is_number and not bounds & part.keys() else []
    return own + [found for key, below in part.items() for found in numbers_without_a_bound(below, f"{place}/{key}")]


def test_every_number_has_an_upper_bound():
    """But for values of options that choose among published models, which are looked up."""
    found = numbers_without_a_bound(Settings.model_json_schema())
    assert [place for place in found if "/where/" not in place and "SuiteModel/additionalProperties" not in place] == []


@pytest.mark.parametrize(
    ("override", "largest"),
    [
        ("model.total_steps=100000000000", "2000000"),
        ("data.heldout_rows=100001", "100000"),
        ("seed=4294967296", "4294967295"),
        ("train.num_threads=1000000", "1024"),
        ("data.bias_log_odds=1e3", "50"),
        ("train.learning_rate=1.5", "1"),
    ],
)
def test_a_number_beyond_its_bound_is_refused_with_the_bound(override: str, largest: str):
    with pytest.raises(SettingsError, match=rf"{override.split('=')[0]}: found .* less than or equal to {largest}"):
        composed(override)


def test_known_keys():
    assert {"seed", "model.step", "evals.winobias.path", "data.bias_log_odds"} <= set(known_keys())
    assert "model.deduped" in known_keys("model", "suite")
    assert "model.deduped" not in known_keys("model", "world")
