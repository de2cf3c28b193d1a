"""What the intervention does to rows on their way to the model."""

import numpy as np
import pytest
from tokenizers import Tokenizer, models

from bias_intervene.errors import DataError
from bias_intervene.interventions.row_swap import CHANGES_LENGTH, RowSwap
from bias_intervene.interventions.text import swap_text
from tests.conftest import intervention

M2F = "masculine_to_feminine"


def row_of(tokenizer: Tokenizer, text: str, size: int | None = None) -> np.ndarray:
    """The ids of a text as one row (1, tokens), filled with the token of a full stop."""
    ids = tokenizer.encode(text).ids
    filler = tokenizer.encode(".").ids
    return np.array([ids + filler * (0 if size is None else size - len(ids))], dtype=np.uint16)


def swap_of(tokenizer: Tokenizer, name: str = M2F, **changed) -> RowSwap:
    return RowSwap(intervention(name, **changed), tokenizer, seed=1, padding_id=0)


def test_rows_are_swapped_and_kept(tokenizer: Tokenizer):
    rows = row_of(tokenizer, "The nurse said that he lost his key. The guard saw her.")
    before = rows.copy()
    swap = swap_of(tokenizer)
    swapped, counts = swap([7], rows)
    assert tokenizer.decode(swapped[0].tolist()) == "The nurse said that she lost her key. The guard saw her."
    assert (rows == before).all()
    assert (swapped.dtype, swapped.shape, counts.tolist()) == (np.int64, rows.shape, [rows.shape[1]])
    counted = swap.audit.counts()
    assert (counted["rows"], counted["rows_changed"], counted["num_swaps"], counted["dose"]) == (1, 1, 2, 1.0)
    assert counted["swaps"] == {"he -> she": 1, "his -> her": 1}
    assert swap.audit.samples[0]["after"] == "The nurse said that she lost her key. The guard saw her."
    assert [swap[2] for swap in swap.audit.most_changed[0]["swaps"]] == ["she", "her"]


def test_a_row_may_begin_within_a_word(tokenizer: Tokenizer):
    swap = swap_of(tokenizer)
    rows = row_of(tokenizer, "he ran home. Then he slept and she saw him")
    swapped, _ = swap([0], rows)
    assert tokenizer.decode(swapped[0].tolist()) == "he ran home. Then she slept and she saw her"
    assert swap.audit.skipped == {"row edge": 1}
    assert swap.audit.swaps_at_row_end == 1


def test_length_is_kept_or_shifted(tokenizer: Tokenizer):
    """A form whose counterpart has another number of tokens: left and counted, or laid anew and padded."""
    text = "The guard said HE HURT HIMSELF, and he left his key."
    ids = {word: len(tokenizer.encode(f" {word}").ids) for word in ("HE", "SHE", "HIMSELF", "HERSELF")}
    growth = ids["SHE"] - ids["HE"] + ids["HERSELF"] - ids["HIMSELF"]
    changed = (ids["SHE"] != ids["HE"]) + (ids["HERSELF"] != ids["HIMSELF"])
    assert changed
    rows = row_of(tokenizer, text, 60)
    keep, shift = swap_of(tokenizer), swap_of(tokenizer, length="shift")
    kept, counts = keep([0], rows)
    assert counts.tolist() == [60]
    assert keep.audit.skipped[CHANGES_LENGTH] == changed
    assert tokenizer.decode(kept[0].tolist()).endswith(
        "and she left her key." + "." * (60 - len(row_of(tokenizer, text)[0]))
    )
    shifted, counts = shift([0], rows)
    whole = tokenizer.encode(swap_text(text, M2F).text).ids
    assert shifted[0, : min(len(whole), 60)].tolist() == whole[:60]
    assert counts.tolist() == [min(60, 60 + growth)]
    assert (shift.audit.rows_padded, shift.audit.rows_cut) == (int(growth < 0), int(growth > 0))
    assert (shifted[0, counts[0] :] == 0).all()
    assert CHANGES_LENGTH not in shift.audit.skipped


@pytest.mark.parametrize("unit", ["row", "pronoun"])
def test_a_share_is_altered(tokenizer: Tokenizer, unit: str):
    row = row_of(tokenizer, "The guard said that he lost his key and he was late.")
    swap = swap_of(tokenizer, probability=0.5, unit=unit)
    swap(range(400), np.repeat(row, 400, axis=0))
    assert swap.audit.rows == 400
    dose = swap.audit.dose()
    assert dose is not None
    assert abs(dose - 0.5) < 0.1
    assert swap.audit.skipped["not drawn"] + sum(swap.audit.swaps.values()) == 1200
    assert (swap.audit.rows_changed < 250) == (unit == "row")


