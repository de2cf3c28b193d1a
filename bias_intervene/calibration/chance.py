"""How often is something found where nothing is, and how much can one training say?

Input: runs. Output: answers on false positives, power and seeds. Guarantees: the evidence is pairs of controls that
differ in nothing but `seed`, the order of their rows, so that only chance tells the two apart.

Two claims have to be kept apart, and are. "These two models differ, over the population of items" is what a test over
items is made for. It is held to its 5% by exchanging the two models' answers at random, unit by unit (an item, or a
cluster of items that depend on each other): then no difference is left by construction, and everything else is as it
was. "These two treatments differ" is about trainings, and needs several: the tests over seeds are held to their 5% on
differences of controls. A test over items that is read as a claim about treatments is reported as it comes out, without
bounds; that is what a paper with one seed does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import stats

from bias_intervene.analysis.pairing import frozen, paired_items
from bias_intervene.analysis.records import CONTROL, Items, Run, specs_of
from bias_intervene.analysis.report.figure import Figure, Series
from bias_intervene.analysis.verdicts import ALPHA
from bias_intervene.calibration.findings import Answer, Finding, share
from bias_intervene.results import MetricKey, MetricSpecs
from bias_intervene.statistics import PairedComparison, minimum_detectable_effect

_EXCHANGES = 10
"""Random exchanges of each pair."""
_REGROUPINGS = 60
"""Random groups of differences between controls, for the tests over seeds."""
_GROUP = 5
"""Seeds in a group, as many as the arms of experiment=calibration have."""
_OVER_SEEDS = f"over seeds: Student's t on {_GROUP} differences"
_MOST = 0.12
"""Share of false positives that 40 pairs may show at 5%."""
_PAIRS = "python -m bias_intervene experiment=calibration (pairs of controls: data.shuffle=true and several seeds)"

Pair = tuple[Run, Run]


def control_pairs(runs: Sequence[Run]) -> list[Pair]:
    """Pairs of controls that differ in `seed` alone and trained in different orders; no run in two of them."""
    alike: dict[Any, list[Run]] = {}
    for run in runs:
        trained = run.last != run.base and not run.foreign
        if run.arm == CONTROL and trained and run.settings.get("data.shuffle"):
            alike.setdefault(frozen(run, without={"seed"}), []).append(run)
    ordered = (sorted(group, key=lambda run: run.settings["seed"]) for group in alike.values())
    return [pair for group in ordered for pair in zip(group[::2], group[1::2], strict=False)]


def _tested(pairs: Sequence[Pair], specs: MetricSpecs) -> list[MetricKey]:
    """The metrics that are looked at: those that are shown first, and the log-likelihoods behind shares."""
    keys = dict.fromkeys([*specs.shown_first, *specs.headline("bias")])
    keys |= dict.fromkeys(key._replace(metric=name) for key in list(keys) if (name := specs.of(key).in_nats))
    first = pairs[0][0]
    scored = {row.key for row in first.metrics(str(first.last))}
    return [key for key in keys if key in scored]


def exchanged(ours: Items, theirs: Items, draw: np.random.Generator) -> tuple[Items, Items]:
    """The items of two models, their answers exchanged at random unit by unit: no difference is left but chance."""
    if not np.array_equal(ours.ids, theirs.ids) or not np.array_equal(ours.protocols, theirs.protocols):
        raise ValueError("two controls of one world were scored on different items")
    units = ours.ids if ours.clusters is None else ours.clusters
    _, unit = np.unique(units.astype(str), return_inverse=True)
    turned = (draw.random(unit.max() + 1) < 0.5)[unit]
    n = ours.table.num_rows
    both = pa.concat_tables([ours.table, theirs.table])
    rows = np.arange(n) + np.where(turned, n, 0)
    return Items(both.take(rows)), Items(both.take((rows + n) % (2 * n)))


def _test_of(key: MetricKey, specs: MetricSpecs, items: Items) -> str:
    """The test that the comparison uses for a metric."""
    spec = specs.of(key)
    if spec.pairing == "gap":
        return "over items: Welch's t"
    if spec.pairing == "perplexity":
        return "over items: paired t, delta method"
    if items.clusters is not None:
        return "over items: clustered t"
    values = items.column(key.metric)[items.chosen(*key[1:])]
    return "over items: McNemar's exact" if np.isin(values, (0.0, 1.0)).all() else "over items: paired t"


class Chance:
    """Everything that the pairs of controls say, each comparison made once."""

    def __init__(self, pairs: Sequence[Pair]):
        self.pairs = pairs
        self.specs = specs_of(run for pair in pairs for run in pair)
        self.keys = _tested(pairs, self.specs)
        self.as_trained: dict[MetricKey, list[PairedComparison]] = {key: [] for key in self.keys}
        self.exchanged: dict[MetricKey, list[PairedComparison]] = {key: [] for key in self.keys}
        self.tests: dict[MetricKey, str] = {}
        draw = np.random.default_rng(0)
        for one, other in pairs:
            for benchmark in dict.fromkeys(key.benchmark for key in self.keys):
                sides = [run.items(benchmark, str(run.last)) for run in (one, other)]
                drawn = [exchanged(sides[0], sides[1], draw) for _ in range(_EXCHANGES)]
                for key in (key for key in self.keys if key.benchmark == benchmark):
                    spec = self.specs.of(key)
                    self.tests.setdefault(key, _test_of(key, self.specs, sides[0]))
                    self.as_trained[key].append(paired_items(key, spec, sides[0], sides[1]))
                    self.exchanged[key] += [paired_items(key, spec, *two) for two in drawn]

    def differences(self, key: MetricKey) -> np.ndarray:
        """(pairs,) value of the one control minus that of the other."""
        return np.array([found.difference for found in self.as_trained[key]])

    def by_test(self) -> dict[str, list[MetricKey]]:
        """Test over items -> the metrics it is used for."""
        return {test: [k for k in self.keys if self.tests[k] == test] for test in dict.fromkeys(self.tests.values())}

    @property
    def num_groups(self) -> int:
        """Groups of differences for the tests over seeds; 0 where there are too few pairs."""
        return len(self.pairs) // _GROUP * _REGROUPINGS

    def over_seeds(self, key: MetricKey) -> tuple[np.ndarray, np.ndarray]:
        """(mean, standard error) of each group: differences put together at random, their signs too. (groups,) each."""
        values, draw = self.differences(key), np.random.default_rng(1)
        used = values.size // _GROUP * _GROUP
        groups = np.concatenate([draw.permutation(values)[:used].reshape(-1, _GROUP) for _ in range(_REGROUPINGS)])
        groups = groups * draw.choice([-1.0, 1.0], size=groups.shape)
        return groups.mean(axis=1), groups.std(axis=1, ddof=1) / np.sqrt(_GROUP)

    def rejected_over_seeds(self, key: MetricKey) -> int:
        """Groups in which Student's test finds something."""
        mean, stderr = self.over_seeds(key)
        return int((np.abs(mean) > stats.t.ppf(1 - ALPHA / 2, _GROUP - 1) * stderr).sum())


