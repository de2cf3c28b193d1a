"""Run directories made by hand."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bias_intervene.evals.benchmarks.crows_pairs import CrowsPairs
from bias_intervene.record import read_json, write_json


def made(
    folder: Path, arm: str, values: dict[str, float], *, seed: int = 1, base: dict[str, float] | None = None,
    items: str = "same", probability: float = 1.0,
) -> Path:  # fmt: skip
    """A run directory with one metric: CrowS-Pairs items (0 or 1) at step 20, and at step 10 for the base."""
    metrics = []
    for step, scored in ((10, base), (20, values)):
        if scored is None:
            continue
        rows = [
            {"item": item, "protocol": "likelihood", "subsets": ["all", "gender"], "pct_stereotype": value}
            for item, value in scored.items()
        ]
        path = folder / "evals" / f"step{step}" / "crows_pairs.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows), path)
        metrics.append(
            {
                "step": step,
                "benchmark": "crows_pairs",
                "protocol": "likelihood",
                "subset": "gender",
                "metric": "pct_stereotype",
                "value": sum(scored.values()) / len(scored),
                "stderr": 0.1,
                "n": len(scored),
            }  # fmt: skip
        )
    settings = {
        "seed": seed,
        "intervention": {"name": arm, "fraction": 0.1, "probability": probability},
        "dry_run": False,
    }
    write_json(folder / "settings.json", settings)
    write_json(
        folder / "record.json",
        {
            "schema": 2, "status": "complete", "arm": arm, "settings": settings,
            "plan": {"start_step": 10, "repository": "r", "revision": None, "num_steps": 10}, "audit": None,
            "fingerprints": {"evaluations": {"crows_pairs": {"items": items, "version": 1}}},
            "results": {"schema": 1, "metrics": metrics, "published": []},
        },
    )  # fmt: skip
    return folder


def with_forms(folder: Path, masculine_share: float, nats: float) -> Path:
    """The run, scored with the share of masculine forms and the mean difference in nats too, and with our specs."""
    record = read_json(folder / "record.json")
    (row,) = [row for row in record["results"]["metrics"] if row["step"] == 20]
    path = folder / "evals" / "step20" / "crows_pairs.parquet"
    items = pq.read_table(path).to_pylist()
    for number, item in enumerate(items):
        is_masculine = number < masculine_share * len(items)
        item |= {"masculine_share": float(is_masculine), "signed_likelihood_diff": nats}
    pq.write_table(pa.Table.from_pylist(items), path)
    for metric, value in (("masculine_share", masculine_share), ("signed_likelihood_diff", nats)):
        record["results"]["metrics"].append(row | {"metric": metric, "value": value})
    record["results"]["specs"] = [spec.to_json() for spec in CrowsPairs.specs]
    write_json(folder / "record.json", record)
    return folder
