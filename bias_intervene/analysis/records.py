"""The runs that lie below directories, and what their records hold.

Enters: directories. Leaves: runs, each with its record, its arm and its items. Promised: a record that is half written,
or of another schema, is refused by its path; unfinished runs are named and left out; items are read when they are asked
for, and known by their identity.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bias_intervene.errors import RunDirectoryError
from bias_intervene.record import SCHEMA, flatten, has_effect, read_json
from bias_intervene.settings.intervention import OPTIONS

OF_THE_SEED = ("seed", "data.seed", "model.seed")
"""Settings whose other values make a replicate, not another experiment."""
NAMED_BY_THE_ARM = ("intervention.name", "model.variant")
CONTROL = "none"
OF_THE_ARM = {*NAMED_BY_THE_ARM, *(f"intervention.{option}" for option in OPTIONS)}
"""Settings that a control has no use for: it is the control of every value of them."""
KEPT_ITEMS = 32
"""Files of items held at once: those of an arm, its control and their bases."""


class Items:
    """The items of one file, by protocol and subset.

    Rows are looked up by arrays and not one by one: a comparison of a thousand runs reads millions of them.
    """

    def __init__(self, table: pa.Table):
        self.table = table
        self.ids = np.array(table["item"].to_pylist(), dtype=object)
        self.protocols = np.array(table["protocol"].to_pylist(), dtype=object)
        has_clusters = "cluster" in table.column_names
        self.clusters = np.array(table["cluster"].to_pylist(), dtype=object) if has_clusters else None
        subsets = table["subsets"].combine_chunks()
        lengths = np.diff(subsets.offsets.to_numpy())
        self._subset_names = np.array(subsets.flatten().to_pylist(), dtype=object)
        self._subset_rows = np.repeat(np.arange(table.num_rows), lengths)
        self._columns: dict[str, np.ndarray] = {}

    def has(self, metric: str) -> bool:
        """Whether items carry the metric."""
        return metric in self.table.column_names

    def column(self, metric: str) -> np.ndarray:
        """(rows,) float64, nan where the metric does not apply."""
        if metric not in self._columns:
            self._columns[metric] = self.table[metric].cast(pa.float64()).to_numpy(zero_copy_only=False)
        return self._columns[metric]

    def chosen(self, protocol: str, subset: str, metric: str) -> np.ndarray:
        """Numbers of the rows of a protocol and subset that the metric applies to."""
        rows = self._subset_rows[self._subset_names == subset]
        rows = rows[self.protocols[rows] == protocol]
        return rows[~np.isnan(self.column(metric)[rows])]


@dataclass(eq=False)
class Run:
    """One complete run."""

    folder: Path
    record: dict[str, Any]
    label: str = ""
    foreign: bool = False
    """Read from another program's results: it has metrics and no items."""

    @property
    def arm(self) -> str:
        """What was done: its intervention, or that of the released model it scores."""
        return self.record["arm"]

    @property
    def settings(self) -> dict[str, Any]:
        """Dotted settings that have an effect."""
        return {k: v for k, v in flatten(self.record["settings"]).items() if has_effect(k)}

    @property
    def seeds(self) -> tuple[Any, ...]:
        """What tells it from its replicates."""
        settings = self.settings
        return tuple(settings.get(key) for key in OF_THE_SEED)

    @property
    def steps(self) -> list[int]:
        """Steps scored, of its own or before its start, ascending."""
        return sorted({row["step"] for row in self.record["results"]["metrics"]})

    @property
    def base(self) -> str | None:
        """Name of the checkpoint it started from, where that was scored."""
        return None if self.foreign else self.checkpoint(self.record["plan"]["start_step"])

    @property
    def last(self) -> str | None:
        """Name of the last checkpoint of its own; the one it started from if it trained nothing."""
        return self.checkpoint(self.steps[-1]) if self.steps else None

    @property
    def published(self) -> str | None:
        """Name of the original run's last checkpoint, where that was scored."""
        steps = [row["step"] for row in self.record["results"]["published"]]
        return f"published_step{max(steps)}" if steps else None

    def checkpoint(self, step: int) -> str | None:
        """Name of a step's folder under evals/, where it was scored."""
        return f"step{step}" if step in self.steps else None

    def metrics(self, checkpoint: str) -> list[dict[str, Any]]:
        """The metrics of one checkpoint by its name."""
        results = self.record["results"]
        rows = results["published"] if checkpoint.startswith("published_") else results["metrics"]
        return [row for row in rows if checkpoint.endswith(f"step{row['step']}")]

    def items(self, benchmark: str, checkpoint: str) -> Items:
        """evals/CHECKPOINT/BENCHMARK.parquet."""
        return read_items(self.folder / "evals" / checkpoint / f"{benchmark}.parquet")

    def has_items(self, benchmark: str, checkpoint: str) -> bool:
        """Whether the items of a benchmark were kept."""
        return (self.folder / "evals" / checkpoint / f"{benchmark}.parquet").is_file()

    @property
    def item_files(self) -> list[Path]:
        """Every file of items, those of published checkpoints included."""
        return sorted((self.folder / "evals").glob("*/*.parquet"))


