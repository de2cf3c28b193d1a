"""Draws depend on seed and place alone."""

from hypothesis import given
from hypothesis import strategies as st

from bias_intervene.interventions.choice import chosen, draws

ROWS = st.integers(0, 2**40)


@given(seed=st.integers(0, 2**32), row=ROWS, count=st.integers(0, 20), more=st.integers(0, 20))
def test_a_longer_row_begins_with_the_same_draws(seed: int, row: int, count: int, more: int):
    assert (
        draws(seed=seed, row=row, count=count + more)[:count].tolist()
        == draws(seed=seed, row=row, count=count).tolist()
    )


@given(row=ROWS, low=st.floats(0, 1), high=st.floats(0, 1), unit=st.sampled_from(["row", "pronoun"]))
def test_a_larger_probability_alters_a_superset(row: int, low: float, high: float, unit: str):
    low, high = sorted((low, high))
    few, many = (chosen(seed=7, row=row, count=9, probability=p, unit=unit) for p in (low, high))
    assert all(b for a, b in zip(few, many, strict=True) if a)


def test_the_ends():
    assert chosen(seed=1, row=2, count=3, probability=0.0, unit="pronoun") == [False] * 3
    assert chosen(seed=1, row=2, count=3, probability=1.0, unit="row") == [True] * 3


def test_known_draws_never_change():
    """Frozen: another NumPy or another version of ours must give the same rows the same fate."""
    assert draws(seed=1, row=136_192_000, count=2).round(6).tolist() == [0.596587, 0.030652]


def test_shares():
    hits = sum(chosen(seed=3, row=row, count=1, probability=0.3, unit="row")[0] for row in range(4_000))
    assert abs(hits / 4_000 - 0.3) < 0.03
