"""The measurements count what they say, and their ratios are of the right parts, the right way round.

Clocks are replaced by given seconds, so that nothing here depends on how fast the machine is.
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from tokenizers import Tokenizer

from bias_intervene import statistics
from bias_intervene.analysis.comparison import compare
from bias_intervene.evals.benchmarks import perplexity
from bias_intervene.evals.benchmarks.pronouns import scoring as pronouns_scoring
from bias_intervene.evals.benchmarks.registry import BENCHMARKS
from bias_intervene.evals.metrics import mean_of
from bias_intervene.interventions.lexicon import DIRECTIONS
from bias_intervene.interventions.text import Swapped
from bias_intervene.record import write_json
from bias_intervene.results import MetricValue
from tests.conftest import REPOSITORY, SENTENCES, trained
from tests.helpers.parity import rows_of
from tests.helpers.worlds import wrote
from tests.measurements import comparison, evaluation, false_positives, parity, possessives, swap

CONLLU = """\
# text = I saw her and his dog.
1\tI\tI\tPRON\tPRP\t_\t2\tnsubj\t_\t_
2\tsaw\tsee\tVERB\tVBD\t_\t0\troot\t_\t_
3\ther\tshe\tPRON\tPRP\t_\t2\tobj\t_\t_
4\tand\tand\tCCONJ\tCC\t_\t6\tcc\t_\t_
5\this\this\tPRON\tPRP$\t_\t6\tnmod:poss\t_\t_
6\tdog\tdog\tNOUN\tNN\t_\t3\tconj\t_\t_

"""


def given_seconds(seconds: list[float]) -> Callable[[Callable], float]:
    """A clock for actions: it runs each and says that it took the next of `seconds`."""
    remaining = iter(seconds)

    def clock(action: Callable) -> float:
        action()
        return next(remaining)

    return clock


def test_swap(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "prose.txt").write_text(f"{SENTENCES} " * 200)
    monkeypatch.setattr(swap, "SHARED", tmp_path)  # Or a published tokenizer is found there.
    # Of each corpus: the copy, the swap, the path through text.
    copy_seconds, swap_seconds, text_seconds = 1.0, 4.0, 2.0
    monkeypatch.setattr(swap, "best", given_seconds([copy_seconds, swap_seconds, text_seconds] * 3))
    swap.main(["--json", "--mebibytes", "1", "--prose", str(tmp_path / "prose.txt")])
    figures = json.loads(capsys.readouterr().out)
    assert list(figures) == ["prose", "code", "mixed"]

    tokenizer = trained("gpt2", 8000)
    rows = rows_of(tokenizer, [(tmp_path / "prose.txt").read_text()], swap.SIZE, 2000)
    sample_rows = min(len(rows), len(rows[:: max(1, len(rows) // swap.TEXT_ROWS)]), swap.TEXT_ROWS)
    measured_tokens = -(-(1 << 20) // rows.nbytes) * rows.size
    prose = figures["prose"]
    assert prose["tokens_per_second"] == pytest.approx(measured_tokens / swap_seconds)
    assert prose["ratio_to_copy"] == pytest.approx(copy_seconds / swap_seconds)
    text_tokens_per_second = sample_rows * swap.SIZE / text_seconds
    assert prose["ratio_to_text_path"] == pytest.approx(prose["tokens_per_second"] / text_tokens_per_second)
    words = sum(
        len(re.findall(r"\b(?:he|him|his|himself)\b", tokenizer.decode(row.tolist()), re.IGNORECASE)) for row in rows
    )
    assert prose["share_of_pronouns"] == pytest.approx(words / rows.size, rel=0.01)
    assert figures["code"]["share_of_pronouns"] < figures["mixed"]["share_of_pronouns"] < prose["share_of_pronouns"]


def test_the_extra_memory_of_a_swap_is_its_peak(tokenizer: Tokenizer):
    """Of a swap that holds 10 MiB while it works and keeps one pronoun in 4 tokens."""

    class Holding:
        buffers: ClassVar[dict] = {}

        def __call__(self, array: np.ndarray, *, out: np.ndarray, is_cut: bool) -> SimpleNamespace:
            np.empty(10 << 20, np.uint8)
            return SimpleNamespace(swaps=Counter(he=array.size // 8), skipped=Counter(cut=array.size // 8))

    figures = swap.measured(tokenizer, Holding(), np.ones((4, 64), np.uint16), 1 << 12)  # type: ignore[arg-type]
    assert figures["peak_extra_memory_mib"] == pytest.approx(10, abs=0.1)
    assert figures["share_of_pronouns"] == 0.25


def test_the_fastest_repetition_counts(monkeypatch: pytest.MonkeyPatch):
    readings = iter([0.0, 5.0, 10.0, 12.0, 20.0, 29.0, 30.0, 33.0, 40.0, 44.0])
    monkeypatch.setattr(swap.time, "perf_counter", lambda: next(readings))
    calls = []
    assert swap.best(lambda: calls.append(1)) == 2.0
    assert len(calls) == swap.REPEATS == 5


def rows_that_differ(table: str, tokenizer: str) -> list[int]:
    """The last column of the parity table, of one tokenizer."""
    return [int(line.split("│")[-2]) for line in table.splitlines() if f" {tokenizer} " in line]


def test_parity(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "more.txt").write_text(f"{SENTENCES} " * 100)
    monkeypatch.setattr(parity, "SHARED", tmp_path)  # Or a megabyte of prose is encoded for the few rows that are read.
    words = ["--rows", "20", "--text", str(tmp_path / "more.txt")]
    assert parity.main(words) == 0
    out = capsys.readouterr().out
    for kind in ("gpt2", "neox", "smollm2"):
        assert rows_that_differ(out, kind) == [0] * len(DIRECTIONS)

    # From a text rule that swaps nothing the token form differs.
    monkeypatch.setattr(parity, "DIRECTIONS", ["both"])

    def unswapped(text: str, direction: str, *more: object, **options: object) -> Swapped:
        return Swapped(text, [], Counter())

    monkeypatch.setattr("tests.helpers.parity.swap_text", unswapped)
    assert parity.main(words) == 1
    assert min(rows_that_differ(capsys.readouterr().out, "gpt2")) > 0


def test_possessives(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """In the treebank's sentence `her` is an object and `his` a determiner."""
    (tmp_path / "en.conllu").write_text(CONLLU)
    (tmp_path / "prose.txt").write_text(f"{SENTENCES} " * 10)
    possessives.main([str(tmp_path), "--fit", str(tmp_path / "prose.txt")])
    out = capsys.readouterr().out
    assert "her: 1 annotated" in out
    assert "his: 1 annotated" in out
    right = dict(re.findall(r"(always \w+) +│ +([\d.]+)", out))
    assert right == {"always him": "100.00", "always his": "0.00", "always hers": "0.00", "always her": "100.00"}
    assert re.findall(r"word lists +│ +([\d.]+)", out) == ["100.00", "100.00"]
    pronouns = len(re.findall(r"\b(?:s?he|him|his|hers?|(?:him|her)self)\b", f"{SENTENCES} " * 10, re.IGNORECASE))
    for name in ("word lists", "fitted"):
        assert f"both, twice, {name}: 100.00% of {pronouns:,} pronouns restored" in out


