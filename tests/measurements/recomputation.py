"""Results computed again from the items by other code: `python -m tests.measurements.recomputation SWEEP`.

SWEEP: a folder of complete runs with its comparison.json; --comparison names another file of that content, as `compare
--output` writes it. Every metric of results.json is computed again from the parquet files of items, and every row of
the comparison from these and the settings of the runs. Nothing is imported from the program: the formulas are those of
scipy and statsmodels, and how a metric is compared is read from the specs in the results. A number that differs by more
than a billionth is printed, and the exit status is 1.
"""

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy import integrate, sparse, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.sandwich_covariance import cov_cluster_2groups

SEEDS = ("seed", "data.seed", "model.seed")
ROUNDING = 1e-9
POWER_TOLERANCE = 2e-3
"""The least detectable effect is stated with sums of normal distributions; its power is integrated here."""


def main(argv: Sequence[str] | None = None) -> int:
    """Prints how many numbers were computed again, and those that differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path)
    parser.add_argument("--comparison", type=Path, help="instead of SWEEP/comparison.json")
    asked = parser.parse_args(argv)
    runs = [Run(path.parent) for path in sorted(asked.sweep.rglob("record.json"))]
    check = Check()
    for run in runs:
        for metric in run.metrics:
            check_metric(run, metric, check)
    num_metrics = check.compared
    rows = json.loads((asked.comparison or asked.sweep / "comparison.json").read_text())["rows"]
    for row in rows:
        check_row(row, runs, check)
    check_holm(rows, check)
    print(
        f"{len(runs)} runs: {num_metrics} numbers of results.json, {check.compared - num_metrics} of {len(rows)} rows"
    )
    print(f"{check.without_items} rows whose items hold no values were left out")
    print("\n".join(check.differing) or "no difference")
    return 1 if check.differing or not check.compared else 0


@dataclass
class Check:
    """Counts what was compared, and keeps what differs."""

    compared: int = 0
    without_items: int = 0
    differing: list[str] = field(default_factory=list)

    def equal(self, name: str, ours: float | None, theirs: float | None, tolerance: float = 1e-9) -> None:
        """Notes the numbers if they differ. None and nan are the same: unknown."""
        self.compared += 1
        a, b = (math.nan if number is None else float(number) for number in (ours, theirs))
        if not (math.isnan(a) and math.isnan(b)) and not math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance):
            self.differing.append(f"{name}: computed again {a!r}, stated {b!r}")


class Run:
    """A run's record and its items."""

    def __init__(self, folder: Path):
        self.folder = folder
        record: dict[str, Any] = json.loads((folder / "record.json").read_text())
        self.arm, self.plan, self.results = record["arm"], record["plan"], record["results"]
        self.settings = dict(flat(record["settings"]))

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """The rows of results.json, with the name of the checkpoint."""
        ours = [{**row, "checkpoint": f"step{row['step']}"} for row in self.results["metrics"]]
        return ours + [{**row, "checkpoint": f"published_step{row['step']}"} for row in self.results["published"]]

    @cache  # noqa: B019
    def items(self, checkpoint: str, benchmark: str) -> pd.DataFrame:
        """The items of a benchmark."""
        return pd.read_parquet(self.folder / "evals" / checkpoint / f"{benchmark}.parquet")

    def last(self, *, published: bool = False) -> str:
        """The last checkpoint that was scored."""
        rows = self.results["published" if published else "metrics"]
        return f"{'published_' if published else ''}step{max(row['step'] for row in rows)}" if rows else ""

    def spec(self, row: dict[str, Any]) -> dict[str, Any]:
        """How a metric is computed and compared; the most specific description of it."""
        fitting = [
            spec
            for spec in self.results.get("specs", ())
            if all(spec[name] in (None, row[name]) for name in ("benchmark", "protocol", "subset", "metric"))
        ]
        known = ("metric", "protocol", "subset")
        best = max(fitting, key=lambda spec: sum(spec[name] is not None for name in known), default=None)
        return best or {"pairing": "mean", "column": None, "groups": None}


def flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key, value."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def selected(items: pd.DataFrame, protocol: str, subset: str, column: str) -> pd.DataFrame | None:
    """item, value, cluster (None: independent) of the items of a subset that have a value; None: no such column."""
    if column not in items:
        return None
    of_subset = np.array([subset in subsets for subsets in items["subsets"]])
    rows = items[of_subset & (items["protocol"] == protocol).to_numpy() & items[column].notna().to_numpy()]
    clusters = [tuple(np.atleast_1d(label)) for label in rows["cluster"]] if "cluster" in rows else None
    return pd.DataFrame({"item": rows["item"], "value": rows[column].astype(float), "cluster": clusters})


# --- standard errors -------------------------------------------------------------------------------------------


def codes(labels: Sequence[Any]) -> np.ndarray:
    """Numbers of the groups."""
    return pd.factorize(pd.Series(list(labels)))[0]


def stderr_and_df(values: np.ndarray, clusters: Sequence[tuple[str, ...]] | None) -> tuple[float, float]:
    """Of the mean, by ordinary least squares on a constant."""
    fitted = sm.OLS(values, np.ones(len(values))).fit()
    if clusters is None:
        return float(fitted.bse[0]), len(values) - 1
    by_factor = [codes(column) for column in zip(*clusters, strict=True)]
    df = min(group.max() for group in by_factor)
    if df < 1:
        return math.nan, 0
    if len(by_factor) == 1:
        return float(fitted.get_robustcov_results("cluster", groups=by_factor[0]).bse[0]), df
    both, _, _ = cov_cluster_2groups(fitted, *by_factor)
    by_pair = fitted.get_robustcov_results("cluster", groups=codes(clusters)).bse[0] ** 2
    return math.sqrt(max(both.item(), by_pair)), df


def separated(labels: pd.Series) -> list[tuple[str, ...]]:
    """Labels of pairs that an earlier version wrote as "the a and the b", as (a, b), each a on one side."""
    pairs = [label[0].split(" and ") if len(label) == 1 else label for label in labels]
    if any(len(label) != 1 for label in labels) or not any(len(pair) == 2 for pair in pairs):
        return list(labels)
    names, numbers = np.unique(np.concatenate([pair * (3 - len(pair)) for pair in pairs]), return_inverse=True)
    edges = numbers.reshape(-1, 2)
    graph = sparse.coo_matrix((np.ones(len(edges)), edges.T), shape=(len(names), len(names))).tocsr()
    _, component = sparse.csgraph.connected_components(graph, directed=False)
    depth = np.zeros(len(names))
    for root in [int(np.flatnonzero(component == number)[0]) for number in np.unique(component)]:
        distances = sparse.csgraph.shortest_path(graph, directed=False, unweighted=True, indices=root)
        depth = np.where(np.isfinite(distances), distances, depth)
    return [tuple(names[sorted(edge, key=lambda node: depth[node] % 2)]) for edge in edges]


# --- results.json ----------------------------------------------------------------------------------------------


def check_metric(run: Run, metric: dict[str, Any], check: Check) -> None:
    """Value, standard error and number of items of a row of results.json."""
    spec = run.spec(metric)
    items = run.items(metric["checkpoint"], metric["benchmark"])
    name = " ".join(map(str, (run.folder.name, metric["checkpoint"], *names_of(metric))))
    column = spec["column"] or metric["metric"]
    if spec["pairing"] == "gap":
        groups = [by_cluster(selected(items, metric["protocol"], group, column)) for group in spec["groups"]]
        value = groups[1].mean() - groups[0].mean()
        stderr = math.hypot(*(stats.sem(group) for group in groups))
        n = sum(map(len, groups))
    else:
        rows = selected(items, metric["protocol"], metric["subset"], column)
        if rows is None:
            check.without_items += 1
            return
        values, n = rows["value"].to_numpy(), len(rows)
        value, clusters = values.mean(), None if rows["cluster"].isna().all() else rows["cluster"].tolist()
        stderr = stderr_and_df(values, clusters)[0] if n > 1 else math.nan
        if spec["pairing"] == "perplexity":
            value, stderr = math.exp(-value), math.exp(-value) * stats.sem(values)
    for key, number in (("value", value), ("stderr", stderr), ("n", n)):
        check.equal(f"{name} {key}", number, metric[key])


