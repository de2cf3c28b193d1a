"""Against closed forms and by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from bias_intervene.statistics import compare_gap, compare_paired, mcnemar_exact, mean_and_stderr


def test_share_of_ten():
    value, stderr = mean_and_stderr([1.0] * 7 + [0.0] * 3)
    assert value == pytest.approx(0.7)
    assert stderr == pytest.approx(math.sqrt(0.7 * 0.3 / 9))


def test_one_item_has_no_spread():
    assert math.isnan(mean_and_stderr([1.0])[1])
    with pytest.raises(ValueError, match="no values"):
        mean_and_stderr([])


def test_mcnemar_by_hand():
    # 1 + 8 discordant: two-sided binomial p = 2 * (1 + 9) / 512.
    assert mcnemar_exact(gained=1, lost=8) == pytest.approx(2 * 10 / 512)
    assert mcnemar_exact(gained=0, lost=0) == 1.0


def test_paired_shares_use_mcnemar():
    baseline = np.array([1, 1, 1, 0, 0, 1, 1, 1, 1, 0], dtype=float)
    treatment = np.array([0, 0, 0, 0, 1, 0, 1, 0, 1, 0], dtype=float)
    found = compare_paired(baseline, treatment)
    assert found.difference == pytest.approx(-0.4)
    assert found.p == pytest.approx(mcnemar_exact(gained=1, lost=5))
    assert found.n == 10


def test_paired_means_use_t():
    draw = np.random.default_rng(0)
    baseline = draw.normal(size=30)
    treatment = baseline + draw.normal(0.3, 0.5, size=30)
    found = compare_paired(baseline, treatment)
    expected = stats.ttest_rel(treatment, baseline)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.ci_low, found.ci_high) == pytest.approx(tuple(expected.confidence_interval()))


def test_the_same_items_do_not_differ():
    same = np.array([0.5, 1.5, 2.5])
    assert compare_paired(same, same).p == 1.0


def test_unequal_numbers_are_refused():
    with pytest.raises(ValueError, match="unequal"):
        compare_paired(np.zeros(2), np.zeros(3))


def test_gap():
    high, low = np.array([1.0, 1.2, 0.8]), np.array([-1.0, -0.9, -1.1])
    found = compare_gap(high, low)
    assert found.difference == pytest.approx(2.0)
    assert found.ci_low < 2.0 < found.ci_high
    assert found.p < 0.001
    assert compare_gap(np.zeros(3), np.zeros(3)).p == 1.0