def _rejected(found: Sequence[PairedComparison]) -> int:
    """How many have p below the level."""
    return sum(one.p < ALPHA for one in found)


# --- the questions ---------------------------------------------------------------------------------------------


def _false_positives(chance: Chance, answer: Answer) -> None:
    """The share of comparisons of controls that are called different, by test."""
    rates: dict[str, dict[MetricKey, Finding]] = {}
    n = _EXCHANGES * len(chance.pairs)
    for test, keys in chance.by_test().items():
        counts = {key: _rejected(chance.exchanged[key]) for key in keys}
        rates[test] = {key: share(chance.specs.short_name(key), count, n) for key, count in counts.items()}
        # Metrics of one pair depend on each other: the interval counts the pairs and their exchanges, not the metrics.
        mean = round(float(np.mean(list(counts.values()))))
        answer.findings.append(share(f"{test}, mean of {len(keys)} metrics", mean, n, (0.0, _MOST)))
    if n := chance.num_groups:
        # Groups share their pairs, so that no interval is given.
        rates[_OVER_SEEDS] = {
            key: Finding(chance.specs.short_name(key), chance.rejected_over_seeds(key) / n, None, None, n)
            for key in chance.keys
        }
        mean = float(np.mean([one.value for one in rates[_OVER_SEEDS].values()]))
        name = f"{_OVER_SEEDS}, mean of {len(chance.keys)} metrics"
        answer.findings.append(Finding(name, mean, None, None, n, (0.0, _MOST)))
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
    """Shares in per cent, one line a metric, the tests below each other."""

    def per_cent(value: float | None) -> float:
        return float("nan") if value is None else 100 * value

    series: list[Series] = []
    place = float(sum(len(found) for found in rates.values()))
    for test, found in rates.items():
        series.append(
            Series(
                name=test,
                x=[per_cent(one.value) for one in found.values()],
                y=[place := place - 1 for _ in found],
                low=[per_cent(one.ci_low) for one in found.values()],
                high=[per_cent(one.ci_high) for one in found.values()],
                labels=[one.name for one in found.values()],
            )
        )
    return series