def names_of(row: dict[str, Any]) -> tuple[str, ...]:
    """The four names of a metric."""
    return row["benchmark"], row["protocol"], row["subset"], row["metric"]


def by_cluster(rows: pd.DataFrame | None) -> np.ndarray:
    """The mean of each cluster."""
    assert rows is not None
    return rows.groupby("cluster", sort=True)["value"].mean().to_numpy()


# --- comparison.json -------------------------------------------------------------------------------------------


@dataclass
class Test:
    """A difference with its test, computed again."""

    value: float
    baseline: float
    difference: float
    stderr: float
    df: float | None
    ci: tuple[float, float]
    p: float
    n: int
    power: Any = None
    """Power by true difference; None: there is no test."""


def runs_of(label: str, runs: Sequence[Run]) -> list[Run]:
    """The runs that a label names: the arm, and settings as KEY=VALUE, a key by its last parts."""
    arm, *settings = label.split(" ")
    wanted = [setting.split("=", 1) for setting in settings]
    return [
        run
        for run in runs
        if run.arm == arm
        and all(
            any(f".{key}".endswith(f".{k}") and str(v) == value for key, v in run.settings.items())
            for k, value in wanted
        )
    ]


def control_of(run: Run, label: str, runs: Sequence[Run]) -> Run | None:
    """The run of the baseline's label with the same seeds and, of several, the same settings but the intervention's."""

    def but_intervention(other: Run) -> dict[str, Any]:
        return {key: value for key, value in other.settings.items() if not key.startswith("intervention.")}

    controls = [c for c in runs_of(label, runs) if all(c.settings.get(s) == run.settings.get(s) for s in SEEDS)]
    if len(controls) > 1:
        controls = [control for control in controls if but_intervention(control) == but_intervention(run)]
    return controls[0] if controls else None


def check_row(row: dict[str, Any], runs: Sequence[Run], check: Check) -> None:
    """Every number of a row of the comparison, from the items of its runs."""
    name = " ".join(map(str, (*names_of(row), row["arm"], "against", row["baseline_arm"])))
    tests = []
    for run in runs_of(row["arm"], runs):
        if row["baseline_arm"] is None or row["step"] not in {metric["step"] for metric in run.metrics}:
            continue
        control: Run | None = run
        theirs = f"step{run.plan['start_step']}"
        if row["baseline_arm"] == "published":
            theirs = run.last(published=True)
        elif row["baseline_arm"] != "base":
            control, theirs = control_of(run, row["baseline_arm"], runs), run.last()
        if control is not None:
            tests.append(test_of(row, run, control, theirs))
    if not tests or any(test is None for test in tests):
        check.without_items += 1
        return
    test = tests[0] if len(tests) == 1 else over_seeds([test for test in tests if test is not None])
    assert test is not None
    stated = {
        "value": test.value, "baseline": test.baseline, "difference": test.difference,
        "difference_stderr": test.stderr, "df": test.df, "ci_low": test.ci[0], "ci_high": test.ci[1], "p": test.p,
        "n": test.n, "seeds": len(tests),
    }  # fmt: skip
    for key, number in stated.items():
        check.equal(f"{name} {key}", number, row[key])
    least = row["minimum_detectable_effect"]
    if test.power is None:
        check.equal(f"{name} minimum_detectable_effect", None, least)
    elif least is None:
        check.equal(f"{name} power at a difference of 1", 0.0, test.power(1.0))
    else:
        check.equal(f"{name} power at minimum_detectable_effect", test.power(least), 0.8, POWER_TOLERANCE)


