"""The compiled loops against the rule without them: the same swaps, in the same places, for the same reasons."""

import subprocess
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bias_intervene.errors import DataError
from bias_intervene.interventions.lexicon import DIRECTIONS
from bias_intervene.interventions.possessive import WORD_LISTS, Possessives
from bias_intervene.interventions.possessive_fit import fit
from bias_intervene.interventions.tokens import TokenSwap, rule
from tests.conftest import english, source_code, trained
from tests.interventions.test_text import OTHER_LANGUAGES
from tests.interventions.tokens.parity import FORMS, GLUE, rows_of, strewn

pytest.importorskip("numba", reason="the compiled loops need Numba: pip install -e '.[fast]'")


def both_ways(rows: np.ndarray, swap: TokenSwap, plain: TokenSwap, *, is_cut: bool) -> int:
    """Holds the two together on `rows`; the number of swaps."""
    ours, expected = swap(rows, is_cut=is_cut), plain(rows, is_cut=is_cut)
    np.testing.assert_array_equal(ours.rows, expected.rows)
    assert ours.rows_changed == expected.rows_changed
    assert (ours.swaps, ours.skipped) == (expected.swaps, expected.skipped)
    return ours.swaps.total()


def pair(kind: str, direction: str, possessives: Possessives = WORD_LISTS) -> list[TokenSwap]:
    """The same swap, by the loops and without them."""
    return [TokenSwap(trained(kind), direction, possessives, is_compiled=way) for way in (True, False)]


fitted = cache(lambda: fit([*english()]))
pair_of_gpt2 = cache(lambda direction: pair("gpt2", direction))


@cache
def rows_of_all_kinds(kind: str) -> np.ndarray:
    """uint16 (600, 257): the corners of the rule, code, other languages, prose."""
    prose = [*english()]
    texts = [strewn(" ".join(prose)[:200_000], seed=3), strewn("\n".join(source_code())[:100_000], seed=4, share=0.01)]
    texts += [strewn(" ".join(OTHER_LANGUAGES), seed=5, share=0.02)]
    texts += [f"{other} He said it was his, and hers." for other in OTHER_LANGUAGES]
    return rows_of(trained(kind), [*texts, *prose], 257, 600)


@pytest.mark.parametrize("direction", sorted(DIRECTIONS))
@pytest.mark.parametrize("kind", ["gpt2", "neox", "smollm2"])
def test_rows_of_all_kinds(kind: str, direction: str):
    rows = rows_of_all_kinds(kind)
    for possessives in (WORD_LISTS, fitted()):
        swap, plain = pair(kind, direction, possessives)
        for is_cut in (False, True):
            assert both_ways(rows, swap, plain, is_cut=is_cut) > 50
            both_ways(rows[:40, :3], swap, plain, is_cut=is_cut)
    for dtype in ("<i8", ">u2"):  # Numba does not know the second.
        both_ways(rows.astype(dtype), swap, plain, is_cut=True)


@given(
    words=st.lists(
        st.sampled_from([*FORMS, *GLUE, " the", " of", " and", " in", " was", " dog", " to", "un", "told"]), max_size=60
    ),
    direction=st.sampled_from(sorted(DIRECTIONS)),
    is_cut=st.booleans(),
)
def test_any_text(words: list[str], direction: str, is_cut: bool):
    ids = trained("gpt2").encode("".join(words), add_special_tokens=False).ids
    both_ways(np.array([ids, ids[::-1]], dtype=np.int64), *pair_of_gpt2(direction), is_cut=is_cut)


@given(st.lists(st.integers(-2, 2100), max_size=200), st.sampled_from(sorted(DIRECTIONS)))
def test_any_ids(ids: list[int], direction: str):
    both_ways(np.array(ids, dtype=np.int64), *pair_of_gpt2(direction), is_cut=False)


def test_roles_that_are_not_sure_are_left():
    """A threshold of log-odds is asked of both."""
    rows = rows_of_all_kinds("gpt2")
    swap, plain = pair("gpt2", "both", replace(fitted(), margin=2.0))
    both_ways(rows, swap, plain, is_cut=False)
    assert plain(rows).skipped["unsure role"] > 0


def test_rows_need_not_lie_side_by_side():
    """A column of a larger array, read and written."""
    rows = rows_of_all_kinds("gpt2")
    swap, plain = pair_of_gpt2("both")
    for way in (swap, plain):
        wide = np.zeros((len(rows), 600), dtype=np.uint16)
        wide[:, 7:264] = rows
        way(wide[:, 7:264], out=wide[:, 300:557])
        np.testing.assert_array_equal(wide[:, 300:557], plain(rows).rows)
        assert not wide[:, 557:].any()
        np.testing.assert_array_equal(wide[:, 7:264], rows)


def test_rows_swapped_in_place():
    """What is decided later must not see what was swapped before."""
    rows = rows_of_all_kinds("gpt2")
    swap, plain = pair_of_gpt2("both")
    expected = plain(rows)
    found = swap(own := rows.copy(), out=own)
    np.testing.assert_array_equal(own, expected.rows)
    assert (found.swaps, found.skipped) == (expected.swaps, expected.skipped)


@pytest.mark.parametrize("room", [0, 3, 1000])
def test_more_is_left_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch, room: int):
    from bias_intervene.interventions.tokens.kernel import rows as kernel

    monkeypatch.setattr(kernel, "LEFT_ROOM", room)
    monkeypatch.setattr(rule, "FEW_BLOCK_BYTES", 2000)
    rows = rows_of(trained("gpt2"), ["He said that HE left with his dog, or that he or she did. " * 300], 97, 100)
    swap, plain = pair_of_gpt2("masculine_to_feminine")
    assert both_ways(rows, swap, plain, is_cut=True) > 50
    assert plain(rows).skipped["coordination"] > 50


def test_no_rows_and_rows_of_nothing():
    rows = rows_of_all_kinds("gpt2")
    for empty in (rows[:0], rows[:, :0], rows[0, :0]):
        assert both_ways(empty, *pair_of_gpt2("both"), is_cut=True) == 0


def test_they_are_made_for_many_rows_alone(monkeypatch: pytest.MonkeyPatch):
    rows = rows_of_all_kinds("gpt2")
    monkeypatch.setattr(rule, "COMPILED_TOKENS", rows.size)
    swap = TokenSwap(trained("gpt2"), "both")
    swap(rows[1:])
    assert "kernel" not in vars(swap)
    swap(rows)
    assert "kernel" in vars(swap)


def test_without_numba(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rule, "find_spec", lambda name: None)
    monkeypatch.setattr(rule, "COMPILED_TOKENS", 0)
    swap = TokenSwap(trained("gpt2"), "both")
    swap(rows_of_all_kinds("gpt2"))
    assert "kernel" not in vars(swap)
    with pytest.raises(DataError, match="pip install numba"):
        TokenSwap(trained("gpt2"), "both", is_compiled=True)


def test_the_rule_alone_does_not_load_numba():
    """It takes a second, which a first look does not need."""
    assert "bias_intervene.interventions.tokens.rule" in sys.modules
    code = "import sys, bias_intervene.interventions.tokens; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
