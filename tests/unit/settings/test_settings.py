"""Every fault at once, by its dotted key."""

import pytest

from bias_intervene.errors import SettingsError
from bias_intervene.settings import Settings, alternatives, known_keys, read_settings
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


def test_a_key_of_another_model_is_refused():
    changed = values()
    changed["model"]["deduped"] = True
    assert "model.deduped: no such key for model.kind=world" in faults(changed)[0]


def test_suggestions():
    changed = values()
    changed["intervention"]["fractoin"] = 0.1
    assert 'did you mean "fraction"?' in faults(changed)[0]


def test_settings_survive_json():
    settings = composed("model=70m")
    assert read_settings(settings.to_json()) == settings


def test_every_key_has_a_sentence():
    def walk(model):
        for name, field in model.model_fields.items():
            for kind in alternatives(field.annotation):
                if hasattr(kind, "model_fields"):
                    yield from walk(kind)
                elif name != "source" or field.description is not None:
                    yield f"{model.__name__}.{name}", field.description

    assert [name for name, sentence in walk(Settings) if not sentence] == []


def test_known_keys():
    assert {"seed", "model.step", "evals.winobias.path", "data.bias_log_odds"} <= set(known_keys())
    assert "model.deduped" in known_keys("model", "pythia")
    assert "model.deduped" not in known_keys("model", "world")
