"""What may be claimed."""

import pytest

from bias_intervene.errors import SettingsError
from bias_intervene.settings import read_settings
from tests.conftest import composed


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (
            {"metric": "winobias", "direction": "lower"},
            r"claims\.0\.metric: found 'winobias'; must be BENCHMARK/PROTOCOL",
        ),
        ({"metric": "a/b//d", "direction": "lower"}, r"claims\.0\.metric: found 'a/b//d'"),
        (
            {"metric": "a/b/c/d", "direction": "less"},
            r"claims\.0\.direction: found 'less'; input should be 'higher', 'lo",
        ),
        ({"metric": "a/b/c/d", "direction": "equal"}, r"claims\.0: .*direction equal needs a margin"),
        (
            {"metric": "a/b/c/d", "direction": "lower", "margin": 0.0},
            r"claims\.0\.margin: found 0\.0; input should be gr",
        ),
        (
            {"metric": "a/b/c/d", "direction": "lower", "margn": 1.0},
            r'claims\.0\.margn: no such key; did you mean "margin"',
        ),
        ({"direction": "lower"}, r"claims\.0\.metric: missing"),
    ],
)
def test_what_is_no_claim_is_refused(claim: dict, message: str):
    with pytest.raises(SettingsError, match=message):
        read_settings(composed().to_json() | {"claims": [claim]})


def test_claims_are_kept_as_they_are_recorded():
    stated = [{"metric": "crows_pairs/likelihood/gender/stereo/*", "direction": "lower", "margin": None}]
    assert read_settings(composed().to_json() | {"claims": stated}).to_json()["claims"] == stated


def test_settings_of_before_there_were_claims_have_none():
    values = composed().to_json()
    del values["claims"]
    assert read_settings(values).claims == []
