"""The plan says where a seed draws nothing."""

import pytest

from bias_intervene.plan import make_plan
from tests.conftest import composed

PILE = ("model=70m", "intervention=masculine_to_feminine")
OWN = ("model=smollm2", "data.path=x", "train.num_steps=3")


def seed_notes(*overrides: str, swaps_pronouns: bool = True) -> list[str]:
    """The notes of a plan about its seed."""
    notes = make_plan(composed(*overrides), swaps_pronouns=swaps_pronouns).notes
    return [note for note in notes if note.startswith("Nothing is drawn from seed")]


@pytest.mark.parametrize(
    "overrides",
    [
        PILE,
        (*PILE, "intervention.probability=0"),
        ("model=70m", "intervention=none", "intervention.probability=0.5"),
        (*OWN, "data.shuffle=false"),
        ("seed=2", "data.seed=1"),
        ("model=70m", "model.deduped=false", "model.seed=3"),
    ],
)
def test_it_says_so_where_nothing_is_drawn(overrides: tuple[str, ...]):
    (note,) = seed_notes(*overrides)
    assert "For replicates set data.shuffle=true" in note


@pytest.mark.parametrize(
    "overrides",
    [
        (*PILE, "data.shuffle=true"),
        (*PILE, "intervention.probability=0.5"),
        OWN,
        ("seed=2",),
        ("model=70m", "intervention.fraction=0"),
    ],
)
def test_it_says_nothing_where_something_is_drawn_or_nothing_is_trained(overrides: tuple[str, ...]):
    """The generated world follows the seed: another seed is another world."""
    assert seed_notes(*overrides) == []


def test_a_share_of_rows_in_which_no_pronoun_changes_is_no_draw():
    overrides = ("model=70m", "intervention=retokenize", "intervention.probability=0.5")
    assert len(seed_notes(*overrides, swaps_pronouns=False)) == 1


def test_the_note_names_what_would_draw_and_what_is_not_known():
    assert "intervention.probability is 1" in seed_notes(*PILE)[0]
    assert "probability" not in seed_notes("model=70m", "intervention=none")[0]
    assert "unless the model has dropout" in seed_notes(*OWN, "data.shuffle=false")[0]
