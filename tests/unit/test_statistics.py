"""Against statsmodels, scipy, closed forms, by hand, and by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from bias_intervene.statistics import (
    clustered_stderr,
    compare_gap,
    compare_paired,
    holm,
    mcnemar_exact,
    mean_and_stderr,
    minimum_detectable_effect,
    over_seeds,
    wilson_interval,
)


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


# --- against statsmodels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (3, 10), (262, 320), (320, 320), (1, 2)])
def test_wilson_as_in_statsmodels(successes: int, n: int):
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    assert wilson_interval(successes, n) == pytest.approx(proportion.proportion_confint(successes, n, method="wilson"))


def test_wilson_refuses_what_is_no_share():
    with pytest.raises(ValueError, match="3 successes of 2"):
        wilson_interval(3, 2)


def test_holm_as_in_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p = np.random.default_rng(3).uniform(0, 0.1, size=17)
    assert holm(p) == pytest.approx(multitest.multipletests(p, method="holm")[1])
    with_unknown = holm([0.01, math.nan, 0.04])
    assert math.isnan(with_unknown[1])
    assert with_unknown[::2] == pytest.approx([0.02, 0.04])


def test_clustered_stderr_as_in_statsmodels():
    linear = pytest.importorskip("statsmodels.api")
    draw = np.random.default_rng(5)
    clusters = draw.integers(0, 30, size=200)
    values = draw.normal(size=200) + draw.normal(size=30)[clusters]
    fitted = linear.OLS(values, np.ones(200)).fit(
        cov_type="cluster", cov_kwds={"groups": clusters, "df_correction": False, "use_correction": False}
    )
    groups = len(set(clusters.tolist()))
    expected = float(fitted.bse[0]) * math.sqrt(groups / (groups - 1))
    assert mean_and_stderr(values, clusters)[1] == pytest.approx(expected)


def crossed(draw: np.random.Generator, *, groups: tuple[int, int], n: int, sd: float) -> tuple[np.ndarray, np.ndarray]:
    """(values, labels): items of two crossed factors, each of whose groups is shifted as a whole. (n,), (n, 2)."""
    labels = np.stack([draw.integers(0, count, size=n) for count in groups], axis=1)
    shifts = [draw.normal(scale=sd, size=count)[labels[:, factor]] for factor, count in enumerate(groups)]
    return draw.normal(size=n) + shifts[0] + shifts[1], labels


def test_two_way_clustered_stderr_as_in_statsmodels():
    linear, sandwich = (pytest.importorskip(f"statsmodels.{name}") for name in ("api", "stats.sandwich_covariance"))
    values, labels = crossed(np.random.default_rng(5), groups=(20, 12), n=400, sd=0.5)
    fitted = linear.OLS(values, np.ones(400)).fit()
    covariance = sandwich.cov_cluster_2groups(fitted, labels[:, 0], labels[:, 1], use_correction=True)[0]
    assert mean_and_stderr(values, labels)[1] == pytest.approx(math.sqrt(covariance.item()))
    # Labels of any kind, as rows of items have them.
    assert (
        mean_and_stderr(values, [[f"the {a}", f"the {b}"] for a, b in labels])[1] == mean_and_stderr(values, labels)[1]
    )
    compared = compare_paired(np.zeros(400), values, clusters=labels)
    assert (compared.stderr, compared.df) == (mean_and_stderr(values, labels)[1], 11)


def test_minimum_detectable_effect_as_in_statsmodels():
    power = pytest.importorskip("statsmodels.stats.power")
    found = minimum_detectable_effect(0.02, power=0.9)
    assert power.normal_power(found / 0.02, 1, 0.05) == pytest.approx(0.9, abs=1e-6)


@pytest.mark.parametrize("seeds", [3, 5, 20])
def test_the_effect_that_few_seeds_detect_as_in_statsmodels(seeds: int):
    power = pytest.importorskip("statsmodels.stats.power").TTestPower()
    found = minimum_detectable_effect(1 / math.sqrt(seeds), df=seeds - 1)
    assert power.power(found, seeds, 0.05) == pytest.approx(0.8, abs=1e-3)


# --- closed forms ----------------------------------------------------------------------------------------------


def test_clusters_of_one_item_change_nothing():
    values = np.random.default_rng(1).normal(size=50)
    assert mean_and_stderr(values, range(50))[1] == pytest.approx(mean_and_stderr(values)[1])
    assert math.isnan(clustered_stderr(np.array([1.0, -1.0]), ["a", "a"]))


def test_two_way_clusters_by_hand():
    # Residuals 3, 1, -1, -3 in a 2 x 2 table: rows sum to 4 and -4, columns to 2 and -2, each with the factor 2.
    # By both: each item by itself, with 4/3. 2 * 32 + 2 * 8 - 4/3 * 20 = 160/3.
    labels = [["a", "x"], ["a", "y"], ["b", "x"], ["b", "y"]]
    assert clustered_stderr(np.array([3.0, 1.0, -1.0, -3.0]), labels) == pytest.approx(math.sqrt(160 / 3) / 4)


def test_a_two_way_variance_is_never_below_that_by_both_labels_together():
    # Rows and columns sum to 0: the three terms give 0 + 0 - 4/3 * 4.
    labels = [["a", "x"], ["a", "y"], ["b", "x"], ["b", "y"]]
    residuals = np.array([1.0, -1.0, -1.0, 1.0])
    assert clustered_stderr(residuals, labels) == pytest.approx(clustered_stderr(residuals, range(4)))


def test_one_group_of_a_factor_has_no_spread():
    assert math.isnan(clustered_stderr(np.array([1.0, -1.0]), [["a", "x"], ["a", "y"]]))


def test_equal_labels_of_both_factors_are_one_factor():
    values = np.random.default_rng(1).normal(size=40)
    labels = np.repeat(range(8), 5)
    both = compare_paired(np.zeros(40), values, clusters=np.stack([labels, labels], axis=1))
    assert both == compare_paired(np.zeros(40), values, clusters=labels)


def test_clusters_of_copies_count_once():
    values = np.random.default_rng(1).normal(size=50)
    found = compare_paired(np.zeros(200), np.repeat(values, 4), clusters=np.repeat(range(50), 4))
    alone = compare_paired(np.zeros(50), values)
    assert (found.ci_low, found.p) == (pytest.approx(alone.ci_low), pytest.approx(alone.p))
    assert found.n == 200


def test_over_seeds_by_hand():
    found = over_seeds([0.1, 0.2, 0.3])
    half = stats.t.ppf(0.975, 2) * 0.1 / math.sqrt(3)
    assert (found.mean, found.standard_deviation) == (pytest.approx(0.2), pytest.approx(0.1))
    assert (found.ci_low, found.ci_high) == (pytest.approx(0.2 - half), pytest.approx(0.2 + half))
    assert math.isnan(over_seeds([1.0]).ci_low)


# --- coverage, by simulation -----------------------------------------------------------------------------------

TRIALS = 400


def holds(share: float) -> bool:
    """Whether a share of TRIALS is what 95% would give, at four standard errors."""
    return abs(share - 0.95) < 4 * math.sqrt(0.95 * 0.05 / TRIALS)


def test_clustered_intervals_cover():
    draw = np.random.default_rng(6)
    clusters = np.repeat(range(40), 5)
    naive = covered = 0
    for _ in range(TRIALS):
        values = draw.normal(size=200) + draw.normal(size=40)[clusters]
        found = compare_paired(np.zeros(200), values, clusters=clusters)
        covered += found.ci_low < 0 < found.ci_high
        plain = compare_paired(np.zeros(200), values)
        naive += plain.ci_low < 0 < plain.ci_high
    assert holds(covered / TRIALS)
    assert not holds(naive / TRIALS)


@pytest.mark.parametrize("sd", [0.0, 0.3])
def test_two_way_clustered_tests_keep_their_level(sd: float):
    """Items of 10 x 10 groups, 4 of each pair, as WinoBias in a generated world has them; by pair the test does not."""
    draw = np.random.default_rng(8)
    first, second = (np.repeat(numbers, 4) for numbers in np.divmod(np.arange(100), 10))
    labels, pairs = np.stack([first, second], axis=1), first * 10 + second
    found = by_pair = 0
    for _ in range(TRIALS):
        values = draw.normal(size=400) + draw.normal(scale=sd, size=10)[first] + draw.normal(scale=sd, size=10)[second]
        found += compare_paired(np.zeros(400), values, clusters=labels).p < 0.05
        by_pair += compare_paired(np.zeros(400), values, clusters=pairs).p < 0.05
    assert found <= stats.binom.ppf(0.999, TRIALS, 0.05)
    assert (by_pair / TRIALS > 0.25) is (sd > 0)


def test_wilson_covers_a_small_share():
    draw = np.random.default_rng(7)
    covered = 0
    for successes in draw.binomial(320, 0.03, size=TRIALS):
        low, high = wilson_interval(int(successes), 320)
        covered += low < 0.03 < high
    assert holds(covered / TRIALS)


def test_the_paired_test_keeps_its_level_and_has_the_stated_power():
    draw = np.random.default_rng(9)
    false = power = 0
    for _ in range(TRIALS):
        differences = draw.normal(size=60)
        false += compare_paired(np.zeros(60), differences).p <= 0.05
        effect = minimum_detectable_effect(1 / math.sqrt(60))
        power += compare_paired(np.zeros(60), differences + effect).p < 0.05
    assert false / TRIALS < 0.05 + 4 * math.sqrt(0.05 * 0.95 / TRIALS)
    assert power / TRIALS == pytest.approx(0.8, abs=0.08)
