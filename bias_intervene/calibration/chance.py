"""Measures false positives and power of the tests, and the spread between trainings, on pairs of controls.

Two claims are kept apart. "These two models differ over the population of items" is what a test over items is made
for. Its rate of false positives is measured by exchanging the answers of two models at random, unit by unit (an item,
or a cluster of items that depend on each other): then there is no difference by construction, and everything else stays
as it was. Where an item is about two occupations, all items about an occupation are exchanged together: a model changes
its mind about an occupation, and with smaller units a test would pass that takes an occupation's items for independent.
"These two treatments differ" is a claim about trainings and needs several of each; the rate of false positives of the
tests over seeds is measured on differences between controls. How often a test over items calls two trainings of the
same arm different is reported without bounds, because that test is not made for this claim, though a paper with one
seed reads it so.

Input: runs.
Output: answers about false positives, power and seeds.
Guarantees: the two controls of a pair differ only in `seed`, which is the order of their rows, so any difference
between them is chance.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import stats

from bias_intervene.analysis.items import ItemTable
from bias_intervene.analysis.pairing import paired_items, settings_without
from bias_intervene.analysis.records import CONTROL, Run, specs_of
from bias_intervene.analysis.report.figure import Figure, Series
from bias_intervene.analysis.verdicts import ALPHA
from bias_intervene.calibration.findings import Answer, Bounds, Finding, share
from bias_intervene.results import MetricKey, MetricSpecs
from bias_intervene.statistics import PairedComparison, minimum_detectable_effect

_EXCHANGES = 10
"""Random exchanges of the answers of each pair."""
_REGROUPINGS = 60
"""Number of times that the differences between controls are divided into groups at random, for the tests over seeds."""
_GROUP = 5
"""Differences in a group, as many as the arms of experiment=calibration have seeds."""
_OVER_SEEDS = f"over seeds: Student's t on {_GROUP} differences"
_MOST_FALSE_POSITIVES_OVER_SEEDS = 0.12
"""Upper bound of their share at the level of 5%, as groups of 40 pairs estimate it. The groups have pairs in common, so
that no binomial distribution tells it."""
_HOW_TO_MAKE_PAIRS = (
    "python -m bias_intervene experiment=calibration (pairs of controls: data.shuffle=true and several seeds)"
)

ControlPair = tuple[Run, Run]


def control_pairs(runs: Sequence[Run]) -> list[ControlPair]:
    """Pairs of controls that differ in `seed` alone and trained in different orders. No run is in two pairs."""
    groups: dict[Any, list[Run]] = {}
    for run in runs:
        is_trained = run.last != run.base and not run.foreign
        if run.arm == CONTROL and is_trained and run.settings.get("data.shuffle"):
            groups.setdefault(settings_without(run, {"seed"}), []).append(run)
    by_seed = (sorted(group, key=lambda run: run.settings["seed"]) for group in groups.values())
    return [pair for group in by_seed for pair in zip(group[::2], group[1::2], strict=False)]


def _metrics_of(pairs: Sequence[ControlPair], specs: MetricSpecs) -> list[MetricKey]:
    """The metrics that are tested: those that are shown first, and the log-likelihoods behind shares."""
    keys = dict.fromkeys([*specs.shown_first, *specs.headline("bias")])
    keys |= dict.fromkeys(key._replace(metric=name) for key in list(keys) if (name := specs.of(key).in_nats))
    first = pairs[0][0]
    scored = {row.key for row in first.metrics(str(first.last))}
    return [key for key in keys if key in scored]


def exchanged(ours: ItemTable, theirs: ItemTable, draw: np.random.Generator) -> tuple[ItemTable, ItemTable]:
    """The items of two models after the answers to each unit (item or cluster) were exchanged with probability 0.5.

    Where clusters cross, the units are the clusters of one factor, which is drawn each time: so all items about a
    female-leaning occupation, or all about a male-leaning one, move together. Raises `ValueError` for models that were
    scored on different items.
    """
    if not np.array_equal(ours.ids, theirs.ids) or not np.array_equal(ours.protocols, theirs.protocols):
        raise ValueError("two controls of one world were scored on different items")
    units = ours.ids if ours.clusters is None else ours.clusters
    if units.ndim == 2:
        units = units[:, draw.integers(units.shape[1])]
    _, unit = np.unique(units.astype(str), return_inverse=True)
    is_exchanged = (draw.random(unit.max() + 1) < 0.5)[unit]
    n = ours.table.num_rows
    both = pa.concat_tables([ours.table, theirs.table])
    rows = np.arange(n) + np.where(is_exchanged, n, 0)
    return ItemTable(both.take(rows)), ItemTable(both.take((rows + n) % (2 * n)))


def _test_name(key: MetricKey, specs: MetricSpecs, items: ItemTable) -> str:
    """Name of the test that the comparison uses for a metric."""
    spec = specs.of(key)
    if spec.pairing == "gap":
        return "over items: Welch's t"
    if spec.pairing == "perplexity":
        return "over items: paired t, delta method"
    if items.clusters is not None:
        return f"over items: {'two-way ' if items.clusters.ndim == 2 else ''}clustered t"
    values = items.column(key.metric)[items.rows_of(*key[1:])]
    return "over items: McNemar's exact" if np.isin(values, (0.0, 1.0)).all() else "over items: paired t"


class _ControlComparisons:
    """All comparisons of the pairs of controls, each computed once."""

    def __init__(self, pairs: Sequence[ControlPair]):
        self.pairs = pairs
        self.specs = specs_of(run for pair in pairs for run in pair)
        self.keys = _metrics_of(pairs, self.specs)
        self.as_trained: dict[MetricKey, list[PairedComparison]] = {key: [] for key in self.keys}
        """Metric -> the comparison of each pair."""
        self.exchanged: dict[MetricKey, list[PairedComparison]] = {key: [] for key in self.keys}
        """Metric -> the comparisons of each pair after random exchanges, `_EXCHANGES` per pair."""
        self.tests: dict[MetricKey, str] = {}
        """Metric -> name of its test over items."""
        draw = np.random.default_rng(0)
        for first, second in pairs:
            for benchmark in dict.fromkeys(key.benchmark for key in self.keys):
                ours, theirs = (run.items(benchmark, str(run.last)) for run in (first, second))
                exchanges = [exchanged(ours, theirs, draw) for _ in range(_EXCHANGES)]
                for key in (key for key in self.keys if key.benchmark == benchmark):
                    spec = self.specs.of(key)
                    self.tests.setdefault(key, _test_name(key, self.specs, ours))
                    self.as_trained[key].append(paired_items(key, spec, ours, theirs))
                    self.exchanged[key] += [paired_items(key, spec, *tables) for tables in exchanges]

    def differences(self, key: MetricKey) -> np.ndarray:
        """float64 (pairs,): the metric of the first control of each pair minus that of the second."""
        return np.array([comparison.difference for comparison in self.as_trained[key]])

    def by_test(self) -> dict[str, list[MetricKey]]:
        """Name of a test over items -> the metrics it is used for."""
        return {test: [k for k in self.keys if self.tests[k] == test] for test in dict.fromkeys(self.tests.values())}

    @property
    def num_groups(self) -> int:
        """Number of groups for the tests over seeds; 0 if there are fewer pairs than a group has."""
        return len(self.pairs) // _GROUP * _REGROUPINGS

    def over_seeds(self, key: MetricKey) -> tuple[np.ndarray, np.ndarray]:
        """(means, standard errors), float64 (groups,) each, of groups of `_GROUP` differences with random signs."""
        values, draw = self.differences(key), np.random.default_rng(1)
        num_used = values.size // _GROUP * _GROUP
        groups = np.concatenate([draw.permutation(values)[:num_used].reshape(-1, _GROUP) for _ in range(_REGROUPINGS)])
        groups = groups * draw.choice([-1.0, 1.0], size=groups.shape)
        return groups.mean(axis=1), groups.std(axis=1, ddof=1) / np.sqrt(_GROUP)

    def num_significant_over_seeds(self, key: MetricKey) -> int:
        """Number of groups in which Student's test is significant."""
        mean, stderr = self.over_seeds(key)
        return int((np.abs(mean) > stats.t.ppf(1 - ALPHA / 2, _GROUP - 1) * stderr).sum())


