"""How long a comparison takes against reading its files: `python -m tests.measurements.comparison [--json]`.

--records runs (half control, half intervention, as many seeds), each with per-item parquet of WinoBias and CrowS-Pairs
at its base and its last checkpoint. Ratio: seconds of the comparison, from finding the records to its rows, over
seconds of reading the same parquet files alone with pyarrow, in one process, the files in the page cache for both.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from bias_intervene.analysis.comparison import compare
from bias_intervene.record import write_json

BENCHMARKS = {
    "winobias": ("sentence", "all", "stereotype_accuracy"),
    "crows_pairs": ("likelihood", "gender", "pct_stereotype"),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the ratio, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--items", type=int, default=500, help="of each benchmark and checkpoint")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(asked.records):
            write_run(folder / f"run{number}", arm=("none", "both")[number % 2], seed=number // 2, items=asked.items)
        files = sorted(folder.rglob("*.parquet"))
        reading = seconds(lambda: [pq.read_table(path) for path in files])
        comparing = seconds(lambda: compare([folder]))
        reading_again = seconds(lambda: [pq.read_table(path) for path in files])
    ratio = comparing / min(reading, reading_again)
    found = {"records": asked.records, "files": len(files), "ratio": ratio}
    if asked.json:
        print(json.dumps(found))
    else:
        Console().print(f"{asked.records} records, {len(files)} files: comparison / reading the files = {ratio:.1f}")


def seconds(work) -> float:
    """How long it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def write_run(folder: Path, *, arm: str, seed: int, items: int) -> None:
    """A run directory of random items."""
    random = np.random.default_rng(hash((arm, seed)) % 2**32)
    metrics = []
    for benchmark, (protocol, subset, metric) in BENCHMARKS.items():
        for step in (10, 20):
            values = random.integers(0, 2, items).astype(float)
            table = pa.table(
                {
                    "item": [str(n) for n in range(items)], "protocol": [protocol] * items,
                    "subsets": [["all", "gender"]] * items, metric: values,
                }
            )  # fmt: skip
            path = folder / "evals" / f"step{step}" / f"{benchmark}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, path)
            metrics.append(
                {
                    "step": step, "benchmark": benchmark, "protocol": protocol, "subset": subset, "metric": metric,
                    "value": values.mean(), "stderr": 0.02, "n": items,
                }
            )  # fmt: skip
    settings = {"seed": seed, "intervention": {"name": arm, "fraction": 0.1}}
    plan = {"start_step": 10, "repository": "r", "revision": None, "num_steps": 10}
    write_json(folder / "settings.json", settings)
    write_json(
        folder / "record.json",
        {
            "schema": 2, "status": "complete", "arm": arm, "settings": settings, "plan": plan, "audit": None,
            "fingerprints": {"evaluations": {}}, "results": {"schema": 1, "metrics": metrics, "published": []},
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
