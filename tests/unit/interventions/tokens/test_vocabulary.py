"""Which tokenizers are read, and what their tokens stand for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from bias_intervene.errors import DataError
from bias_intervene.interventions.tokens.vocabulary import Vocabulary
from tests.conftest import SENTENCES, trained

KINDS = {kind: trained(kind) for kind in ("gpt2", "neox", "smollm2")}


def tokenizer_of(pre_tokenizer) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<unk>"], show_progress=False)
    tokenizer.train_from_iterator([SENTENCES] * 3, trainer)
    return tokenizer


LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+"
REFUSED = {
    "its model is WordLevel": lambda: Tokenizer(models.WordLevel({"he": 0}, unk_token="he")),
    "its model is Unigram": lambda: Tokenizer(models.Unigram([("he", 0.0)], unk_id=0)),
    "it does not split text into words": lambda: Tokenizer(models.BPE()),
    "it splits .* is one piece": lambda: tokenizer_of(pre_tokenizers.Metaspace()),
    r"'\.he' is one piece": lambda: tokenizer_of(
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_others_are_refused_with_the_reason(reason: str):
    with pytest.raises(DataError, match=f"byte-level BPE that splits words from marks.*{reason}.*conf/model"):
        Vocabulary.of(REFUSED[reason]())


def test_pieces_that_are_no_bytes_are_refused():
    pieces = {"Ġ": 0, "he": 1, "漢": 2, "h": 3, "e": 4}
    tokenizer = Tokenizer(models.BPE(pieces, [("h", "e")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    with pytest.raises(DataError, match="its token '漢' holds '漢', which stands for no byte"):
        Vocabulary.of(tokenizer)


@given(text=st.text(max_size=40), kind=st.sampled_from(sorted(KINDS)))
def test_its_text_is_the_tokenizers(text: str, kind: str):
    tokenizer = KINDS[kind]
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert Vocabulary.of(tokenizer).text(ids) == tokenizer.decode(ids)


@pytest.mark.parametrize("kind", KINDS)
def test_words_and_marks(kind: str):
    tokenizer = KINDS[kind]
    vocabulary = Vocabulary.of(tokenizer)
    for word in ("he", " he", " Himself", "HERSELF", "'"):
        assert list(vocabulary.word_ids(word)) == tokenizer.encode(word, add_special_tokens=False).ids
    assert vocabulary.marks == ("<|endoftext|>", "<|padding|>")
    assert vocabulary.bytes_of[tokenizer.token_to_id("<|endoftext|>")] is None
    assert vocabulary.size == tokenizer.get_vocab_size()