def test_of(row: dict[str, Any], run: Run, control: Run, theirs: str) -> Test | None:
    """The paired difference of one run; None if the items hold no values."""
    spec = run.spec(row)
    column = spec["column"] or row["metric"]
    sides = (run.items(f"step{row['step']}", row["benchmark"]), control.items(theirs, row["benchmark"]))

    def pairs(subset: str) -> pd.DataFrame | None:
        ours, baseline = (selected(items, row["protocol"], subset, column) for items in sides)
        if ours is None or baseline is None:
            return None
        values_of = dict(zip(baseline["item"], baseline["value"], strict=True))
        common = ours[[item in values_of for item in ours["item"]]]
        return common.assign(value_baseline=[values_of[item] for item in common["item"]])

    if spec["pairing"] == "gap":
        return gap_test(*(pairs(group) for group in spec["groups"]))
    rows = pairs(row["subset"])
    if rows is None:
        return None
    ours, baseline = rows["value"].to_numpy(), rows["value_baseline"].to_numpy()
    clusters = None if rows["cluster"].isna().all() else separated(rows["cluster"])
    if spec["pairing"] == "perplexity":
        return perplexity_test(ours, baseline)
    if clusters is None and set(np.unique(np.concatenate([ours, baseline]))) <= {0.0, 1.0}:
        return mcnemar_test(ours, baseline)
    return t_test(ours, baseline, clusters)


def without_spread(differences: np.ndarray, *sides: np.ndarray) -> bool:
    """Whether the differences are the same but for rounding."""
    size = max([abs(differences.mean()), *(np.abs(side).mean() for side in sides)])
    return len(differences) > 1 and differences.std(ddof=1) <= ROUNDING * size


def student(
    ours: float, baseline: float, difference: float, stderr: float, df: float, n: int, p: float | None = None
) -> Test:
    """Student's interval and test."""
    half = stats.t.isf(0.025, df) * stderr
    p = 2 * stats.t.sf(abs(difference) / stderr, df) if p is None else p

    def power(effect: float) -> float:
        critical, shift = stats.t.isf(0.025, df), effect / stderr

        # Over the standard error that the sample happens to have, as a share of the true one.
        spread = np.linspace(0, stats.chi.isf(1e-12, df) / math.sqrt(df), 4001)
        beyond = stats.norm.sf(critical * spread - shift) + stats.norm.sf(critical * spread + shift)
        return float(integrate.simpson(beyond * stats.chi.pdf(spread, df, scale=1 / math.sqrt(df)), x=spread))

    return Test(ours, baseline, difference, stderr, df, (difference - half, difference + half), p, n, power)


def no_test(ours: float, baseline: float, difference: float, stderr: float, n: int) -> Test:
    """A difference that cannot be tested."""
    return Test(ours, baseline, difference, stderr, None, (math.nan, math.nan), math.nan, n)


def t_test(ours: np.ndarray, baseline: np.ndarray, clusters: list[tuple[str, ...]] | None) -> Test:
    """The paired t test, on the clustered standard error where items are in clusters."""
    differences, n = ours - baseline, len(ours)
    means = ours.mean(), baseline.mean(), differences.mean()
    if n == 1 or without_spread(differences, ours, baseline):
        return no_test(*means, math.nan if n == 1 else 0.0, n)
    stderr, df = stderr_and_df(differences, clusters)
    if not stderr > ROUNDING * max(np.abs(ours).mean(), np.abs(baseline).mean()):
        return no_test(*means, math.nan, n)
    return student(*means, stderr, df, n)


def perplexity_test(ours: np.ndarray, baseline: np.ndarray) -> Test:
    """p of the paired t test of the log-likelihoods, the interval by the delta method."""
    perplexities = [float(np.exp(-side.mean())) for side in (ours, baseline)]
    difference, n = perplexities[0] - perplexities[1], len(ours)
    if n == 1 or without_spread(ours - baseline, ours, baseline):
        return no_test(*perplexities, difference, math.nan if n == 1 else 0.0, n)
    stderr = float(stats.sem(perplexities[1] * baseline - perplexities[0] * ours))
    return student(*perplexities, difference, stderr, n - 1, n, stats.ttest_rel(ours, baseline).pvalue)