def _num_significant(comparisons: Sequence[PairedComparison]) -> int:
    """Number of comparisons with p below the level."""
    return sum(comparison.p < ALPHA for comparison in comparisons)


# --- the questions ---------------------------------------------------------------------------------------------


def _up_to_chance(n: int) -> Bounds:
    """From 0 to the share of false positives that n tests at the level of 5% exceed in 1 of 200 cases.

    A test may find fewer: the exact one of few changed items does, and so does one whose variance is kept from below.
    """
    return Bounds(0.0, float(stats.binom.ppf(0.995, n, ALPHA)) / n)


def _false_positives(controls: _ControlComparisons, answer: Answer) -> None:
    """Adds the share of comparisons between controls that are significant, by test."""
    rates: dict[str, dict[MetricKey, Finding]] = {}
    n = _EXCHANGES * len(controls.pairs)
    for test, keys in controls.by_test().items():
        counts = {key: _num_significant(controls.exchanged[key]) for key in keys}
        rates[test] = {key: share(controls.specs.short_name(key), count, n) for key, count in counts.items()}
        # Metrics of one pair depend on each other: the interval counts the pairs and their exchanges, not the metrics.
        mean_count = round(float(np.mean(list(counts.values()))))
        answer.findings.append(share(f"{test}, mean of {len(keys)} metrics", mean_count, n, _up_to_chance(n)))
    if n := controls.num_groups:
        # Groups have pairs in common, so there is no interval.
        rates[_OVER_SEEDS] = {
            key: Finding(controls.specs.short_name(key), controls.num_significant_over_seeds(key) / n, None, None, n)
            for key in controls.keys
        }
        mean_rate = float(np.mean([rate.value for rate in rates[_OVER_SEEDS].values()]))
        name = f"{_OVER_SEEDS}, mean of {len(controls.keys)} metrics"
        allowed = Bounds(0.0, _MOST_FALSE_POSITIVES_OVER_SEEDS)
        answer.findings.append(Finding(name, mean_rate, None, None, n, allowed))
    answer.figures.append(
        Figure(
            name="calibration_false_positives",
            title="Control against control: how often p < .05",
            x_label="false positives, %",
            y_label="",
            kind="forest",
            series=_forest(rates),
            note="Bars: Wilson's 95% intervals over pairs and their exchanges. The line: 5%.",
            mark=100 * ALPHA,
        )
    )


