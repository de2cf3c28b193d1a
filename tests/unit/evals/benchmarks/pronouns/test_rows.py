"""Pronouns in rows of token ids, whatever tokens they are written in."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from bias_intervene.evals.benchmarks.pronouns.rows import common_beginning, pronouns_of
from bias_intervene.evals.scoring import Scorer
from bias_intervene.models import TextTokenizer

TEXT = "A nurse: \u201cHe's here\u201d, 'she said. HERS and himself (his).\n\nHerself, her history."


def as_text_tokenizer(backend: Tokenizer) -> TextTokenizer:
    return TextTokenizer(backend, "", 0, "", 0)


def check(tokenizer: TextTokenizer) -> None:
    """Every pronoun is found once, in tokens that hold its characters and no others but marks beside it."""
    ids = tokenizer.encode(TEXT)
    found = pronouns_of(ids, tokenizer)
    assert [one.word for one in found] == ["He", "she", "HERS", "himself", "his", "Herself", "her"]
    for one in found:
        own = tokenizer.backend.decode(ids[one.first : one.end], skip_special_tokens=False)
        assert one.word in own or one.word[1:] in own
        # Its own spelling in its place gives its own tokens back.
        assert one.written_as(one.word, tokenizer) == ids[one.text_first : one.end]


def test_every_spelling_is_found(scorer: Scorer):
    check(scorer.tokenizer)


@pytest.mark.parametrize("name", ["20B_tokenizer", "olmo1", "dolma2", "qwen3", "deepseek_v3", "llama2"])
def test_every_spelling_is_found_in_the_tokens_of_published_tokenizers(shared: Path, name: str):
    tokenizer = as_text_tokenizer(Tokenizer.from_file(str(shared / "tokenizer" / f"{name}.json")))
    ids = tokenizer.encode(TEXT)
    assert [one.word for one in pronouns_of(ids, tokenizer)] == [
        "He", "she", "HERS", "himself", "his", "Herself", "her",
    ]  # fmt: skip


def test_a_contraction_is_replaced_as_it_is_tokenized(shared: Path):
    """'she is `'s` `he`, and 'he is `'` `he`: two tokens each, of which the last is the same."""
    tokenizer = as_text_tokenizer(Tokenizer.from_file(str(shared / "tokenizer" / "20B_tokenizer.json")))
    ids = tokenizer.encode("It rained.\n'she")
    (she,) = pronouns_of(ids, tokenizer)
    assert [tokenizer.backend.decode([token]) for token in ids[she.first :]] == ["'s", "he"]
    assert she.written_as("he", tokenizer) == tokenizer.encode("'he")


def test_a_character_that_is_cut_by_the_row_loses_no_pronoun(scorer: Scorer):
    snowman = scorer.tokenizer.encode("\u2603")
    assert len(snowman) == 3
    row = [*snowman[1:], *scorer.tokenizer.encode(" and he left"), *snowman[:1]]
    (he,) = pronouns_of(row, scorer.tokenizer)
    assert (he.word, he.can_be_scored) == ("he", True)


def test_a_pronoun_that_a_row_begins_with_is_not_scored(scorer: Scorer):
    first, second = pronouns_of(scorer.tokenizer.encode(" he said that he left"), scorer.tokenizer)
    assert (first.can_be_scored, second.can_be_scored) == (False, True)


def test_at_least_one_id_of_each_alternative_is_left():
    assert common_beginning([[5, 6, 7], [5, 6], [5, 6, 8]]) == 1
    assert common_beginning([[5], [6]]) == 0
