"""Which rows, or which pronouns, are altered when only a share of them is to be.

Input: the run's seed, a row's number, how many pronouns the row has, and the share. Output: which of them are altered.
Guarantees: the draw of a row depends on the seed and the row's number alone, that of a pronoun on its place in the row
too (a counter-based generator), so every rank, accumulation and restart makes the same choice, and a larger probability
alters a superset.
"""

import numpy as np

NOT_DRAWN = "not drawn"
"""Why a pronoun was left alone that probability and unit did not choose."""


def draws(*, seed: int, row: int, count: int) -> np.ndarray:
    """float64 (count,), uniform in [0, 1): the draws of a row. Philox (Salmon et al. 2011), keyed by seed and row."""
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, row], dtype=np.uint64)))
    return generator.random(count)


def chosen(*, seed: int, row: int, count: int, probability: float, unit: str) -> list[bool]:
    """Whether each of the `count` pronouns of a row is altered. unit: row (all or none of them) or pronoun."""
    if probability >= 1:
        return [True] * count
    if unit == "row":
        return [bool(draws(seed=seed, row=row, count=1)[0] < probability)] * count
    # The first draw is the row's own.
    return [bool(draw < probability) for draw in draws(seed=seed, row=row, count=count + 1)[1:]]
