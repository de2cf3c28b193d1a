"""Long documents give the ids of the whole, whatever the tokenizer splits and wherever they are divided."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from bias_intervene.data import encoding
from bias_intervene.data.encoding import encode_in_parts, token_stream
from bias_intervene.errors import DataError

SAMPLE = [
    "The nurse's boat, 1234 metres long, hasn't left; he said: \"it's hers\".\n\n  def his(x):\n\treturn x == 12\n",
    "\u00c9t\u00e9 na\u00efve \u4e2d\u6587\uff0c\u4f60\u597d\u3002 e\u0301 \u0915\u093f ... !!! ?!",
]
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_level(splitter: pre_tokenizers.PreTokenizer, normalizer: normalizers.Normalizer | None = None) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = splitter
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|end|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(SAMPLE * 3, trainer)
    tokenizer.add_tokens(["    ", "  "])
    return tokenizer


def sentence_piece() -> Tokenizer:
    """Splits no words, and puts a space before every text: Llama 2."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = decoders.Metaspace()
    words = [f"\u2581{word}" for text in SAMPLE for word in text.split()]
    tokenizer.normalizer, kept = None, tokenizer.normalizer
    tokenizer.train_from_iterator(words * 3, trainers.BpeTrainer(vocab_size=200, special_tokens=["<unk>", "<|end|>"]))
    tokenizer.normalizer = kept
    return tokenizer


TOKENIZERS = {
    "gpt2": byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), normalizers.NFC()),
    "prefix_space": byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True)),
    "llama3": byte_level(
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    ),
    "sentence_piece": sentence_piece(),
}
WORDS = st.sampled_from(
    [" he", "'s", " her", "\n", "  ", " ", "\n\n   ", "1234567", ".", "...\n", " \u00e9t\u00e9", "e\u0301",
     "\u4e2d\u6587", "\uff0c", "\t", "\r\n", "<|end|>", "_x", "\u0915\u093f", "'", "HERS", "\u2603", "    "]
)  # fmt: skip


def ids_in_parts(text: str, tokenizer: Tokenizer, part_chars: int = 150) -> list[list[int]]:
    parts = encode_in_parts(text, tokenizer, part_chars=part_chars, most_chars=1 << 20, margin_tokens=24)
    return [part.tolist() for part in parts]


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, min_size=200, max_size=400))
def test_the_ids_are_those_of_the_whole(name: str, words: list[str]):
    text, tokenizer = "".join(words), TOKENIZERS[name]
    parts = ids_in_parts(text, tokenizer)
    assert [token for part in parts for token in part] == tokenizer.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("name", TOKENIZERS)
def test_prose_is_divided_by_every_kind_of_tokenizer(name: str):
    text, tokenizer = "The nurse said that he left the house. " * 60, TOKENIZERS[name]
    parts = ids_in_parts(text, tokenizer, part_chars=300)
    assert len(parts) > 5
    assert [token for part in parts for token in part] == tokenizer.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("name", ["20B_tokenizer", "olmo1", "dolma2", "qwen3", "deepseek_v3", "llama2"])
def test_published_tokenizers_give_the_ids_of_a_whole_novel(shared: Path, name: str):
    text = (shared / "prose" / "adventures_of_sherlock_holmes.txt").read_text(encoding="utf8")[:60_000]
    tokenizer = Tokenizer.from_file(str(shared / "tokenizer" / f"{name}.json"))
    parts = list(encode_in_parts(text, tokenizer, part_chars=4_000))
    assert len(parts) > 10
    assert np.concatenate(parts).tolist() == tokenizer.encode(text, add_special_tokens=False).ids


def test_no_more_than_a_part_is_tokenized_at_once(monkeypatch: pytest.MonkeyPatch):
    """Memory follows from the longest text that the tokenizer is given."""
    monkeypatch.setattr(encoding, "PART_CHARS", 2_000)
    lengths: list[int] = []

    class Watched:
        def __getattr__(self, name: str):
            return getattr(TOKENIZERS["gpt2"], name)

        def encode(self, text: str, **options):
            lengths.append(len(text))
            return TOKENIZERS["gpt2"].encode(text, **options)

        def encode_batch(self, texts: list[str], **options):
            lengths.append(sum(map(len, texts)))
            return TOKENIZERS["gpt2"].encode_batch(texts, **options)

    sentence = "He left the house. "
    long, short = sentence * 2_000, sentence * 20
    pieces = (sentence for _ in range(2_000))
    stream = token_stream([short, short, pieces, short, short, short], Watched(), 0)  # type: ignore[arg-type]
    found = np.concatenate(list(stream)).tolist()
    ids = {text: TOKENIZERS["gpt2"].encode(text).ids for text in (long, short)}
    assert found == [token for text in (short, short, long, short, short, short) for token in (*ids[text], 0)]
    assert max(lengths) <= encoding.PART_CHARS + len(short)


def test_a_text_that_cannot_be_divided_is_refused():
    with pytest.raises(DataError, match=r"more than .* characters cannot be tokenized in parts.*give it as several"):
        list(encode_in_parts("a" * 5_000, TOKENIZERS["gpt2"], part_chars=500, most_chars=1_000, margin_tokens=8))
