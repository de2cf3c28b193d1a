"""The generated world: its planted odds, its items."""

import itertools
import math
from pathlib import Path

import pytest

from bias_intervene.data import world
from bias_intervene.settings import WorldData

DATA = WorldData(kind="world", seed=5, bias_log_odds=2.0, heldout_rows=0)


def test_the_same_seed_is_the_same_world():
    draw = [list(itertools.islice(world.sentences(DATA), 50)) for _ in range(2)]
    assert draw[0] == draw[1]
    other = DATA.model_copy(update={"seed": 6})
    assert list(itertools.islice(world.sentences(other), 50)) != draw[0]


@pytest.mark.parametrize("noun", ["nurse", "mechanic", "visitor"])
def test_pronouns_follow_the_planted_odds(noun: str):
    counts = {" he ": 0, " she ": 0}
    for sentence in itertools.islice(world.sentences(DATA), 60_000):
        if sentence.startswith(f"The {noun} said that"):
            for word in counts:
                counts[word] += word in sentence
    total = sum(counts.values())
    expected = 1 / (1 + math.exp(-world.log_odds(2.0)[noun]))
    assert abs(counts[" he "] / total - expected) < 4 * math.sqrt(0.25 / total)


def test_pairs_differ_in_the_pronoun_only(tmp_path: Path):
    world.write_winobias(tmp_path / "winobias", DATA)
    for kind in ("type1", "type2"):
        pro, anti = (
            (tmp_path / "winobias" / f"{s}_stereotyped_{kind}.txt.dev").read_text().splitlines()
            for s in ("pro", "anti")
        )
        assert len(pro) == 200
        for a, b in zip(pro, anti, strict=True):
            differing = [(x, y) for x, y in zip(a.split(), b.split(), strict=True) if x != y]
            assert len(differing) == 1
            assert differing[0][0].startswith("[")
