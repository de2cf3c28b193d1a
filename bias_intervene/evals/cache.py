"""A cache of evaluations, by the fingerprint of everything they depend on.

Input: the identity of an evaluation (JSON of all it depends on), and a function that computes it.
Output: its items and metrics, computed or read from the cache.
Guarantees: an evaluation is written completely or not at all, and one that was altered afterwards is computed anew.
Jobs that need the same one at the same time wait for the first to compute it. Identities that differ in any value are
different evaluations.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

from bias_intervene.evals.benchmarks.benchmark import Scored
from bias_intervene.evals.metrics import ItemRow
from bias_intervene.evals.ranks import Ranks
from bias_intervene.record import (
    fingerprint,
    is_as_made,
    keep_as_made,
    read_json,
    whole_folder,
    write_bytes,
    write_json,
)
from bias_intervene.results import MetricValue


def cached(
    cache: Path,
    identity: dict[str, Any],
    compute: Callable[[], Scored],
    *,
    items_path: Path,
    ranks: Ranks,
) -> list[MetricValue]:
    """The metrics of an evaluation; its items are copied to `items_path`.

    With several ranks, all compute it together, and only the first one reads and writes files. The others get [].
    """
    folder = cache / fingerprint(identity)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")) if ranks.rank == 0 else nullcontext():
        if not ranks.first(ranks.rank == 0 and is_as_made(folder)):
            scored = compute()
            if ranks.rank == 0:
                with whole_folder(folder) as partial:
                    _write_items(partial / "items.parquet", scored.rows)
                    write_json(partial / "metrics.json", [metric.to_json() for metric in scored.metrics])
                    write_json(partial / "identity.json", identity)
                    keep_as_made(partial)
    if ranks.rank > 0:
        return []
    write_bytes(items_path, (folder / "items.parquet").read_bytes())
    return [MetricValue.from_json(values) for values in read_json(folder / "metrics.json")]


def _write_items(path: Path, rows: Sequence[ItemRow]) -> None:
    """Writes a parquet file of the rows; a column that only some rows have is null in the others."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist([{name: row.get(name) for name in names} for row in rows]), sink)
    write_bytes(path, sink.getvalue().to_pybytes())