def _forest(rates: dict[str, dict[MetricKey, Finding]]) -> list[Series]:
    """The shares in per cent, one line per metric, grouped by test."""

    def per_cent(value: float | None) -> float:
        return float("nan") if value is None else 100 * value

    series: list[Series] = []
    height = float(sum(len(findings) for findings in rates.values()))
    for test, findings in rates.items():
        series.append(
            Series(
                name=test,
                x=[per_cent(finding.value) for finding in findings.values()],
                y=[height := height - 1 for _ in findings],
                low=[per_cent(finding.ci_low) for finding in findings.values()],
                high=[per_cent(finding.ci_high) for finding in findings.values()],
                labels=[finding.name for finding in findings.values()],
            )
        )
    return series


def _power(controls: _ControlComparisons, answer: Answer) -> None:
    """Adds the ratio of the effect that is detected in 80% of cases to the least detectable effect that is stated.

    The effect that a test of two controls needs to become significant is its critical value minus the difference that
    occurred by chance. The 80% quantile of it over the exchanged pairs is the effect detected in 80% of cases.
    """
    ratios: dict[str, list[float]] = {}
    for key in controls.keys:
        tests = [test for test in controls.exchanged[key] if test.df is not None and test.stderr > 0]
        if tests:
            ratio = _detected_over_stated(
                np.array([test.difference for test in tests]),
                np.array([test.stderr for test in tests]),
                np.array([test.df for test in tests]),
            )
            ratios.setdefault(controls.tests[key], []).append(ratio)
        if controls.num_groups:
            mean, stderr = controls.over_seeds(key)
            ratio = _detected_over_stated(mean, stderr, np.full(mean.size, _GROUP - 1))
            ratios.setdefault(_OVER_SEEDS, []).append(ratio)
    for test, of_metrics in ratios.items():
        name = f"{test}: detected over stated effect, median of {len(of_metrics)} metrics, their range"
        lowest, median, highest = min(of_metrics), float(np.median(of_metrics)), max(of_metrics)
        answer.findings.append(Finding(name, median, lowest, highest, len(controls.pairs), Bounds(0.8, 1.25)))


def _detected_over_stated(difference: np.ndarray, stderr: np.ndarray, df: np.ndarray) -> float:
    """The effect that 80% of the tests detect, over the one that they state (root mean square). (tests,) each."""
    needed = stats.t.ppf(1 - ALPHA / 2, df) * stderr - difference
    stated = [minimum_detectable_effect(float(s), df=float(d)) for s, d in zip(stderr, df, strict=True)]
    return float(np.quantile(needed, 0.8) / np.sqrt(np.mean(np.square(stated))))


def _seeds(controls: _ControlComparisons, answer: Answer) -> None:
    """Adds, per metric, the standard deviation between trainings over the standard error of one, and how often two
    trainings of one arm differ significantly over items.
    """
    for key in [key for key in controls.keys if key in set(controls.specs.shown_first)]:
        stderr = float(np.sqrt(np.mean([comparison.stderr**2 for comparison in controls.as_trained[key]])))
        name, n = controls.specs.short_name(key), len(controls.pairs)
        if stderr > 0 and n > 1:
            spread = float(controls.differences(key).std(ddof=1))
            label = f"{name}: spread between trainings over the error of one"
            answer.findings.append(Finding(label, spread / stderr, None, None, n))
        num_significant = _num_significant(controls.as_trained[key])
        answer.findings.append(
            share(f"{name}: trainings of one arm told apart, p < .05 over items", num_significant, n)
        )


@dataclass(frozen=True)
class _Question:
    """A question that pairs of controls answer."""

    name: str
    text: str
    add_findings: Callable[[_ControlComparisons, Answer], None]
    """Adds the findings and figures to an answer."""


_QUESTIONS = (
    _Question(
        "false positives",
        "Control against control: does each test find a difference in 5% of cases?",
        _false_positives,
    ),
    _Question(
        "power",
        "Is the least detectable effect that a report states the one that is detected in 80% of cases?",
        _power,
    ),
    _Question(
        "seeds",
        "How far do two trainings of one arm differ, against the error that one of them reports?",
        _seeds,
    ),
)


def by_chance(pairs: Sequence[ControlPair]) -> list[Answer]:
    """The answers to the questions that pairs of controls answer; without findings if there are no pairs."""
    if not pairs:
        return [Answer(question.name, question.text, needs=_HOW_TO_MAKE_PAIRS) for question in _QUESTIONS]
    controls = _ControlComparisons(pairs)
    answers = [Answer(question.name, question.text) for question in _QUESTIONS]
    for question, answer in zip(_QUESTIONS, answers, strict=True):
        question.add_findings(controls, answer)
    return answers
