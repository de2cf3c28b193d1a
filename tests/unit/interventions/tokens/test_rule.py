"""The token form is the text rule: on real text, on strewn text, on any text; and what it promises for any row."""

import functools
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from bias_intervene.errors import DataError
from bias_intervene.interventions.lexicon import DIRECTIONS
from bias_intervene.interventions.possessive import WORD_LISTS
from bias_intervene.interventions.text import swap_text
from bias_intervene.interventions.tokens import TokenSwap, TokenSwaps, apply, apply_shifted
from bias_intervene.interventions.tokens.rule import compiled
from tests.conftest import SENTENCES, english, source_code, trained
from tests.helpers.parity import (
    FORMS,
    GLUE,
    differences,
    laid_anew,
    random_possessives,
    rows_of,
    strewn,
    surviving,
)
from tests.unit.interventions.test_text import OTHER_LANGUAGES, TO_FEMININE, TO_MASCULINE, UNCHANGED

M2F, F2M = "masculine_to_feminine", "feminine_to_masculine"
TOKENIZERS = {kind: trained(kind) for kind in ("gpt2", "neox", "smollm2")}
NONSENSE = random_possessives(re.findall(r"[a-z]+", "".join(english()[:40]).lower()), seed=5)


@pytest.fixture(scope="module")
def neox(shared: Path) -> Tokenizer:
    return Tokenizer.from_file(str(shared / "tokenizer" / "20B_tokenizer.json"))


# --- equal to the text rule ------------------------------------------------------------------------------------


def texts_of_all_kinds() -> list[str]:
    prose, code = " ".join(english()), "\n".join(source_code())
    return [
        strewn(prose[:60_000], seed=1), strewn(code[:60_000], seed=2), strewn(" ".join(OTHER_LANGUAGES) * 6, seed=3),
        SENTENCES, *TO_FEMININE, *TO_MASCULINE, *UNCHANGED, *OTHER_LANGUAGES, prose[:20_000],
    ]  # fmt: skip


@functools.cache
def swap_of(kind: str, direction: str, *, is_nonsense: bool = False) -> TokenSwap:
    """One for all examples: its tables take much longer to make than a row takes to swap."""
    return TokenSwap(TOKENIZERS[kind], direction, NONSENSE if is_nonsense else WORD_LISTS)


@pytest.fixture(scope="module")
def rows_of_kind() -> Callable[[str], np.ndarray]:
    """Rows of a tokenizer; the same for every direction."""
    return functools.cache(lambda kind: rows_of(TOKENIZERS[kind], texts_of_all_kinds(), 512, 200))


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_rows_of_all_kinds(rows_of_kind: Callable[[str], np.ndarray], kind: str, direction: str):
    rows = rows_of_kind(kind)
    texts = surviving(TOKENIZERS[kind], rows)
    assert len(texts) > 0.8 * len(rows)
    is_cut = direction in (M2F, "neutral")
    assert list(differences(swap_of(kind, direction), rows, texts, is_cut=is_cut)) == []
    assert list(differences(swap_of(kind, direction, is_nonsense=True), rows, texts, is_cut=not is_cut)) == []


@pytest.fixture(scope="module")
def pythias_rows(neox: Tokenizer, shared: Path) -> np.ndarray:
    prose = [path.read_text(encoding="utf8") for path in sorted((shared / "prose").glob("*.txt"))]
    strewn_prose = [strewn(text[:150_000], seed=7) for text in prose]
    return rows_of(neox, [*strewn_prose, *texts_of_all_kinds(), *prose], 2049, 150)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_rows_of_pythias_tokenizer(neox: Tokenizer, pythias_rows: np.ndarray, direction: str):
    assert len(pythias_rows) == 150
    swap = TokenSwap(neox, direction, NONSENSE)
    assert list(differences(swap, pythias_rows, surviving(neox, pythias_rows), is_cut=True)) == []


PIECES = st.sampled_from([*FORMS, *GLUE, " the", "The", " said", " and", " of", "his", " is", "called", "."])


@settings(max_examples=400)
@given(
    text=st.lists(PIECES, max_size=40).map("".join)
    | st.text(max_size=40)
    | st.lists(PIECES, max_size=60).map(" ".join),
    kind=st.sampled_from(sorted(TOKENIZERS)),
    direction=st.sampled_from(sorted(DIRECTIONS)),
    is_cut=st.booleans(),
)
def test_any_text(text: str, kind: str, direction: str, is_cut: bool):
    tokenizer = TOKENIZERS[kind]
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    rows = np.array([ids], dtype=np.uint16)
    texts = surviving(tokenizer, rows)
    for is_nonsense in (False, True):
        swap = swap_of(kind, direction, is_nonsense=is_nonsense)
        assert list(differences(swap, rows, texts, is_cut=is_cut)) == []


@pytest.mark.parametrize(("before", "after"), [*TO_FEMININE.items()])
def test_the_cases_of_the_specification(before: str, after: str):
    for kind, tokenizer in TOKENIZERS.items():
        row = np.array(tokenizer.encode(before, add_special_tokens=False).ids)
        found, _ = swap_of(kind, M2F).find(row)
        assert tokenizer.decode(laid_anew(row, found), skip_special_tokens=False) == after


