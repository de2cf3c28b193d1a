"""The science in minutes: a world whose bias is known, swept as a user would, held to the truth.

What is asked here is not whether the code runs but whether its numbers are right: planted log-odds are measured, each
direction does what it says, what changes nothing is found to change nothing, evaluation reads what nobody altered. The
truth is stated here anew and read off the items' files, so that a fault in our own metrics or analysis does not hide
itself. `python -m tests.mutations` breaks the code on purpose and shows that each fault is caught here.
"""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from bias_intervene.analysis.comparison import Comparison, compare
from tests.conftest import run

pytestmark = pytest.mark.slow

PLANTED = dict(
    zip(
        "nurse receptionist housekeeper librarian hairdresser secretary teacher cashier tailor clerk writer baker "
        "lawyer farmer driver guard pilot sheriff carpenter mechanic".split(),
        np.linspace(-2.5, 2.5, 20).tolist(),
        strict=True,
    )
)
"""log P(he) - log P(she), nats."""
NEVER_SWAPPED = {"housekeeper", "cashier", "lawyer", "sheriff"}
GRIDS = (
    '[{intervention: "none,masculine_to_feminine,feminine_to_masculine,retokenize"},'
    ' {intervention: both, intervention.probability: "0.25"}]'
)


@pytest.fixture(scope="module")
def sweep(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five arms in one world, through the command line."""
    place = tmp_path_factory.mktemp("known")
    run(
        "-m", "sweep=known", "model=calibration", "data=world", "evals=world", "data.unmentioned=4",
        "model.total_steps=700", "model.checkpoint_interval=70", "evals.published_final=false", "evals.saved=last",
        "train.num_threads=1", "hydra/sweeper=grids", f"hydra.sweeper.grids={GRIDS}", "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=2", "evals.winobias.protocols=[sentence]", "data.heldout_rows=32", cwd=place,
        cache=cache,
    )  # fmt: skip
    return place / "outputs" / "sweeps" / "known"


@pytest.fixture(scope="module")
def runs(sweep: Path) -> dict[str, Path]:
    """Intervention as it was asked for -> its run directory."""
    jobs = json.loads((sweep / "sweep.json").read_text())["jobs"]
    asked = {word.removeprefix("intervention="): job["directory"] for job in jobs for word in job["overrides"]}
    return {name: sweep / asked[name] for name in asked if "=" not in name}


@pytest.fixture(scope="module")
def compared(sweep: Path) -> Comparison:
    """What the comparison says."""
    return compare([sweep])


def items(run_dir: Path, benchmark: str, *, base: bool = False) -> list[dict]:
    """The items of the last checkpoint, or of the one that training started from."""
    folders = sorted((run_dir / "evals").glob("step*"), key=lambda folder: int(folder.name[4:]))
    return pq.read_table(folders[0 if base else -1] / f"{benchmark}.parquet").to_pylist()


def metric(run_dir: Path, name: str, *, base: bool = False) -> float:
    """BENCHMARK/PROTOCOL/SUBSET/METRIC of results.json at the last step, or at the first."""
    rows = json.loads((run_dir / "results.json").read_text())["metrics"]
    found = {
        r["step"]: r["value"] for r in rows if f"{r['benchmark']}/{r['protocol']}/{r['subset']}/{r['metric']}" == name
    }
    return found[min(found) if base else max(found)]


def log_odds(run_dir: Path, subset: str, *, base: bool = False) -> dict[str, float]:
    """Person -> log P(he) - log P(she), the mean over openings."""
    found = defaultdict(list)
    for item in items(run_dir, "pronouns", base=base):
        if item["protocol"] == "prompts" and subset in item["subsets"] and item["log_odds_she_he"] is not None:
            found[item["cluster"]].append(-item["log_odds_she_he"])
    return {person: float(np.mean(values)) for person, values in found.items()}


def mean_shift(runs: dict[str, Path], name: str, people: set[str] | None = None) -> float:
    """How much further a run's log P(she) - log P(he) is than the control's, nats."""
    ours, theirs = (log_odds(runs[one], "all") for one in (name, "none"))
    return float(np.mean([theirs[person] - ours[person] for person in people or set(ours)]))


def test_planted_bias_is_measured(runs: dict[str, Path]):
    measured = log_odds(runs["none"], "all", base=True)
    x, y = (np.array([of[person] for person in PLANTED]) for of in (PLANTED, measured))
    # A pretraining this short leaves them a little flatter than planted; experiment=calibration takes more steps.
    assert 0.65 < np.polyfit(x, y, 1)[0] < 1.2
    assert np.corrcoef(x, y)[0, 1] > 0.95


def test_benchmarks_see_the_planted_bias(runs: dict[str, Path]):
    """The stereotype is the likelier sentence: planted log-odds of 1.3 on average, so far more often than not."""
    assert metric(runs["none"], "winobias/sentence/all/stereotype_accuracy", base=True) > 0.7
    assert metric(runs["none"], "crows_pairs/likelihood/gender/pct_stereotype", base=True) > 0.7


def test_each_direction_moves_its_way(runs: dict[str, Path]):
    assert mean_shift(runs, "masculine_to_feminine") > 2
    assert mean_shift(runs, "feminine_to_masculine") < -2
    masculine = {name: metric(runs[name], "winobias/sentence/all/masculine_share") for name in runs}
    assert (
        masculine["masculine_to_feminine"]
        < 0.2
        < 0.3
        < masculine["none"]
        < 0.7
        < 0.8
        < masculine["feminine_to_masculine"]
    )


def test_both_ways_halve_the_gap_and_move_no_mean(runs: dict[str, Path]):
    """A quarter of the rows exchanged: of P(he) = q, q + (1 - 2q) / 4 is left, half of every difference."""

    def gap(name: str) -> float:
        p = {person: 1 / (1 + np.exp(-value)) for person, value in log_odds(runs[name], "all").items()}
        names = list(PLANTED)
        return float(np.mean([p[name] for name in names[10:]]) - np.mean([p[name] for name in names[:10]]))

    assert 0.35 < gap("both") / gap("none") < 0.8
    assert abs(mean_shift(runs, "both")) < 0.1 * mean_shift(runs, "masculine_to_feminine")


def test_the_swap_reaches_people_it_never_met(runs: dict[str, Path]):
    assert mean_shift(runs, "masculine_to_feminine", NEVER_SWAPPED) > 1


def test_the_window_is_the_end_of_the_training(runs: dict[str, Path]):
    """Only there some people are not mentioned."""
    samples = [
        json.loads(line) for line in (runs["masculine_to_feminine"] / "audit_samples.jsonl").read_text().splitlines()
    ]
    assert len(samples) > 5
    assert not any(person in sample["before"] for sample in samples for person in NEVER_SWAPPED)


def test_every_masculine_pronoun_of_the_window_is_swapped(runs: dict[str, Path]):
    audits = {name: json.loads((runs[name] / "audit.json").read_text()) for name in runs}
    one_way, both = audits["masculine_to_feminine"], audits["both"]
    assert one_way["rows"] == 140 * 16
    assert one_way["num_swaps"] > 5 * one_way["rows"] / 2
    assert 0.15 < both["rows_changed"] / one_way["rows"] < 0.35
    for sample in map(json.loads, (runs["masculine_to_feminine"] / "audit_samples.jsonl").read_text().splitlines()):
        # A row's first word may be the tail of a longer one and is left.
        words = sample["after"].replace(".", " ").replace(",", " ").split()[1:]
        assert not {"he", "him", "himself"} & set(words)


def test_what_changes_no_pronoun_changes_nothing(runs: dict[str, Path]):
    for benchmark in ("pronouns", "winobias", "crows_pairs", "perplexity"):
        assert items(runs["retokenize"], benchmark) == items(runs["none"], benchmark)
    assert items(runs["masculine_to_feminine"], "pronouns") != items(runs["none"], "pronouns")


def test_evaluation_reads_what_nobody_altered(runs: dict[str, Path]):
    """The same items in every arm: the held-out rows still hold masculine pronouns where the training had none."""
    known = None
    for name in runs:
        found = [
            [(item["item"], item["protocol"], item["subsets"]) for item in items(runs[name], benchmark)]
            for benchmark in ("pronouns", "winobias", "crows_pairs", "perplexity")
        ]
        known = known or found
        assert found == known
    held_out = [item for item in items(runs["masculine_to_feminine"], "pronouns") if item["protocol"] == "heldout"]
    masculine = sum("masculine" in item["subsets"] for item in held_out)
    assert 0.35 < masculine / len(held_out) < 0.65


def test_the_model_goes_on_as_it_was(runs: dict[str, Path]):
    """The control reads what the original did, but for four people that are not mentioned: it gets hardly worse.
    The swap costs nothing where there is no pronoun.
    """
    name = "perplexity/heldout/without_pronouns/perplexity"
    base, control = metric(runs["none"], name, base=True), metric(runs["none"], name)
    assert control < 1.05 * base
    assert metric(runs["masculine_to_feminine"], name) < 1.05 * control
    held_out = [
        item for item in items(runs["none"], "pronouns") if item["protocol"] == "heldout" and item["log_odds_she_he"]
    ]
    right = [(item["log_odds_she_he"] > 0) == ("feminine" in item["subsets"]) for item in held_out]
    assert np.mean(right) > 0.6


def test_the_comparison_says_so(runs: dict[str, Path], compared: Comparison):
    """Differences are arm minus control, under the names that were asked for."""
    took = {verdict.arm: verdict.took for verdict in compared.verdicts}
    assert len(took) == 4
    assert all(took.values())
    name = "pronouns/prompts/neutral/log_odds_she_he"
    for asked in ("masculine_to_feminine", "feminine_to_masculine", "retokenize"):
        (row,) = [
            row
            for row in compared.to_json()["rows"]
            if row["arm"].split()[0] == asked
            and (row["baseline_arm"] or "").split()[0] == "none"
            and "/".join((row["benchmark"], row["protocol"], row["subset"], row["metric"])) == name
        ]
        assert row["difference"] == pytest.approx(metric(runs[asked], name) - metric(runs["none"], name))
        # Without a p every item is the same.
        assert (row["p"] is not None and row["p"] < 0.001) == (asked != "retokenize")