_kept: "OrderedDict[Path, Items]" = OrderedDict()


def read_items(path: Path) -> Items:
    """The items of a file, the last few kept. Raises `RunDirectoryError` where the file is missing or broken."""
    if path not in _kept:
        if not path.is_file():
            raise RunDirectoryError(f"{path}: missing, though the record names its metrics")
        try:
            _kept[path] = Items(pq.read_table(path))
        except (pa.ArrowException, OSError, KeyError) as error:
            raise RunDirectoryError(f"{path}: no items of ours ({error})") from None
        if len(_kept) > KEPT_ITEMS:
            _kept.popitem(last=False)
    _kept.move_to_end(path)
    return _kept[path]


@dataclass
class Found:
    """What lies below the given directories."""

    runs: list[Run]
    unfinished: list[Path]


def find(folders: Sequence[Path]) -> Found:
    """Runs and unfinished runs below the directories. Raises `RunDirectoryError` where there are none."""
    runs: list[Run] = []
    unfinished: list[Path] = []
    seen: set[Path] = set()
    for folder in folders:
        if not folder.is_dir():
            raise RunDirectoryError(f"{folder}: no such directory")
        for path in sorted({p.parent for name in ("record.json", "settings.json") for p in folder.rglob(name)}):
            if path in seen:
                continue
            seen.add(path)
            if (path / "record.json").is_file():
                runs.append(Run(path, read_record(path / "record.json")))
            else:
                unfinished.append(path)
    if not runs:
        names = ", ".join(map(str, folders))
        hint = f"; {len(unfinished)} unfinished: {', '.join(map(str, unfinished[:5]))}" if unfinished else ""
        raise RunDirectoryError(
            f"no complete run (record.json) below {names}{hint}. Give a run directory or a sweep's, as under outputs/"
        )
    label(runs)
    return Found(runs, unfinished)


def read_record(path: Path) -> dict[str, Any]:
    """A record. Raises `RunDirectoryError` where it is half written or of another schema."""
    record = read_json(path)
    schema = record.get("schema") if isinstance(record, dict) else None
    if schema != SCHEMA:
        raise RunDirectoryError(f"{path}: schema {schema}; this version reads schema {SCHEMA}")
    missing = [name for name in ("arm", "settings", "plan", "results", "fingerprints") if not record.get(name)]
    if missing:
        raise RunDirectoryError(f"{path}: no {', '.join(missing)} in it; run its command again to write it anew")
    return record


def differing_settings(runs: Sequence[Run]) -> list[str]:
    """Dotted keys whose values differ between the runs."""
    settings = [run.settings for run in runs if not run.foreign]
    keys = sorted({key for one in settings for key in one})
    return [key for key in keys if len({repr(one.get(key)) for one in settings}) > 1]


def label(runs: Sequence[Run]) -> None:
    """Gives every run of ours a label: its arm, and what else tells it from the others, but for its seed."""
    runs = [run for run in runs if not run.foreign]
    told: dict[tuple[str, ...], str] = {}
    settings = [run.settings for run in runs]
    # Of keys that vary together (a model's name and its learning rate) the shortest one is enough.
    for key in sorted(differing_settings(runs), key=len):
        told.setdefault(tuple(repr(one.get(key)) for one in settings), key)
    others = [key for key in told.values() if key not in {*NAMED_BY_THE_ARM, *OF_THE_SEED}]
    unused = unused_by_controls(runs)
    for run, one in zip(runs, settings, strict=True):
        own = [key for key in others if run.arm != CONTROL or key not in unused]
        run.label = " ".join([run.arm, *(f"{brief(key, settings)}={one.get(key)}" for key in own)])


def unused_by_controls(runs: Sequence[Run]) -> set[str]:
    """The settings that tell nothing of these controls: of an intervention, and the same in all of them."""
    controls = [run.settings for run in runs if run.arm == CONTROL]
    return {key for key in OF_THE_ARM if len({repr(one.get(key)) for one in controls}) == 1}


def brief(key: str, settings: Sequence[Mapping[str, Any]]) -> str:
    """The last part of a dotted key, where no other key ends so: fraction, not intervention.fraction."""
    last = key.rsplit(".", 1)[-1]
    alike = {one for values in settings for one in values if one.rsplit(".", 1)[-1] == last}
    return last if len(alike) == 1 else key