# --- for any row -----------------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(st.lists(st.integers(0, 2100), max_size=80), st.sampled_from(sorted(DIRECTIONS)))
def test_only_swapped_tokens_change(ids: list[int], direction: str):
    """Rows that are no text too: half characters, ids without a token."""
    row = np.array([ids], dtype=np.int64)
    swap = swap_of("gpt2", direction)
    found, _ = swap.find(row)
    found = found.only(~found.changes_length())
    kept = row.copy()
    row.flags.writeable = False
    after = apply(row, found)
    assert (row == kept).all()
    places = {
        int(at) for start, width in zip(found.start, found.width, strict=True) for at in range(start, start + width)
    }
    assert {int(at) for at in np.flatnonzero(after[0] != row[0])} <= places
    for name in found.name.tolist():
        assert not swap.names[name].endswith("-> ")


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.int64, np.uint32])
def test_any_integers_in_any_shape(dtype: type):
    tokenizer = TOKENIZERS["gpt2"]
    swap = TokenSwap(tokenizer, M2F)
    ids = tokenizer.encode("The guard said that he lost his key.").ids
    for row in (
        np.array(ids, dtype=dtype),
        np.array([ids, ids], dtype=dtype),
        np.array([ids * 2], dtype=dtype)[:, ::2],
    ):
        row.flags.writeable = False
        after = apply(row, swap.find(row)[0])
        assert (after.dtype, after.shape) == (row.dtype, row.shape)
    assert tokenizer.decode(apply(np.array(ids, dtype=dtype), swap.find(np.array(ids))[0]).tolist()).count("she") == 1
    for empty in (np.zeros(0, dtype), np.zeros((0, 5), dtype), np.zeros((3, 0), dtype)):
        assert len(swap.find(empty)[0]) == 0


def test_rows_in_one_call(monkeypatch: pytest.MonkeyPatch):
    tokenizer = TOKENIZERS["gpt2"]
    swap = TokenSwap(tokenizer, M2F)
    rows = rows_of(tokenizer, [strewn(" ".join(english())[:40_000], seed=4)], 128, 60)
    found, skipped = swap.find(rows)
    changes = found.changes_length()
    for block in (1, 1000, 1 << 20):
        monkeypatch.setattr("bias_intervene.interventions.tokens.rule.BLOCK_TOKENS", block)
        done = swap(rows, out=np.zeros_like(rows))
        assert (done.rows == apply(rows, found.only(~changes))).all()
        assert done.swaps.total() + done.skipped["changes the number of tokens"] == len(found)
        assert done.skipped - skipped == {"changes the number of tokens": int(changes.sum())}
        assert done.rows_changed == np.unique(found.row[~changes]).size


def test_what_is_no_id_is_refused():
    swap = TokenSwap(TOKENIZERS["gpt2"], M2F)
    with pytest.raises(DataError, match=r"found float64 in 1 dimensions; integers in 1 or 2 are needed"):
        swap.find(np.zeros(3))
    with pytest.raises(DataError, match="in 3 dimensions"):
        swap.find(np.zeros((1, 1, 1), dtype=np.int64))


@pytest.mark.parametrize("strange", [2000, 65_535, -1, 10**9])
def test_ids_without_a_token_separate_words(strange: int):
    tokenizer = TOKENIZERS["gpt2"]
    he, she = (tokenizer.encode(word).ids for word in ("he", "she"))
    row = np.array([strange, *he, strange, *tokenizer.encode(" said").ids])
    found, skipped = TokenSwap(tokenizer, M2F).find(row)
    assert laid_anew(row, found) == [strange, *she, strange, *row[-len(tokenizer.encode(" said").ids) :]]
    assert not skipped


def test_a_row_may_be_cut_within_a_word(neox: Tokenizer):
    swap = TokenSwap(neox, M2F)
    he, spaced_he, art = 248, 344, neox.encode("art").ids
    assert len(swap.find(np.array([he, *neox.encode(" left").ids]), is_cut=True)[0]) == 0
    assert swap.find(np.array([he, *neox.encode(" left").ids]), is_cut=True)[1] == {"row edge": 1}
    assert len(swap.find(np.array([he, *neox.encode(" left").ids]))[0]) == 1
    assert len(swap.find(np.array([*neox.encode("Then").ids, spaced_he]), is_cut=True)[0]) == 1
    nothing = np.zeros(0, dtype=np.int64)
    then = np.array([*neox.encode("Then").ids, spaced_he])
    assert len(swaps_of_piece(swap, nothing, then, np.array(art))) == 0
    assert len(swaps_of_piece(swap, nothing, then, np.array(neox.encode(" left").ids))) == 1


REACH = 256
"""Tokens of context that hold all the rule looks at."""


