"""Against statsmodels, scipy, closed forms, by hand, and by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from bias_intervene.statistics import (
    OverSeeds,
    PairedComparison,
    clustered_stderr,
    compare_gap,
    compare_paired,
    compare_perplexity,
    compare_unpaired,
    holm,
    mcnemar_exact,
    mcnemar_interval,
    mcnemar_power,
    mean_and_stderr,
    minimum_detectable_effect,
    minimum_detectable_share,
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


# --- differences without a spread ------------------------------------------------------------------------------


def has_no_test(found: PairedComparison | OverSeeds) -> bool:
    """Whether there is neither an interval nor a p."""
    return all(math.isnan(value) for value in (found.ci_low, found.ci_high, found.p))


def test_seeds_that_differ_by_rounding_alone_have_no_test():
    """A net +1 of 320 items, three times; their difference is computed from other sums each time."""
    values = [(first + 1) / 320 - first / 320 for first in (151, 170, 201)]
    assert len(set(values)) > 1, "rounded differently"
    found = over_seeds(values)
    assert (found.mean, found.standard_deviation) == (pytest.approx(1 / 320), 0.0)
    assert has_no_test(found)


def test_rounding_is_measured_by_what_was_subtracted():
    assert over_seeds([1e-17, -1e-17, 2e-17]).standard_deviation > 0
    found = over_seeds([1e-17, -1e-17, 2e-17], size=0.5)
    assert (found.mean, found.standard_deviation) == (0.0, 0.0)
    assert has_no_test(found)


def test_a_small_spread_is_one():
    found = over_seeds([1.0, 1.0 + 1e-7, 1.0 - 1e-7])
    assert found.standard_deviation == pytest.approx(1e-7)
    assert found.p < 1e-6


@pytest.mark.parametrize("clusters", [None, ["a", "a", "b"], [["a", "x"], ["a", "y"], ["b", "x"]]])
@pytest.mark.parametrize("moved", [0.0, 0.1])
def test_items_that_all_move_by_the_same_have_no_test(moved: float, clusters: list | None):
    values = np.array([0.5, 1.5, 2.7])
    found = compare_paired(values, values + moved, clusters=clusters)
    assert (found.difference, found.stderr, found.df) == (pytest.approx(moved), 0.0, None)
    assert has_no_test(found)


def test_clusters_that_all_move_by_the_same_have_no_spread_that_is_known():
    found = compare_paired(np.zeros(4), np.array([1.0, 2.0, 2.0, 1.0]), clusters=["a", "a", "b", "b"])
    assert found.difference == 1.5
    assert math.isnan(found.stderr)
    assert has_no_test(found)


def test_perplexities_whose_items_all_move_by_the_same_have_no_test():
    log_likelihoods = np.array([-1.0, -2.0, -3.5])
    found = compare_perplexity(log_likelihoods, log_likelihoods - 0.1)
    assert (found.difference, found.stderr) == (pytest.approx(math.exp(6.5 / 3) * (math.exp(0.1) - 1)), 0.0)
    assert has_no_test(found)
    same = compare_perplexity(log_likelihoods, log_likelihoods + np.array([1e-17, 0, 0]))
    assert (same.difference, same.stderr) == (0.0, 0.0)


def test_a_gap_whose_groups_have_no_spread_has_no_test():
    assert has_no_test(compare_gap(np.zeros(3), np.zeros(3)))
    assert compare_gap(np.zeros(3), np.zeros(3)).stderr == 0.0
    moved = compare_gap(np.full(3, 0.3), np.full(4, 0.1))
    assert moved.difference == pytest.approx(0.2)
    assert math.isnan(moved.stderr)
    assert has_no_test(moved)
    # One group with a spread is enough.
    assert compare_gap(np.full(3, 0.3), np.array([0.1, 0.2, 0.0])).df == 2


def test_values_with_standard_errors_of_rounding_have_no_test():
    assert has_no_test(compare_unpaired(0.5, 1e-17, 0.6, 0.0))


def test_unequal_standard_errors_are_those_of_welch():
    draw = np.random.default_rng(2)
    high, low = draw.normal(size=7), draw.normal(scale=3, size=12)
    found, expected = compare_gap(high, low), stats.ttest_ind(high, low, equal_var=False)
    assert (found.p, found.df) == (pytest.approx(expected.pvalue), pytest.approx(expected.df))
    assert (found.ci_low, found.ci_high) == pytest.approx(tuple(expected.confidence_interval()))


# --- McNemar's exact test --------------------------------------------------------------------------------------


def test_five_of_five_gained():
    found = compare_paired(np.zeros(5), np.ones(5))
    assert (found.p, found.discordant) == (0.0625, 5)
    # All changed, of which Wilson's interval begins at 5 / (5 + 1.96^2); all gained, of which the exact one begins so.
    gained = 2 * 0.025 ** (1 / 5) - 1
    assert found.ci_low == pytest.approx(1 - math.hypot(1 - gained, 1 - 5 / (5 + 1.959964**2)))
    assert found.ci_high == 1.0


@pytest.mark.parametrize(("gained", "lost"), [(1, 0), (5, 0), (6, 0), (8, 1), (20, 8), (13, 30)])
def test_the_interval_of_mcnemars_test_says_what_its_p_says(gained: int, lost: int):
    low, high = mcnemar_interval(gained=gained, lost=lost, n=100)
    assert low <= (gained - lost) / 100 <= high
    assert (low > 0 or high < 0) is (mcnemar_exact(gained=gained, lost=lost) < 0.05)


def test_no_item_that_changed_is_no_interval():
    found = compare_paired(np.ones(4), np.ones(4))
    assert (found.p, found.discordant) == (1.0, 0)
    assert math.isnan(found.ci_low)


@pytest.mark.parametrize(("n", "discordant"), [(262, 0), (262, 1), (262, 40), (60, 20), (12, 3)])
def test_the_share_that_mcnemars_test_detects_by_simulation(n: int, discordant: int):
    draw = np.random.default_rng(n + discordant)
    effect = minimum_detectable_share(n, discordant)
    changing = max(effect, discordant / n)
    counts = draw.multinomial(n, [(changing + effect) / 2, (changing - effect) / 2, 1 - changing], size=4000)
    found = np.mean([mcnemar_exact(gained=int(a), lost=int(b)) < 0.05 for a, b, _ in counts])
    assert found == pytest.approx(0.8, abs=0.03)


def test_one_changed_item_of_262_does_not_see_one_point():
    assert mcnemar_power(0.011, n=262, discordant=1) == pytest.approx(0.07, abs=0.01)
    assert minimum_detectable_share(262, 1) == pytest.approx(0.030, abs=0.001)


def test_few_items_can_detect_nothing():
    assert math.isnan(minimum_detectable_share(5, 5))
    assert minimum_detectable_share(6, 0) == pytest.approx(0.8 ** (1 / 6))


def test_unequal_numbers_are_refused():
    with pytest.raises(ValueError, match="unequal"):
        compare_paired(np.zeros(2), np.zeros(3))


def test_gap():
    high, low = np.array([1.0, 1.2, 0.8]), np.array([-1.0, -0.9, -1.1])
    found = compare_gap(high, low)
    assert found.difference == pytest.approx(2.0)
    assert found.ci_low < 2.0 < found.ci_high
    assert found.p < 0.001


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


@pytest.mark.parametrize(
    ("n", "changing", "gaining"), [(40, 0.5, 1.0), (262, 0.15, 0.5), (262, 0.15, 0.95), (60, 0.3, 0.7)]
)
def test_the_interval_of_mcnemars_test_covers(n: int, changing: float, gaining: float):
    """Also where all changes go one way, and their number is what is uncertain."""
    draw = np.random.default_rng(n)
    counts = draw.multinomial(n, [changing * gaining, changing * (1 - gaining), 1 - changing], size=TRIALS)
    intervals = [mcnemar_interval(gained=int(gained), lost=int(lost), n=n) for gained, lost, _ in counts]
    covered = sum(low <= changing * (2 * gaining - 1) <= high for low, high in intervals)
    assert covered >= stats.binom.ppf(0.001, TRIALS, 0.95)


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
