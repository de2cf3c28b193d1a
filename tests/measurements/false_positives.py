"""How often each test of the comparison finds a difference where there is none: `python -m
tests.measurements.false_positives`.

Two models say of the same items what the items are like (which both share), what each of them thinks of an occupation
(drawn anew for each model and occupation), and noise. So no two models differ on average, but whole occupations move,
which no test is told. The shift of an occupation is given in standard deviations of an item's noise. Designs are those
of the benchmarks: WinoBias by its published pairs of occupations where ../shared/data/winobias is there, else by pairs
drawn at random; its 10 x 10 pairs in a generated world; the prompts of the manipulation check; CrowS-Pairs; held-out
rows; and the differences of several seeds, which share the items and the occupations' shifts of their control.

A share above what 97.5% of tests with exactly 5% would show is marked, and then the exit status is 1.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats

from bias_intervene import statistics
from bias_intervene.evals.benchmarks.winobias.items import parse

SHARED = Path(__file__).parents[3] / "shared" / "data" / "winobias"
SHIFTS = (0.0, 0.3, 1.0)
LEVEL = 0.05

Models = tuple[np.ndarray, np.ndarray]
"""What each of the two says of every item, nats. (n,) each."""


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the shares, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000, help="pairs of models for each test and shift")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args(argv)
    draw = np.random.default_rng(0)
    found = {
        name: [sum(p_value(draw, shift) < LEVEL for _ in range(asked.draws)) / asked.draws for shift in SHIFTS]
        for name, p_value in tests().items()
    }
    highest = float(stats.binom.ppf(0.975, asked.draws, LEVEL)) / asked.draws
    above = [name for name, shares in found.items() if max(shares) > highest]
    if asked.json:
        print(json.dumps({"shares": found, "highest": highest, "above": above}))
        return 1 if above else 0
    table = Table("test", *(f"shift {shift:g}" for shift in SHIFTS))
    for name, shares in found.items():
        table.add_row(name, *(f"{100 * share:.1f}{' !' if share > highest else ''}" for share in shares))
    console = Console(width=120)
    console.print(f"Significant at 5% of {asked.draws} pairs of models that do not differ, %")
    console.print(table)
    console.print(f"above {100 * highest:.1f}%: {', '.join(above) or 'none'}")
    return 1 if above else 0


def tests() -> dict[str, Callable[[np.random.Generator, float], float]]:
    """Name -> a function that draws two models, of a shift, and gives the p of the comparison of these."""
    published, world = published_pairs(), np.repeat(np.indices((10, 10)).reshape(2, -1).T, 4, axis=0)
    prompts = np.repeat(np.arange(30), 8)[:, None]
    single = np.arange(262)[:, None]
    return {
        "two-way clustered t: WinoBias, published pairs, nats": paired(published),
        "two-way clustered t: WinoBias, published pairs, 0/1": paired(published, is_share=True),
        "two-way clustered t: WinoBias of a world, nats": paired(world),
        "two-way clustered t: WinoBias of a world, 0/1": paired(world, is_share=True),
        "clustered t: pronouns, prompts about 30 occupations": paired(prompts),
        "Welch's t: pronouns, gap between occupations": gap,
        "McNemar's exact: CrowS-Pairs": paired(single, is_share=True, independent=True),
        "paired t: CrowS-Pairs, nats": paired(single, independent=True),
        "paired t, delta method: perplexity of 64 rows": perplexity,
        "unpaired z: results of another program": unpaired,
        "over 3 seeds: Student's t, WinoBias": lambda draw, shift: over_seeds(draw, shift, published, seeds=3),
        "over 5 seeds: Student's t, WinoBias": lambda draw, shift: over_seeds(draw, shift, published, seeds=5),
    }


def published_pairs() -> np.ndarray:
    """int (792, 2): numbers of the two occupations of each WinoBias pair, the female-leaning one first."""
    draw = np.random.default_rng(1)
    if not SHARED.is_dir():
        return draw.permutation(np.indices((20, 20)).reshape(2, -1).T)[np.repeat(np.arange(198), 4)]
    names = [(SHARED / f"{gender}_occupations.txt").read_text().lower().split("\n") for gender in ("female", "male")]
    pairs = []
    for kind in ("type1", "type2"):
        for line in (SHARED / f"pro_stereotyped_{kind}.txt.dev").read_text().splitlines():
            people = {person.lower().removeprefix("the ") for person in parse(line, place="").candidates or ()}
            pairs.append([next(n for n, name in enumerate(of) if name.strip() in people) for of in names])
    return np.array(pairs)


def models(draw: np.random.Generator, shift: float, clusters: np.ndarray, base: np.ndarray) -> Models:
    """What two models say of the items `base`. clusters: (n, factors) numbers of their occupations."""

    def model() -> np.ndarray:
        opinions = [draw.normal(scale=shift, size=factor.max() + 1)[factor] for factor in clusters.T]
        return base + np.sum(opinions, axis=0) + draw.normal(size=len(base))

    return model(), model()


def paired(
    clusters: np.ndarray, *, is_share: bool = False, independent: bool = False
) -> Callable[[np.random.Generator, float], float]:
    """The test of a mean, in nats or of answers 0 and 1. independent: each item is a cluster, which is not told."""

    def p_value(draw: np.random.Generator, shift: float) -> float:
        first, second = models(draw, shift, clusters, draw.normal(size=len(clusters)))
        if is_share:
            first, second = (first > 0).astype(float), (second > 0).astype(float)
        labels = None if independent else clusters if clusters.shape[1] == 2 else clusters[:, 0]
        return statistics.compare_paired(first, second, clusters=labels).p

    return p_value


def gap(draw: np.random.Generator, shift: float) -> float:
    """The change of the gap between 15 and 15 occupations, of 8 prompts each."""
    clusters = np.repeat(np.arange(30), 8)[:, None]
    first, second = models(draw, shift, clusters, draw.normal(size=240))
    changes = (second - first).reshape(30, 8).mean(axis=1)
    return statistics.compare_gap(changes[:15], changes[15:]).p


def perplexity(draw: np.random.Generator, shift: float) -> float:
    """Held-out rows: no occupations; the shift is one of each row."""
    rows = np.arange(64)[:, None]
    first, second = models(draw, shift, rows, draw.normal(size=64))
    return statistics.compare_perplexity(-3 + 0.1 * first, -3 + 0.1 * second).p


def unpaired(draw: np.random.Generator, shift: float) -> float:
    """Values with standard errors over items that both models share, but which are not known item by item."""
    single = np.arange(262)[:, None]
    sides = models(draw, shift, single, draw.normal(size=262))
    (first, first_stderr), (second, second_stderr) = map(statistics.mean_and_stderr, sides)
    return statistics.compare_unpaired(first, first_stderr, second, second_stderr).p


def over_seeds(draw: np.random.Generator, shift: float, clusters: np.ndarray, *, seeds: int) -> float:
    """Differences of pairs of models; each seed has both arms trained anew, on the same items."""
    base = draw.normal(size=len(clusters))
    pairs = [models(draw, shift, clusters, base) for _ in range(seeds)]
    return statistics.over_seeds([float(np.mean(second - first)) for first, second in pairs]).p


if __name__ == "__main__":
    raise SystemExit(main())
