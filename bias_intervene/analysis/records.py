"""Finds the runs below given directories and reads their records and their files of items.

Input: directories.
Output: runs, each with its record, its arm, its metrics and its items.
Guarantees: a record that is truncated or has another schema is refused, and the message names its path. Unfinished runs
are listed and left out. Files of items are read only when they are needed. Records that were written before they held
the specs of their metrics are read with the specs of that time (facts/).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from bias_intervene.analysis.items import ItemTable, read_items
from bias_intervene.errors import RunDirectoryError
from bias_intervene.record import (
    SCHEMA,
    RecordForm,
    by_content,
    check_form,
    equal_checkpoints,
    flatten,
    has_effect,
    read_json,
    without_home,
)
from bias_intervene.results import MetricRow, MetricSpec, MetricSpecs
from bias_intervene.settings import in_current_form
from bias_intervene.settings.intervention import OPTIONS

SEED_SETTINGS = ("seed", "data.seed", "model.seed")
"""Runs that differ in these settings alone are replicates of one experiment."""
ARM_NAME_SETTINGS = ("intervention.name", "model.variant")
"""Settings that the name of the arm already states."""
CONTROL = "none"
"""Arm of the runs whose rows are not altered."""
INTERVENTION_SETTINGS = {*ARM_NAME_SETTINGS, *(f"intervention.{option}" for option in OPTIONS)}
"""Settings without effect on a control: it is the control of arms with any values of them."""
_FORCED_CHOICES = {
    ("winobias", "stereotype_accuracy"), ("winobias", "masculine_share"), ("crows_pairs", "pct_stereotype"),
}  # fmt: skip
"""(benchmark, metric) of older records whose specs do not say that they are shares of forced choices. A new benchmark
is not added here, but says so in its specs."""


@dataclass(eq=False)
class Run:
    """One complete run."""

    folder: Path
    record: dict[str, Any]
    label: str = ""
    foreign: bool = False
    """Whether it was read from the results of another program: then it has metrics and no items."""

    @property
    def arm(self) -> str:
        """Name of the arm: the run's intervention, or the one that the released model it scores was trained with."""
        return self.record["arm"]

    @property
    def place(self) -> str:
        """Its directory as messages name it, without the name of the user."""
        return without_home(str(self.folder))

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Dotted key -> value of the settings that have an effect on the results."""
        return {k: v for k, v in flatten(self.record["settings"]).items() if has_effect(k)}

    @cached_property
    def settings_by_content(self) -> dict[str, Any]:
        """`settings`, with the fingerprint of what was read in the place of each path."""
        return by_content(self.settings, self.record["fingerprints"])

    @property
    def inputs(self) -> dict[str, Any]:
        """What a training read, by fingerprint: its rows and the weights that it started from."""
        prints: dict[str, Any] = self.record["fingerprints"]
        return {f"input {name}": prints.get(name) for name in ("corpus", "base_weights") if self.trains}

    @property
    def trains(self) -> bool:
        """False for an evaluation without training."""
        return self.record["plan"]["num_steps"] > 0

    @property
    def seeds(self) -> tuple[Any, ...]:
        """Values of `SEED_SETTINGS`, which distinguish it from its replicates."""
        settings = self.settings
        return tuple(settings.get(key) for key in SEED_SETTINGS)

    @cached_property
    def rows(self) -> list[MetricRow]:
        """Metrics of the run's own checkpoints and of the original run's up to the step where it started."""
        return [MetricRow.from_json(values) for values in self.record["results"]["metrics"]]

    @cached_property
    def published_rows(self) -> list[MetricRow]:
        """Metrics of the original run's checkpoints after the step where this run started."""
        return [MetricRow.from_json(values) for values in self.record["results"]["published"]]

    @cached_property
    def steps(self) -> list[int | None]:
        """Steps of `rows`, ascending. An unknown step is the only one of its run."""
        steps: set[int | None] = {row.step for row in self.rows}
        return [None] if None in steps else [*sorted(step for step in steps if step is not None)]

    @property
    def base(self) -> str | None:
        """Name of the checkpoint that training started from; None if it was not scored."""
        return None if self.foreign else self.checkpoint(self.record["plan"]["start_step"])

    @property
    def last(self) -> str | None:
        """Name of the run's last checkpoint, which is the one it started from if it trained nothing."""
        return self.checkpoint(self.steps[-1]) if self.steps else None

    @property
    def published(self) -> str | None:
        """Name of the original run's last checkpoint; None if it was not scored."""
        steps = [row.step for row in self.published_rows if row.step is not None]
        return f"published_step{max(steps)}" if steps else None

    def checkpoint(self, step: int | None) -> str | None:
        """Name of the checkpoint of a step, which is its folder under evals/; None if it was not scored."""
        return f"step{step}" if step in self.steps else None

    def weights(self, checkpoint: str | None) -> str | None:
        """Fingerprint of the weights of the checkpoint of this name; None: not in the record."""
        prints: dict[str, str] = self.record["fingerprints"].get("evaluated_weights") or {}
        return prints.get(str(checkpoint))

    @cached_property
    def equal_checkpoints(self) -> list[list[str]]:
        """Names of checkpoints of one training whose weights are equal, group by group."""
        return equal_checkpoints(self.record)

    def changes_at(self, checkpoint: str) -> bool:
        """Whether the weights of a checkpoint are those of no other one of its training, as they should be."""
        return all(checkpoint not in names for names in self.equal_checkpoints)

    def metrics(self, checkpoint: str) -> list[MetricRow]:
        """The metrics of the checkpoint of this name."""
        rows = self.published_rows if checkpoint.startswith("published_") else self.rows
        return [row for row in rows if checkpoint.endswith(f"step{row.step}")]

    def items(self, benchmark: str, checkpoint: str) -> ItemTable:
        """The content of evals/CHECKPOINT/BENCHMARK.parquet. Raises `RunDirectoryError`."""
        return read_items(self.folder / "evals" / checkpoint / f"{benchmark}.parquet")

    def has_items(self, benchmark: str, checkpoint: str) -> bool:
        """Whether evals/CHECKPOINT/BENCHMARK.parquet exists."""
        return (self.folder / "evals" / checkpoint / f"{benchmark}.parquet").is_file()

    @property
    def item_files(self) -> list[Path]:
        """Every file of items, including those of published checkpoints."""
        return sorted((self.folder / "evals").glob("*/*.parquet"))


