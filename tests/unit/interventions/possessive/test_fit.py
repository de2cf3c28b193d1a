"""The fit finds what the corpus shows, without labels."""

import random
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from bias_intervene.data.indexed import Rows, write_rows
from bias_intervene.interventions.possessive import AMBIGUOUS, WORD_LISTS, neighbours
from bias_intervene.interventions.possessive.fit import MINIMUM_CONTEXTS, contexts, fit, fit_to_rows

NOUNS = "blick dax wug fep toma zop gazzer lorp".split()
ADVERBS = "mivly bruply tasply dorsly".split()


def corpus(seed: int = 0, size: int = 400) -> list[str]:
    """A made-up English in which nouns follow determiners and adverbs follow objects."""
    rng = random.Random(seed)
    texts = []
    for _ in range(size):
        mine, them = rng.choice(["his", "their", "my", "our"]), rng.choice(["him", "them", "me", "us"])
        texts.append(f"We saw {mine} {rng.choice(NOUNS)} run. We saw {them} {rng.choice(ADVERBS)} run.")
        alone, our = rng.choice(["theirs", "ours", "yours"]), rng.choice(["their", "our", "your"])
        texts.append(f"The {rng.choice(NOUNS)} blorped {alone} today. They blorped {our} {rng.choice(NOUNS)} today.")
    return texts


def role(possessives, text: str, word: str) -> str | None:
    at = text.index(f" {word} ") + 1
    return possessives.role(word, neighbours(text, at, at + len(word)))


def test_it_learns_words_no_list_has():
    found = fit(corpus())
    assert found.num_contexts["her"] >= 800
    for noun in NOUNS:
        assert role(found, f"We saw her {noun} run.", "her") == "determiner"
    for adverb in ADVERBS:
        assert role(found, f"We saw her {adverb} run.", "her") == "object"
        assert role(WORD_LISTS, f"We saw her {adverb} run.", "her") == "determiner"
    assert role(found, "The wug blorped his today.", "his") == "alone"
    assert role(WORD_LISTS, "The wug blorped his today.", "his") == "determiner"


def test_the_same_texts_give_the_same_tables():
    assert fit(corpus()).fingerprint == fit(corpus()).fingerprint
    assert fit(corpus()).fingerprint != fit(corpus(seed=1)).fingerprint


def test_too_little_text_keeps_the_word_lists():
    found = fit(corpus(size=MINIMUM_CONTEXTS - 1))
    assert found.tables == WORD_LISTS.tables
    assert found.num_contexts == dict.fromkeys(AMBIGUOUS, 0)
    assert [notice.split(":")[0] for notice in found.notices] == list(AMBIGUOUS)
    assert "49 of him, them, me, us found and 50 needed; the word lists decide" in found.notices[0]


def test_contexts():
    found = contexts(["Give us their keys; theirs, he said."])
    assert [(place.after, is_marked) for place, is_marked in found["her"]] == [("their", True), ("keys", False)]
    assert [(place.after, is_marked) for place, is_marked in found["his"]] == [("keys", False), (",", True)]


def test_a_fit_reads_the_rows(tokenizer: Tokenizer, tmp_path: Path):
    texts = ["They saw them. We lost our key. He found me, and he sold their boat. It told us of my house. "] * 80
    filler = tokenizer.encode(".").ids * 64
    rows = [np.array([*tokenizer.encode(text).ids, *filler][:64], dtype=np.uint16) for text in texts]
    write_rows(tmp_path / "rows", rows, row_tokens=64, dtype=np.uint16)
    found = fit_to_rows(Rows.open(tmp_path / "rows"), range(len(rows)), tokenizer)
    assert found.num_contexts["her"] > 100
    assert found.num_contexts["his"] == 0
    assert "his: too little text" in found.notices[0]
    assert found == fit_to_rows(Rows.open(tmp_path / "rows"), range(len(rows)), tokenizer)
