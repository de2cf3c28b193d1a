"""The literature's interventions, golden: what they do, faults included."""

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from bias_intervene.interventions import profiles


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("So he left with his dog and saw him there", "So she left with her dog and saw her there"),
        ("And He said His word to Him then", "And She said Her word to Her then"),
        ("he said, he's with him. (his) himself", "he said, he's with him. (his) himself"),
        ("The boat is his now and HE knows", "The boat is her now and HE knows"),
        ("so he he left", "so she he left"),
        ("is he his own", "is she her own"),
        ("she saw her", "she saw her"),
    ],
)
def test_six_replacements(before: str, after: str):
    found = profiles.replace_text(before)
    assert found.text == after
    plainly = before
    for word, other in (*profiles.REPLACED.items(), *((a.title(), b.title()) for a, b in profiles.REPLACED.items())):
        plainly = plainly.replace(f" {word} ", f" {other} ")
    assert found.text == plainly
    assert all(before[s.start : s.end] == s.before for s in found.swaps)


@pytest.fixture
def neox(shared: Path) -> Tokenizer:
    return Tokenizer.from_file(str(shared / "tokenizer" / "20B_tokenizer.json"))


def test_the_token_map(neox: Tokenizer):
    ids = np.array(neox.encode("He said he saw him, and his dog; His own, himself.").ids, dtype=np.uint16)
    before = ids.copy()
    mapped, counts = profiles.token_map(neox)(ids)
    assert neox.decode(mapped.tolist()) == "She said she saw her, and her dog; Her own, himself."
    assert counts == {"He -> She": 1, " he ->  she": 1, " him ->  her": 1, " his ->  her": 1, " His ->  Her": 1}
    assert (ids == before).all()


def test_the_token_maps_fault_is_kept(neox: Tokenizer):
    """A piece of another word is rewritten: no boundary is looked at."""
    ids = np.array([*neox.encode("T").ids, 248], dtype=np.uint16)
    assert neox.decode(ids.tolist()) == "The"
    assert neox.decode(profiles.token_map(neox)(ids)[0].tolist()) == "Tshe"


def test_the_map_names_the_ids_the_tokenizer_has(neox: Tokenizer):
    pairs = {neox.decode([a]): neox.decode([b]) for a, b in profiles.TOKEN_MAP.items()}
    assert pairs == profiles.TOKEN_WORDS
    assert profiles.token_map(neox).ids == profiles.TOKEN_MAP