def test_comparison(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Its ratio is to the faster of two readings."""
    read, compared, read_again = 3.0, 6.0, 2.0
    monkeypatch.setattr(comparison, "seconds", given_seconds([read, compared, read_again]))
    comparison.main(["--records", "4", "--items", "5", "--json"])
    # Two benchmarks at two checkpoints of each.
    assert json.loads(capsys.readouterr().out) == {"records": 4, "files": 16, "ratio": compared / read_again}


@pytest.mark.slow
@pytest.mark.parametrize("peer", ["bare", "plain"])
def test_training(peer: str):
    """In a process of its own: it joins a process group."""
    words = ("--rows", "2", "--sequence-length", "32", "--steps", "1", "--peer", peer, "--json")
    done = subprocess.run(
        [sys.executable, "-m", "tests.measurements.training", *words],
        cwd=REPOSITORY,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])["14m"]
    step, feed = found["step_seconds"], found["feed_seconds"]
    assert found[f"speed_against_{peer}"] == pytest.approx(found[f"step_seconds_{peer}"] / step)
    assert found["tokens_per_second"] == pytest.approx(2 * 32 / step)
    assert found["feed_share_of_step"] == pytest.approx(feed / step)
    # On a machine of any speed a step of 14 million weights takes longer than reading two rows.
    assert 0 < feed < step


def test_evaluation(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed (the extra `harness`)")
    # Of each benchmark: ours, the harness's, ours again; the faster of ours counts.
    seconds = iter([4.0, 6.0, 2.0] * 3)
    monkeypatch.setattr(evaluation, "timed", lambda work: (work(), next(seconds)))
    evaluation.main(["--size", "14m", "--items", "6", "--parts", "scoring", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert {name: values["requests"] for name, values in found.items()} == {
        "crows_pairs": 6 * 2,
        "lambada": 6,
        # Two types of sentence, pro- and anti-stereotypical, two questions, two persons.
        "referent_choice": 6 * 2 * 2 * 2 * 2,
    }
    for values in found.values():
        assert values["ratio"] == 3.0
        assert values["largest_difference_nats"] < 1e-3


class Scored(dict):
    """A row of items that has no value for any other metric."""

    def __missing__(self, key: str) -> None:
        return None


def means(name: str, rows: dict[str, list[dict]], *metrics: str) -> list[MetricValue]:
    """The means of some columns of a benchmark over all its items."""
    (first, *_) = items = rows[name]
    names = {"protocol": first["protocol"], "subset": first["subsets"][0]}
    return [mean_of(items, metric=metric, **names) for metric in metrics]


def scored_run(folder: Path, arm: str, *, seed: int) -> None:
    """A run with items of every kind of comparison, and the metrics that the program computes from them."""
    draw = np.random.default_rng([seed, *arm.encode()])
    moved = 0.3 * (arm == "both")
    made: list[dict] = []
    for step in (10, 20):
        shifts = draw.normal(scale=0.2, size=(2, 4))
        pairs = [(woman, man, number) for woman in range(4) for man in range(4) for number in range(3)]
        odds = [moved * (step == 20) + shifts[0, a] + shifts[1, b] + draw.normal() for a, b, _ in pairs]
        rows = {
            "winobias": [
                {"item": f"{a} {b} {n}", "protocol": "sentence", "subsets": ["all"],
                 "cluster": [f"woman {a}", f"man {b}"], "log_odds_masculine": value,
                 "masculine_share": float(value > 0)}
                for (a, b, n), value in zip(pairs, odds, strict=True)
            ],
            "crows_pairs": [
                {"item": str(n), "protocol": "likelihood", "subsets": ["gender"], "pct_stereotype": float(value > 0),
                 "likelihood_diff": float(value)}
                for n, value in enumerate(draw.normal(size=30))
            ],
            "perplexity": [
                {"item": f"row {n}", "protocol": "heldout", "subsets": ["all"], "log_likelihood": float(value)}
                for n, value in enumerate(draw.normal(-2, 0.1, size=12))
            ],
            "pronouns": [
                Scored(item=f"{noun} {n}", protocol="prompts", cluster=f"noun {noun}",
                       subsets=["all", "male_leaning" if noun % 2 else "female_leaning"], log_odds_she_he=draw.normal())
                for noun in range(8) for n in range(3)
            ],
        }  # fmt: skip
        metrics = {
            "winobias": means("winobias", rows, "log_odds_masculine", "masculine_share"),
            "crows_pairs": means("crows_pairs", rows, "pct_stereotype"),
            "perplexity": perplexity.metrics(rows["perplexity"]),
            "pronouns": pronouns_scoring.metrics(rows["pronouns"]),
        }
        for name, items in rows.items():
            wrote(folder, step, name, items)
            made += [{"step": step, "benchmark": name, **metric.to_json()} for metric in metrics[name]]
    specs = [spec.to_json() for name in rows for spec in BENCHMARKS[name].specs]
    write_json(
        folder / "record.json",
        {"schema": 2, "status": "complete", "arm": arm, "audit": None, "fingerprints": {"evaluations": {}},
         "settings": {"seed": seed, "intervention": {"name": arm, "fraction": 0.1}, "dry_run": False},
         "plan": {"start_step": 10, "repository": "r", "revision": None, "num_steps": 10},
         "results": {"metrics": made, "published": [], "specs": specs}},
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def test_recomputation(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """What the program states is found again; a number that is altered is named."""
    recomputation = pytest.importorskip("tests.measurements.recomputation", reason="statsmodels is not installed")
    for arm, seed in product(("none", "both"), (1, 2)):
        scored_run(tmp_path / f"{arm}{seed}", arm, seed=seed)
    scored_run(tmp_path / "neutral1", "neutral", seed=1)
    stated = compare([tmp_path]).to_json()
    write_json(tmp_path / "comparison.json", stated)
    assert recomputation.main([str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "no difference" in out
    assert int(re.findall(r"(\d+) of \d+ rows", out)[0]) > 300
    row = next(row for row in stated["rows"] if row["benchmark"] == "winobias" and row["baseline_arm"] == "none")
    row["difference_stderr"] *= 1.001
    write_json(tmp_path / "comparison.json", stated)
    record = json.loads((tmp_path / "none1" / "record.json").read_text())
    record["results"]["metrics"][0]["stderr"] *= 1.001
    write_json(tmp_path / "none1" / "record.json", record)
    assert recomputation.main([str(tmp_path)]) == 1
    differing = [line for line in capsys.readouterr().out.splitlines() if "computed again" in line]
    assert len(differing) == 2
    assert "difference_stderr" in differing[1]


def test_false_positives(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """A test that takes items about the same occupations for independent is named."""
    monkeypatch.setattr(false_positives, "SHIFTS", (1.0,))
    assert false_positives.main(["--draws", "20", "--json"]) == 0
    compare_paired = statistics.compare_paired
    monkeypatch.setattr(statistics, "compare_paired", lambda ours, theirs, clusters: compare_paired(ours, theirs))
    assert false_positives.main(["--draws", "20", "--json"]) == 1
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert found[0]["above"] == []
    assert {name.split(":")[0] for name in found[1]["above"]} == {"two-way clustered t", "clustered t"}