def _power(chance: Chance, answer: Answer) -> None:
    """The effect that is detected in 80% of cases, over the one that a report states.

    A test finds an effect where it leaves the critical value behind, less the difference met by chance; so the effect
    that is found in 80% of the exchanged pairs is read off them.
    """
    ratios: dict[str, list[float]] = {}
    for key in chance.keys:
        found = [one for one in chance.exchanged[key] if one.df is not None and one.stderr > 0]
        if found:
            values = (np.array(side) for side in zip(*((f.difference, f.stderr, f.df) for f in found), strict=True))
            ratios.setdefault(chance.tests[key], []).append(_observed_over_stated(*values))
        if chance.num_groups:
            mean, stderr = chance.over_seeds(key)
            ratios.setdefault(_OVER_SEEDS, []).append(
                _observed_over_stated(mean, stderr, np.full(mean.size, _GROUP - 1))
            )
    for test, values in ratios.items():
        name = f"{test}: detected over stated effect, median of {len(values)} metrics, their range"
        middle = float(np.median(values))
        answer.findings.append(Finding(name, middle, min(values), max(values), len(chance.pairs), (0.8, 1.25)))


def _observed_over_stated(difference: np.ndarray, stderr: np.ndarray, df: np.ndarray) -> float:
    """The effect that four of five tests find, over the one that they state (root mean square). (tests,) each."""
    needed = stats.t.ppf(1 - ALPHA / 2, df) * stderr - difference
    stated = [minimum_detectable_effect(float(s), df=float(d)) for s, d in zip(stderr, df, strict=True)]
    return float(np.quantile(needed, 0.8) / np.sqrt(np.mean(np.square(stated))))


def _seeds(chance: Chance, answer: Answer) -> None:
    """The spread between trainings over the error of one, and how often two of them are called different."""
    for key in [key for key in chance.keys if key in set(chance.specs.shown_first)]:
        reported = float(np.sqrt(np.mean([one.stderr**2 for one in chance.as_trained[key]])))
        name, n = chance.specs.short_name(key), len(chance.pairs)
        if reported > 0 and n > 1:
            spread = float(chance.differences(key).std(ddof=1))
            label = f"{name}: spread between trainings over the error of one"
            answer.findings.append(Finding(label, spread / reported, None, None, n))
        called_different = _rejected(chance.as_trained[key])
        answer.findings.append(
            share(f"{name}: trainings of one arm told apart, p < .05 over items", called_different, n)
        )


@dataclass(frozen=True)
class _Question:
    """A question that pairs of controls answer."""

    name: str
    text: str
    find: Callable[[Chance, Answer], None]
    """Adds its findings and figures to an answer."""


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


def by_chance(pairs: Sequence[Pair]) -> list[Answer]:
    """The questions that pairs of controls answer."""
    if not pairs:
        return [Answer(question.name, question.text, needs=_PAIRS) for question in _QUESTIONS]
    chance = Chance(pairs)
    answers = [Answer(question.name, question.text) for question in _QUESTIONS]
    for question, answer in zip(_QUESTIONS, answers, strict=True):
        question.find(chance, answer)
    return answers
