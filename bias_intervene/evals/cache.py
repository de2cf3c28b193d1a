"""Evaluations kept by what they were made from.

Input: the identity of an evaluation, and a function that makes it. Output: its items and metrics, made now or read.
Guarantees: an evaluation is written whole or not at all; jobs that want the same one at the same time wait for the
first; an identity that differs in anything is another evaluation.
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
from bias_intervene.record import fingerprint, read_json, whole_folder, write_bytes, write_json
from bias_intervene.results import MetricValue


def keep(
    place: Path,
    identity: dict[str, Any],
    make: Callable[[], Scored],
    *,
    items_to: Path,
    ranks: Ranks,
) -> list[MetricValue]:
    """The metrics of an evaluation; its items are copied to `items_to`.

    With several ranks all of them make it together, and the first alone reads and writes; the others get no metrics.
    """
    folder = place / fingerprint(identity)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")) if ranks.rank == 0 else nullcontext():
        if not ranks.first((folder / "metrics.json").is_file()):
            scored = make()
            if ranks.rank == 0:
                with whole_folder(folder) as partial:
                    _write_items(partial / "items.parquet", scored.rows)
                    write_json(partial / "metrics.json", [metric.to_json() for metric in scored.metrics])
                    write_json(partial / "identity.json", identity)
    if ranks.rank > 0:
        return []
    write_bytes(items_to, (folder / "items.parquet").read_bytes())
    return [MetricValue.from_json(values) for values in read_json(folder / "metrics.json")]


def _write_items(path: Path, rows: Sequence[ItemRow]) -> None:
    """One row an item and a protocol; a column that only some rows have is null in the others."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist([{name: row.get(name) for name in names} for row in rows]), sink)
    write_bytes(path, sink.getvalue().to_pybytes())