def specs_of(runs: Iterable[Run]) -> MetricSpecs:
    """The specs of all metrics that the runs have."""
    specs: list[MetricSpec] = []
    any_without = False
    for run in runs:
        recorded = run.record["results"].get("specs")
        any_without = any_without or recorded is None
        specs += [MetricSpec.from_json(_with_forms(values)) for values in recorded or ()]
    return MetricSpecs([*specs, *(_specs_of_older_records() if any_without else ())])


def _with_forms(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """A spec as it is recorded today, of one recorded before specs named the share of one form."""
    if "share_of_one_form" in values or (values["benchmark"], values["metric"]) not in _FORCED_CHOICES:
        return values
    return {**values, "share_of_one_form": "masculine_share"}


@cache
def _specs_of_older_records() -> tuple[MetricSpec, ...]:
    """The specs for records that hold none: those of earlier versions, and other programs' results under our names."""
    path = resources.files("bias_intervene.analysis").joinpath("facts", "metric_specs_before_they_were_recorded.json")
    return tuple(MetricSpec.from_json(_with_forms(values)) for values in json.loads(path.read_text(encoding="utf8")))


@dataclass
class RunSet:
    """The runs below the given directories."""

    runs: list[Run]
    unfinished: list[Path]
    """Directories of runs without a record, which are left out."""
    notes: list[str] = field(default_factory=list)
    """What else was left out, and why."""


def find(folders: Sequence[Path]) -> RunSet:
    """The runs below the directories, each once, labelled. Raises `RunDirectoryError` if none is complete."""
    runs: list[Run] = []
    unfinished: list[Path] = []
    seen: dict[Path, Path] = {}
    notes: list[str] = []
    for folder in folders:
        if not folder.is_dir():
            raise RunDirectoryError(f"{folder}: no such directory")
        for path in sorted({p.parent for name in ("record.json", "settings.json") for p in folder.rglob(name)}):
            first = seen.setdefault(path.resolve(), path)
            if first is not path:
                again = "was given twice" if first == path else f"is the same directory as {without_home(str(first))}"
                notes.append(f"{without_home(str(path))} {again} and is read once")
                continue
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
    return RunSet(runs, unfinished, notes)


def read_record(path: Path) -> dict[str, Any]:
    """The content of a record.json. Raises `RunDirectoryError` if it is truncated or has another schema or form."""
    record = read_json(path)
    schema = record.get("schema") if isinstance(record, dict) else None
    if schema != SCHEMA:
        raise RunDirectoryError(f"{path}: schema {schema!r}; this version reads schema {SCHEMA}")
    missing = [name for name in ("arm", "settings", "plan", "results", "fingerprints") if not record.get(name)]
    if missing:
        raise RunDirectoryError(f"{path}: no {', '.join(missing)} in it; run its command again to write it anew")
    check_form(path, RecordForm)
    return {"audit": None, **record, "settings": in_current_form(record["settings"])}


def differing_settings(runs: Sequence[Run]) -> list[str]:
    """Dotted keys of the settings whose values differ between the runs, in alphabetical order."""
    contents = [run.settings_by_content for run in runs if not run.foreign]
    keys = sorted({key for values in contents for key in values})
    differing = [key for key in keys if len({repr(values.get(key)) for values in contents}) > 1]
    # Two suites differ in most facts, which follow from the name of the suite.
    return [key for key in differing if "model.suite" not in differing or not key.startswith("model.facts.")]


def label(runs: Sequence[Run]) -> None:
    """Sets the label of every run of ours: its arm, and the settings other than seeds in which it differs from others.

    Runs of other programs keep the label that they were read with.
    """
    runs = [run for run in runs if not run.foreign]
    key_by_values: dict[tuple[str, ...], str] = {}
    settings = [run.settings for run in runs]
    # Of keys that vary together (a model's name and its learning rate) the shortest one is enough.
    for key in sorted(differing_settings(runs), key=len):
        key_by_values.setdefault(tuple(repr(values.get(key)) for values in settings), key)
    keys = [key for key in key_by_values.values() if key not in {*ARM_NAME_SETTINGS, *SEED_SETTINGS}]
    unused = unused_by_controls(runs)
    for run, values in zip(runs, settings, strict=True):
        shown = [key for key in keys if run.arm != CONTROL or key not in unused]
        run.label = " ".join([run.arm, *(f"{short_key(key, settings)}={values.get(key)}" for key in shown)])


def tell_apart(runs: Sequence[Run]) -> None:
    """Adds to equal labels what the runs differ in: their seeds, or else their directories."""
    by_label: dict[str, list[Run]] = {}
    for run in runs:
        if not run.foreign:
            by_label.setdefault(run.label, []).append(run)
    for namesakes in (group for group in by_label.values() if len(group) > 1):
        keys = [key for key in differing_settings(namesakes) if key in SEED_SETTINGS]
        seeds = [" ".join(f"{key}={run.settings.get(key)}" for key in keys) for run in namesakes]
        are_told_apart = len(set(seeds)) == len(namesakes)
        for run, words in zip(namesakes, seeds, strict=True):
            run.label = f"{run.label} {words if are_told_apart else run.place}"


def unused_by_controls(runs: Sequence[Run]) -> set[str]:
    """Settings of the intervention that have the same value in all controls, and so need not be shown for them."""
    controls = [run.settings for run in runs if run.arm == CONTROL]
    return {key for key in INTERVENTION_SETTINGS if len({repr(values.get(key)) for values in controls}) == 1}


def short_key(key: str, settings: Sequence[Mapping[str, Any]]) -> str:
    """The last part of a dotted key if no other key ends in it (fraction for intervention.fraction), else the key."""
    last = key.rsplit(".", 1)[-1]
    same_ending = {other for values in settings for other in values if other.rsplit(".", 1)[-1] == last}
    return last if len(same_ending) == 1 else key
