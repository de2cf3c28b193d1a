"""Every intervention is described once, and the description is true."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from tokenizers import Tokenizer

from bias_intervene.interventions import INTERVENTIONS
from bias_intervene.interventions.lexicon import DIRECTIONS
from bias_intervene.interventions.row_swap import RowSwap
from bias_intervene.settings import InterventionName
from bias_intervene.settings.reading import conf_dir
from tests.conftest import REPOSITORY, intervention

TEXT = "The guard said that he lost his key and saw her."


def test_every_name_has_an_entry_a_yaml_and_a_kind():
    names = set(get_args(InterventionName))
    assert names == set(INTERVENTIONS) == {path.stem for path in (Path(conf_dir()) / "intervention").glob("[!_]*.yaml")}
    assert {name for name, entry in INTERVENTIONS.items() if entry.kind == "rule"} == set(DIRECTIONS)


@pytest.mark.parametrize("entry", INTERVENTIONS.values(), ids=lambda entry: entry.name)
def test_an_entry_acts_in_exactly_one_way(entry):
    ways = (entry.direction, entry.rewrite, entry.token_map)
    assert sum(way is not None for way in ways) == 1


@pytest.mark.parametrize("name", INTERVENTIONS)
def test_pronouns_change_where_the_entry_says_so(name: str, tokenizer: Tokenizer):
    rows = np.array([tokenizer.encode(TEXT).ids], dtype=np.uint16)
    swap = RowSwap(intervention(name), tokenizer, seed=1, padding_id=0)
    swapped, _ = swap([0], rows)
    assert (swapped.tolist() != rows.tolist()) is INTERVENTIONS[name].swaps_pronouns
    assert bool(swap.audit.swaps) is INTERVENTIONS[name].swaps_pronouns


def test_only_what_changes_no_pronoun_is_expected_to_move_nothing():
    for name, entry in INTERVENTIONS.items():
        if entry.expected_effect is None:
            assert name == "none"
        else:
            assert (entry.expected_effect.sign != 0) is entry.swaps_pronouns


def test_an_intervention_that_found_nothing_warns():
    warnings = {name: entry.warning(rows=7, num_swaps=0, left_alone={}) for name, entry in INTERVENTIONS.items()}
    assert {name for name, warning in warnings.items() if warning is None} == {"none", "retokenize", "pythia_pushed"}
    assert warnings["both"] == "0 of 7 rows changed: the intervention found no pronoun to swap"
    assert INTERVENTIONS["both"].warning(rows=7, num_swaps=1, left_alone={}) is None


def test_an_intervention_that_drew_nothing_does_not_warn_and_one_that_left_all_alone_says_why():
    entry = INTERVENTIONS["both"]
    assert entry.warning(rows=7, num_swaps=0, left_alone={"not drawn": 3}) is None
    assert entry.warning(rows=7, num_swaps=0, left_alone={"not drawn": 3, "code or path": 2}) == (
        "0 of 7 rows changed: all 5 pronouns were left alone (code or path 2, not drawn 3)"
    )


def test_the_profiles_say_of_which_pronouns_their_dose_is_a_share():
    counted = {name for name, entry in INTERVENTIONS.items() if entry.pronouns_of in DIRECTIONS}
    assert counted >= {"pythia_token_map", "pythia_replace", "pythia_pushed"}


def test_whatever_is_no_rule_names_its_faults():
    assert {name for name, entry in INTERVENTIONS.items() if entry.faults} == {
        name for name, entry in INTERVENTIONS.items() if entry.kind in ("profile", "control")
    }


def test_every_intervention_is_in_the_readme():
    readme = (REPOSITORY / "README.md").read_text(encoding="utf8")
    (row,) = [line for line in readme.splitlines() if line.startswith("| `intervention` |")]
    assert [name for name in INTERVENTIONS if f"`{name}`" not in row] == []
