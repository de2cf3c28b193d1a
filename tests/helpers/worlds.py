"""Runs in worlds whose truth is known, made by hand: what a model measures is written down, not trained."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bias_intervene.data import world
from bias_intervene.record import write_json

NEUTRAL = world.NEUTRAL_NOUNS


def run(
    folder: Path, arm: str = "none", *, world_seed: int = 1, seed: int | None = None, probability: float = 1.0,
    fraction: float = 0.2, moved: float = 0.0, gap: float = 1.0, noise: float = 0.02, they: float = -4.0,
    slope: float = 1.0, perplexity: float = 2.0, **data: object,
) -> Path:  # fmt: skip
    """A run directory. moved: how much further she:he is at the end, nats; gap: what is left of the planted odds.

    noise: standard deviation of an item, and of what all items of the run have in common, nats.
    """
    same = ["none"] if arm == "retokenize" or not probability else [arm, str(probability)]
    draw = np.random.default_rng([world_seed, seed or 0, int(1000 * fraction), *"".join(same).encode()])
    planted = world.log_odds(2.5)
    common = draw.normal(scale=noise) if seed is not None else 0.0
    metrics = []
    # No two worlds change P(they) by exactly the same.
    for step, shift, left, word_they in ((80, 0.0, 1.0, -4.0), (100, moved + common, gap, they + 0.01 * world_seed)):
        rows = []
        for protocol in ("prompts", "unseen"):
            for noun, odds in planted.items():
                for number in range(3):
                    value = -slope * left * odds + shift + draw.normal(scale=noise)
                    subset = "neutral" if noun in NEUTRAL else "male_leaning" if odds > 0 else "female_leaning"
                    late = ["unmentioned"] if noun in {"housekeeper", "cashier", "lawyer", "sheriff"} else []
                    rows.append(
                        {"item": f"{noun}/{number}", "protocol": protocol, "cluster": noun, "planted": odds,
                         "subsets": ["all", subset, *late], "log_odds_she_he": value, "log_odds_they": word_they}
                    )  # fmt: skip
        wrote(folder, step, "pronouns", rows)
        for protocol in ("prompts", "unseen"):
            for subset in ("all", "neutral", "unmentioned"):
                values = [r["log_odds_she_he"] for r in rows if r["protocol"] == protocol and subset in r["subsets"]]
                metrics.append(metric(step, "pronouns", protocol, subset, "log_odds_she_he", np.array(values)))
        by_leaning = [
            -np.mean([r["log_odds_she_he"] for r in rows if r["protocol"] == "prompts" and side in r["subsets"]])
            for side in ("male_leaning", "female_leaning")
        ]
        change = metric(step, "pronouns", "prompts", "occupations", "occupation_gap", np.zeros(2))
        metrics.append(change | {"value": float(by_leaning[0] - by_leaning[1]), "stderr": 0.1, "n": 20})
        pairs = [
            {"item": str(n), "protocol": "likelihood", "subsets": ["all", "gender"],
             "pct_stereotype": float(draw.random() < 0.6), "signed_likelihood_diff": float(draw.normal(0.3))}
            for n in range(60)
        ]  # fmt: skip
        wrote(folder, step, "crows_pairs", pairs)
        for name in ("pct_stereotype", "signed_likelihood_diff"):
            values = np.array([pair[name] for pair in pairs])
            metrics.append(metric(step, "crows_pairs", "likelihood", "gender", name, values))
        held = [
            {"item": f"row {n}", "protocol": "heldout", "subsets": ["without_pronouns"],
             "log_likelihood": -math.log(perplexity if step == 100 else 2.0) + float(draw.normal(scale=noise))}
            for n in range(20)
        ]  # fmt: skip
        wrote(folder, step, "perplexity", held)
        mean = metric(step, "perplexity", "heldout", "without_pronouns", "perplexity", np.zeros(2))
        metrics.append(mean | {"value": math.exp(-np.mean([row["log_likelihood"] for row in held])), "n": 20})
    settings = {
        "seed": world_seed if seed is None else seed,
        "intervention": {"name": arm, "fraction": fraction, "probability": probability},
        "data": {"kind": "world", "seed": world_seed, "shuffle": seed is not None, "unmentioned": 4,
                 "unmentioned_fraction": 0.2, "pieces": False} | data,
        "model": {"name": "calibration"}, "dry_run": False,
    }  # fmt: skip
    plan = {"start_step": 80, "repository": "r", "revision": None, "num_steps": 20, "realised_fraction": fraction}
    write_json(folder / "settings.json", settings)
    write_json(
        folder / "record.json",
        {"schema": 2, "status": "complete", "arm": arm, "settings": settings, "plan": plan, "audit": None,
         "fingerprints": {"evaluations": {}}, "results": {"schema": 1, "metrics": metrics, "published": []}},
    )  # fmt: skip
    return folder


def wrote(folder: Path, step: int, benchmark: str, rows: list[dict]) -> None:
    """evals/stepN/BENCHMARK.parquet."""
    path = folder / "evals" / f"step{step}" / f"{benchmark}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def metric(step: int, benchmark: str, protocol: str, subset: str, name: str, values: np.ndarray) -> dict:
    """A row of results.json."""
    return {
        "step": step, "benchmark": benchmark, "protocol": protocol, "subset": subset, "metric": name,
        "value": float(values.mean()), "stderr": float(values.std(ddof=1) / math.sqrt(values.size)), "n": values.size,
    }  # fmt: skip