def gap_test(high: pd.DataFrame | None, low: pd.DataFrame | None) -> Test:
    """Welch's test of the changes of two groups of occupations; the gap is of minus the column."""
    assert high is not None
    assert low is not None
    sides = {
        name: [by_cluster(rows.assign(value=rows[name])) for rows in (high, low)]
        for name in ("value", "value_baseline")
    }
    ours, baseline = (-(high_side.mean() - low_side.mean()) for high_side, low_side in sides.values())
    changes = [then - now for now, then in zip(*sides.values(), strict=True)]
    n = sum(map(len, changes))
    if all(without_spread(change) for change in changes):
        same = not any(change.any() for change in changes)
        return no_test(ours, baseline, ours - baseline, 0.0 if same else math.nan, n)
    welch: Any = stats.ttest_ind(*changes, equal_var=False)
    stderr = math.hypot(*map(stats.sem, changes))
    return student(ours, baseline, ours - baseline, stderr, welch.df, n, welch.pvalue)


def mcnemar_test(ours: np.ndarray, baseline: np.ndarray) -> Test:
    """McNemar's exact test, its interval, and its power by adding up all outcomes."""
    gained, lost, n = int(((ours == 1) & (baseline == 0)).sum()), int(((ours == 0) & (baseline == 1)).sum()), len(ours)
    changed, difference = gained + lost, (gained - lost) / len(ours)
    p = min(1.0, 2 * stats.binom.cdf(min(gained, lost), changed, 0.5)) if changed else 1.0
    stderr = float(stats.sem(ours - baseline)) if n > 1 else math.nan
    low = high = math.nan
    if changed:
        fewest, most = proportion_confint(changed, n, method="wilson")
        way = np.array([proportion_confint(gained, changed, method="beta")]).ravel() * 2 - 1
        balance = (gained - lost) / changed
        down, up = (
            (changed / n - fewest, most - changed / n) if balance > 0 else (most - changed / n, changed / n - fewest)
        )
        low = difference - math.sqrt((changed / n * (balance - way[0])) ** 2 + (balance * down) ** 2)
        high = difference + math.sqrt((changed / n * (way[1] - balance)) ** 2 + (balance * up) ** 2)
        low = max(low, fewest * way[0]) if way[0] > 0 else max(low, -1.0)
        high = min(high, fewest * way[1]) if way[1] < 0 else min(high, 1.0)

    def power(effect: float) -> float:
        changing = max(changed / n, effect)
        total = 0.0
        for count in range(n + 1):
            wins = np.arange(count + 1)
            is_significant = 2 * stats.binom.cdf(np.minimum(wins, count - wins), count, 0.5) < 0.05
            chance = stats.binom.pmf(wins[is_significant], count, (1 + effect / changing) / 2).sum()
            total += stats.binom.pmf(count, n, changing) * chance
        return float(total)

    return Test(ours.mean(), baseline.mean(), difference, stderr, None, (low, high), p, n, power)


def over_seeds(tests: Sequence[Test]) -> Test:
    """Student's test of the differences of several seeds."""
    differences = np.array([test.difference for test in tests])
    ours, baseline = (float(np.mean([getattr(test, side) for test in tests])) for side in ("value", "baseline"))
    if without_spread(differences, np.array([ours]), np.array([baseline])):
        return no_test(ours, baseline, differences.mean(), 0.0, tests[0].n)
    student_test = student(
        ours, baseline, differences.mean(), float(stats.sem(differences)), len(tests) - 1, tests[0].n
    )
    p = float(stats.ttest_1samp(differences, 0.0).pvalue)
    return Test(**{**vars(student_test), "p": p})


def check_holm(rows: Sequence[dict[str, Any]], check: Check) -> None:
    """p after Holm's correction, over the rows that have one."""
    families: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["p_holm"] is not None:
            families["all"].append(row)
    for family in families.values():
        adjusted = multipletests([row["p"] for row in family], method="holm")[1]
        for row, p in zip(family, adjusted, strict=True):
            check.equal(f"{' '.join(map(str, names_of(row)))} {row['arm']} p_holm", p, row["p_holm"])


if __name__ == "__main__":
    raise SystemExit(main())