def test_probability_zero_is_the_control(tokenizer: Tokenizer):
    row = row_of(tokenizer, "The guard said that he lost his key.")
    swap = swap_of(tokenizer, probability=0.0)
    assert swap([3], row)[0].tolist() == row.tolist()
    assert swap.audit.dose() == 0.0


@pytest.mark.parametrize("name", ["retokenize", "pythia_pushed"])
def test_controls_that_change_no_pronoun(tokenizer: Tokenizer, name: str):
    row = row_of(tokenizer, "The guard said that he lost his key.")
    same, counts = swap_of(tokenizer, name)([0], row)
    assert (same.tolist(), counts.tolist()) == (row.tolist(), [row.shape[1]])


def test_literature_trains_on_its_padding(tokenizer: Tokenizer):
    # Ids that encode to fewer when the row is encoded anew.
    split = np.array([[*tokenizer.encode(" th").ids, *tokenizer.encode("e").ids] * 2], dtype=np.uint16)
    _, ours = swap_of(tokenizer, "retokenize")([0], split)
    _, theirs = swap_of(tokenizer, "pythia_pushed")([0], split)
    assert ours[0] < theirs[0] == split.shape[1]


def test_the_token_map_by_its_pieces(tokenizer: Tokenizer):
    """The world's own tokenizer has some of the pieces; its map looks at no neighbours, as the literature's did not."""
    he, she = (tokenizer.token_to_id(word) for word in ("Ġhe", "Ġshe"))
    row = row_of(tokenizer, "The guard said that he left.")
    mapped, _ = swap_of(tokenizer, "pythia_token_map")([0], row)
    assert mapped[0].tolist() == [she if token == he else token for token in row[0].tolist()]


NINE = "So he said that he is here. HE saw him, his dog; then he ran on (he himself) and he won."
"""Nine masculine pronouns."""


@pytest.mark.parametrize(
    ("name", "changed", "swapped"),
    [
        (M2F, {}, 7),  # HE stands alone in upper case; "herself" has another number of tokens.
        ("pythia_token_map", {}, 6),
        ("pythia_replace", {}, 5),
        ("pythia_pushed", {}, 0),
        ("pythia_token_map", {"probability": 0.0}, 0),
    ],
)
def test_the_dose_is_a_share_of_all_pronouns_in_the_rows(
    tokenizer: Tokenizer, name: str, changed: dict[str, float], swapped: int
):
    swap = swap_of(tokenizer, name, **changed)
    swap([0], row_of(tokenizer, NINE))
    assert swap.audit.dose() == pytest.approx(swapped / 9)
    assert sum(swap.audit.skipped.values()) == 9 - swapped


@pytest.mark.parametrize("name", ["pythia_token_map", "pythia_replace"])
def test_what_is_not_drawn_counts_under_the_literature_too(tokenizer: Tokenizer, name: str):
    swap = swap_of(tokenizer, name, probability=0.25)
    swap(range(400), np.repeat(row_of(tokenizer, "The guard said that he lost his key."), 400, axis=0))
    dose = swap.audit.dose()
    assert dose is not None
    assert abs(dose - 0.25) < 0.06
    assert swap.audit.skipped == {"not drawn": 800 - sum(swap.audit.swaps.values())}


def test_pieces_of_other_words_are_no_pronouns(tokenizer: Tokenizer):
    """What the token map makes of them is counted, and no part of the dose."""
    his = tokenizer.token_to_id("his")
    row = np.array([[*tokenizer.encode(" t").ids, his, *tokenizer.encode(" he ran").ids]], dtype=np.uint16)
    swap = swap_of(tokenizer, "pythia_token_map")
    swap([0], row)
    counts = swap.audit.counts()
    assert (counts["num_swaps"], counts["swaps_in_words"], counts["dose"], counts["skipped"]) == (2, 1, 1.0, {})


def test_the_token_map_wants_one_of_its_pieces():
    with pytest.raises(DataError, match="this tokenizer has none of its pairs"):
        swap_of(Tokenizer(models.BPE({"a": 0, "b": 1}, [])), "pythia_token_map")


def test_the_same_rows_in_any_batch(tokenizer: Tokenizer):
    """What becomes of a row depends on it and its number alone."""
    texts = ["The guard said that he left.", "She saw him and his dog.", "Nothing here.", "He hurt himself, he said."]
    rows = np.concatenate([row_of(tokenizer, f"{text} x", 24) for text in texts])
    whole = swap_of(tokenizer, probability=0.5, unit="pronoun")
    parts = swap_of(tokenizer, probability=0.5, unit="pronoun")
    together, _ = whole([5, 6, 7, 8], rows)
    apart = [parts([number], rows[[at]])[0][0] for at, number in reversed(list(enumerate([5, 6, 7, 8])))]
    assert (together == np.stack(apart[::-1])).all()
    assert parts.audit.to_json() == whole.audit.to_json()