def swaps_of_piece(swap: TokenSwap, before: np.ndarray, piece: np.ndarray, after: np.ndarray) -> TokenSwaps:
    """The swaps of `piece`, cut from a stream of which `before` and `after` are its neighbours."""
    found, _ = swap.find(np.concatenate([before, piece, after]), is_cut=True)
    found = found.only((found.start >= before.size) & (found.start < before.size + piece.size))
    return replace(found, start=found.start - before.size)


def test_rows_of_the_specification(neox: Tokenizer):
    quote, taken, he, himself = *neox.encode("'").ids, *neox.encode("'s").ids, 248, 48486
    found, _ = TokenSwap(neox, M2F).find(np.array([quote, he]))
    assert laid_anew(np.array([quote, he]), found) == [taken, he] == neox.encode("'she").ids
    found, _ = TokenSwap(neox, F2M).find(np.array([taken, he]))
    assert laid_anew(np.array([taken, he]), found) == [quote, he]
    row = np.array([himself, *neox.encode(" a sailor").ids, 0])
    found, _ = TokenSwap(neox, M2F).find(row)
    assert found.changes_length().tolist() == [True]
    with pytest.raises(ValueError, match="apply_shifted"):
        apply(row, found)
    laid, count = apply_shifted(row, found, padding_id=1)
    assert laid.tolist() == [*neox.encode(" Herself a sailor").ids, 0][: row.size]
    assert count == row.size


def test_a_stream_may_be_cut_anywhere():
    """With the tokens that the rule can see on either side, pieces give what the whole gives."""
    tokenizer = TOKENIZERS["gpt2"]
    text = strewn(" ".join(english())[:12_000], seed=11)
    ids = np.array(tokenizer.encode(text, add_special_tokens=False).ids)
    for direction in (M2F, "both"):
        swap = TokenSwap(tokenizer, direction)
        whole, _ = swap.find(ids)
        whole = whole.only(~whole.changes_length())
        for size in (1, 7, 100):
            for first in range(400, 480) if size == 1 else range(0, ids.size, size):
                piece = ids[first : first + size]
                found = swaps_of_piece(swap, ids[max(0, first - REACH) : first], piece, ids[first + size :][:REACH])
                found = found.only(~found.changes_length())
                own = whole.only((whole.start >= first) & (whole.start < first + size))
                assert (found.start + first).tolist() == own.start.tolist()
                assert found.name.tolist() == own.name.tolist()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("he\n\n    slept,\n      he woke.", "she\n\n    slept,\n      she woke."),
        ("so he\n        said it was his\n    own", "so she\n        said it was her\n    own"),
        ("it was he or that man", "it was she or that man"),
    ],
)
def test_line_ends_and_another_or_need_no_text(before: str, after: str, monkeypatch: pytest.MonkeyPatch):
    swap = TokenSwap(trained("neox"), "masculine_to_feminine")
    monkeypatch.setattr(swap.fallback, "decide", lambda *args, **kwargs: pytest.fail("the text rule was used"))
    ids = np.array(trained("neox").encode(before, add_special_tokens=False).ids)
    assert trained("neox").decode(laid_anew(ids, swap.find(ids)[0])) == after


@pytest.mark.parametrize("text", ["it was he\n    or she", "he\n  \n  /she said", "he\n \n \n \n \n  or she"])
def test_a_coordination_over_a_line_end(text: str):
    ids = np.array(trained("gpt2").encode(text, add_special_tokens=False).ids)
    expected = swap_text(text, "masculine_to_feminine")
    found, skipped = TokenSwap(trained("gpt2"), "masculine_to_feminine").find(ids)
    assert (trained("gpt2").decode(laid_anew(ids, found)), skipped) == (expected.text, expected.skipped)


def test_tables_are_made_once_for_equal_tokenizers():
    tokenizer = TOKENIZERS["gpt2"]
    assert compiled(tokenizer) is compiled(Tokenizer.from_str(tokenizer.to_str()))


def test_a_row_as_text():
    tokenizer = TOKENIZERS["gpt2"]
    text = "He said that he is and his; HE LEFT HIMSELF<|endoftext|>he"
    row = np.array(tokenizer.encode(text, add_special_tokens=False).ids)
    swap = TokenSwap(tokenizer, M2F)
    found, swaps = swap.as_text(row, swap.find(row)[0])
    assert found == text
    assert swaps == swap_text(text, M2F).swaps


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("tail", ["' class\n\n", "'\n\n" * 12, "' 漢字漢字漢字漢字", "'   " * 9, ""])
@pytest.mark.parametrize("head", ["", "*\n\n", "漢字漢字漢字\n", "x   \n", "end."])
def test_a_quote_that_becomes_a_contraction(kind: str, head: str, tail: str):
    """The tokenizer splits `'she` and `'they` otherwise than `'he`, whatever stands around."""
    tokenizer = TOKENIZERS[kind]
    for word in ("he", "him", "his", "himself", "she", "herself"):
        rows = np.array([tokenizer.encode(f"{head}'{word}{tail}", add_special_tokens=False).ids], dtype=np.uint16)
        texts = surviving(tokenizer, rows)
        for direction in DIRECTIONS:
            assert list(differences(swap_of(kind, direction), rows, texts)) == []
