"""The runs that lie below directories, and what their records hold.

Input: directories. Output: runs, each with its record, its arm, its metrics and its items. Guarantees: a record that is
half written, or of another schema, is refused by its path; unfinished runs are named and left out; items are read when
they are needed, and identified by their name and protocol. Records written before the specs of metrics were recorded
are read with the specs of that time (facts/).
"""

import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bias_intervene.errors import RunDirectoryError
from bias_intervene.record import SCHEMA, flatten, has_effect, read_json
from bias_intervene.results import MetricRow, MetricSpec, MetricSpecs
from bias_intervene.settings import in_current_form
from bias_intervene.settings.intervention import OPTIONS

OF_THE_SEED = ("seed", "data.seed", "model.seed")
"""Settings whose other values make a replicate, not another experiment."""
NAMED_BY_THE_ARM = ("intervention.name", "model.variant")
CONTROL = "none"
OF_THE_ARM = {*NAMED_BY_THE_ARM, *(f"intervention.{option}" for option in OPTIONS)}
"""Settings that a control has no use for: it is the control of every value of them."""
_ITEM_FILES_IN_MEMORY = 32
"""Enough for those of an arm, its control and their bases."""


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

    @cached_property
    def rows(self) -> list[MetricRow]:
        """Metrics of its own checkpoints and of those before its start."""
        return [MetricRow.from_json(values) for values in self.record["results"]["metrics"]]

    @cached_property
    def published_rows(self) -> list[MetricRow]:
        """Metrics of the original run's later checkpoints."""
        return [MetricRow.from_json(values) for values in self.record["results"]["published"]]

    @cached_property
    def steps(self) -> list[int]:
        """Steps scored, of its own or before its start, ascending."""
        return sorted({row.step for row in self.rows})

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
        steps = [row.step for row in self.published_rows]
        return f"published_step{max(steps)}" if steps else None

    def checkpoint(self, step: int) -> str | None:
        """Name of a step's folder under evals/, where it was scored."""
        return f"step{step}" if step in self.steps else None

    def metrics(self, checkpoint: str) -> list[MetricRow]:
        """The metrics of one checkpoint by its name."""
        rows = self.published_rows if checkpoint.startswith("published_") else self.rows
        return [row for row in rows if checkpoint.endswith(f"step{row.step}")]

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


_items_in_memory: "OrderedDict[Path, Items]" = OrderedDict()


def read_items(path: Path) -> Items:
    """The items of a file, the last few kept. Raises `RunDirectoryError` where the file is missing or broken."""
    if path not in _items_in_memory:
        if not path.is_file():
            raise RunDirectoryError(f"{path}: missing, though the record names its metrics")
        try:
            _items_in_memory[path] = Items(pq.read_table(path))
        except (pa.ArrowException, OSError, KeyError) as error:
            raise RunDirectoryError(f"{path}: no items of ours ({error})") from None
        if len(_items_in_memory) > _ITEM_FILES_IN_MEMORY:
            _items_in_memory.popitem(last=False)
    _items_in_memory.move_to_end(path)
    return _items_in_memory[path]


def specs_of(runs: Iterable[Run]) -> MetricSpecs:
    """How the metrics of all the runs are read."""
    specs: list[MetricSpec] = []
    unrecorded = False
    for run in runs:
        recorded = run.record["results"].get("specs")
        unrecorded = unrecorded or recorded is None
        specs += [MetricSpec.from_json(values) for values in recorded or ()]
    return MetricSpecs([*specs, *(_specs_before_they_were_recorded() if unrecorded else ())])


@cache
def _specs_before_they_were_recorded() -> tuple[MetricSpec, ...]:
    """Those of every benchmark there was: of older records, and of other programs' results under our names."""
    path = resources.files("bias_intervene.analysis").joinpath("facts", "metric_specs_before_they_were_recorded.json")
    return tuple(MetricSpec.from_json(values) for values in json.loads(path.read_text(encoding="utf8")))


@dataclass
class RunSet:
    """The runs below the given directories."""

    runs: list[Run]
    unfinished: list[Path]
    """Directories of runs without a record, which are left out."""


def find(folders: Sequence[Path]) -> RunSet:
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
    return RunSet(runs, unfinished)


def read_record(path: Path) -> dict[str, Any]:
    """A record. Raises `RunDirectoryError` where it is half written or of another schema."""
    record = read_json(path)
    schema = record.get("schema") if isinstance(record, dict) else None
    if schema != SCHEMA:
        raise RunDirectoryError(f"{path}: schema {schema}; this version reads schema {SCHEMA}")
    missing = [name for name in ("arm", "settings", "plan", "results", "fingerprints") if not record.get(name)]
    if missing:
        raise RunDirectoryError(f"{path}: no {', '.join(missing)} in it; run its command again to write it anew")
    return {**record, "settings": in_current_form(record["settings"])}


def differing_settings(runs: Sequence[Run]) -> list[str]:
    """Dotted keys whose values differ between the runs."""
    settings = [run.settings for run in runs if not run.foreign]
    keys = sorted({key for one in settings for key in one})
    differing = [key for key in keys if len({repr(one.get(key)) for one in settings}) > 1]
    # Two suites have other facts throughout; the suite's name says so.
    return [key for key in differing if "model.suite" not in differing or not key.startswith("model.facts.")]


def label(runs: Sequence[Run]) -> None:
    """Gives every run of ours a label: its arm, and the settings besides the seed that set it apart from the others."""
    runs = [run for run in runs if not run.foreign]
    by_values: dict[tuple[str, ...], str] = {}
    settings = [run.settings for run in runs]
    # Of keys that vary together (a model's name and its learning rate) the shortest one is enough.
    for key in sorted(differing_settings(runs), key=len):
        by_values.setdefault(tuple(repr(one.get(key)) for one in settings), key)
    others = [key for key in by_values.values() if key not in {*NAMED_BY_THE_ARM, *OF_THE_SEED}]
    unused = unused_by_controls(runs)
    for run, one in zip(runs, settings, strict=True):
        own = [key for key in others if run.arm != CONTROL or key not in unused]
        run.label = " ".join([run.arm, *(f"{brief(key, settings)}={one.get(key)}" for key in own)])


def unused_by_controls(runs: Sequence[Run]) -> set[str]:
    """The settings that say nothing of these controls: those of an intervention, the same in all of them."""
    controls = [run.settings for run in runs if run.arm == CONTROL]
    return {key for key in OF_THE_ARM if len({repr(one.get(key)) for one in controls}) == 1}


def brief(key: str, settings: Sequence[Mapping[str, Any]]) -> str:
    """The last part of a dotted key, where no other key ends so: fraction, not intervention.fraction."""
    last = key.rsplit(".", 1)[-1]
    alike = {one for values in settings for one in values if one.rsplit(".", 1)[-1] == last}
    return last if len(alike) == 1 else key
