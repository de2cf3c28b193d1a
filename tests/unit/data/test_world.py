"""The generated world: its planted odds, its items."""

import itertools
import math
import re
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from bias_intervene.data import world
from bias_intervene.data.indexed import Rows
from bias_intervene.models import pretraining_settings, world_folder
from bias_intervene.settings import Settings
from tests.conftest import TINY, composed, world_data

DATA = world_data(seed=5, bias_log_odds=2.0, heldout_rows=0)


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


def small(**data: object) -> Settings:
    """A world of 20 steps."""
    return composed(*TINY, *(f"data.{key}={value}" for key, value in data.items()))


def texts(settings: Settings, folder: Path) -> list[str]:
    """The rows of a world, decoded."""
    corpus, made = world.prepare_world(settings.data, settings.model, folder)
    rows = Rows(corpus.layout)
    tokenizer = Tokenizer.from_file(str(made / "tokenizer.json"))
    return [tokenizer.decode(rows[n].tolist()) for n in range(corpus.layout.num_rows)]


def test_the_end_of_the_training_leaves_some_people_out(tmp_path: Path):
    whole = texts(small(unmentioned=0), tmp_path)
    found = texts(small(unmentioned=5, unmentioned_fraction=0.25), tmp_path)
    left_out = world.unmentioned(world_data(unmentioned=5))
    assert left_out == ("housekeeper", "teacher", "writer", "driver", "carpenter")
    # 20 steps of 4 rows: the last 5 steps are rows 60 to 79; the held-out rows after them are as all others.
    assert found[:60] == whole[:60]
    assert any(name in text for text in found[:60] for name in left_out)
    assert not any(name in text for text in found[60:80] for name in left_out)
    assert any(name in text for text in found[80:] for name in left_out)


def test_the_model_is_pretrained_on_the_world_it_is_continued_in():
    """Whatever a run changes of the settings: the rows of the pretraining and those of the run are the same file."""
    changes = ("intervention.fraction=0.1",), ("data.shuffle=true", "seed=7", "data.seed=1"), ("data.pieces=true",)
    for words in changes:
        settings = composed("data.unmentioned=4", *words)
        prints = [world.world_fingerprint(one.data, one.model) for one in (settings, pretraining_settings(settings))]
        assert prints[0] == prints[1]
    one, other = (composed("data.seed=1", f"data.shuffle={shuffle}") for shuffle in ("true", "false"))
    assert world_folder(one) == world_folder(other)


def test_pieces_of_pronouns_in_other_words():
    data = world_data(seed=1, pieces=True)
    written = list(itertools.islice(world.sentences(data), 3000))
    assert sum(bool(re.search("[a-z](he|his|him)[a-z]* ", line)) for line in written) > 100
    assert any("(she)" in line for line in written)
    plain = list(itertools.islice(world.sentences(world_data(seed=1)), 3000))
    assert not any("(" in line for line in plain)
