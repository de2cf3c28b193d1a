"""The bands of the figures over the checkpoints."""

import math

import pytest

from bias_intervene.analysis.report import over_steps


@pytest.mark.parametrize("values", [[(1.0, 0.0)], [(1.0, None)], [(0.5, 0.1), (0.5, 0.2), (0.5, 0.3)]])
def test_values_without_a_spread_have_no_band(values: list[tuple[float, float | None]]):
    """All items the same, one item, or seeds that agree to the last digit."""
    estimate = over_steps._mean_and_interval(values)
    assert estimate.value == values[0][0]
    assert math.isnan(estimate.low)
    assert math.isnan(estimate.high)


def test_the_band_of_one_seed_is_over_items_and_of_several_over_seeds():
    assert over_steps._mean_and_interval([(0.5, 0.1)]).high == pytest.approx(0.5 + 0.196, abs=1e-4)
    # Student's with one degree of freedom.
    assert over_steps._mean_and_interval([(0.4, 0.1), (0.6, 0.1)]).high == pytest.approx(0.5 + 12.706 * 0.1, abs=1e-3)
