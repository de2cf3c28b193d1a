"""The record from which a run can be repeated and compared.

Input: the files that the stages wrote into a run directory.
Output: record.json. It is written last, so its presence means that the run is complete.
Guarantees: of the environment only versions and hardware are recorded, no environment variables and no user names.
"""

import contextlib
import json
import os
from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from bias_intervene.errors import RunDirectoryError, StageError
from bias_intervene.record.environment import describe_environment
from bias_intervene.record.files import append_line, fingerprint, read_json, read_lines, write_json
from bias_intervene.record.form import FingerprintsForm, ObjectForm, ResultsForm, SettingsForm, check_form
from bias_intervene.settings import in_current_form, rounded

SCHEMA = 2
STAGES = "stages.jsonl"
"""File with one line per attempt at a stage: when, how long, how it ended, the energy of the GPUs."""
ATTEMPTS = "attempts.jsonl"
"""File with one line per start of the run: when, and in which environment."""
_WITHOUT_EFFECT = (
    "dry_run", "cache_dir", "tracking", "experiment", "sweep", "objective", "train.keep_resumable", "train.on_damaged",
    "model.facts.precision",
)  # fmt: skip
"""Keys and groups of keys that do not influence results: a run may be continued with other values of them."""

_STEERING = {
    "arm", "repository", "revision", "start_step", "num_steps", "rows", "optimizer_warmup_steps", "sequence_length",
    "global_batch_rows", "micro_batch_rows", "accumulation_steps", "num_ranks", "zero_stage", "checkpoint_steps",
    "activation_checkpointing", "schedule",
}  # fmt: skip
"""Keys of a plan that a training depends on. The others are estimates and notes, and are made anew at every start."""


def is_complete(run_dir: Path) -> bool:
    """Whether the run in this directory is complete: record.json exists."""
    return (run_dir / "record.json").is_file()


def is_complete_run_of(run_dir: Path, settings: dict[str, Any]) -> bool:
    """Whether the directory holds a complete run of these settings, keys without effect ignored."""
    return is_complete(run_dir) and not _differing(run_dir, settings)


def _differing(run_dir: Path, settings: dict[str, Any]) -> list[str]:
    """The differences between the settings of the run in a directory and others; none if it holds no settings."""
    path = run_dir / "settings.json"
    if not path.is_file():
        return []
    check_form(path, SettingsForm)
    return differences(*map(in_current_form, (read_json(path), settings)))


@contextlib.contextmanager
def open_run(run_dir: Path, *, settings: dict[str, Any], plan: dict[str, Any]) -> Generator[None]:
    """A directory opened for a run: settings.json, plan.json and environment.json stand in it within the block.

    Starting again with the same settings continues. Raises `RunDirectoryError` for a complete directory and for one
    of other settings or, once it trains, of another plan, naming the keys. A block that ends by a `StageError` before
    inputs.json is written, which is before any work, takes away what this call wrote.
    """
    if is_complete(run_dir):
        differing = _differing(run_dir, settings)
        of_others = f" of other settings: {'; '.join(differing)}" if differing else ""
        raise RunDirectoryError(
            f"{run_dir}: holds a complete run{of_others}; nothing was done. Compare it with `python -m "
            f"bias_intervene.compare {run_dir}`, or choose another directory with hydra.run.dir=..."
        )
    is_continued = (run_dir / "settings.json").is_file()
    if is_continued:
        differing = _differing(run_dir, settings)
        if differing:
            raise RunDirectoryError(
                f"{run_dir}: holds an unfinished run of other settings: {'; '.join(differing)}. Use its settings to "
                "continue it, or choose another directory with hydra.run.dir=..."
            )
        _keep_to_plan(run_dir, json.loads(json.dumps(plan)))
    # Settings without an effect may differ; the new ones hold from now on.
    write_json(run_dir / "settings.json", settings)
    write_json(run_dir / "plan.json", plan)
    environment = describe_environment()
    if not is_continued:
        write_json(run_dir / "environment.json", environment)
    append_line(run_dir / ATTEMPTS, {"started": datetime.now(UTC).isoformat(timespec="seconds")} | environment)
    try:
        yield
    except StageError:
        if not is_continued and not (run_dir / "inputs.json").is_file():
            for name in ("settings.json", "plan.json", "environment.json", ATTEMPTS, STAGES):
                (run_dir / name).unlink(missing_ok=True)
        raise


def _keep_to_plan(run_dir: Path, plan: dict[str, Any]) -> None:
    """Raises `RunDirectoryError` where a run that has begun to train did so by another plan than its settings make."""
    path = run_dir / "plan.json"
    if not (path.is_file() and (run_dir / "training").is_dir()):
        return
    check_form(path, ObjectForm)
    begun = read_json(path)
    steering = _STEERING & begun.keys() & plan.keys()  # An earlier version may have had others.
    differing = differences(*({key: values[key] for key in steering} for values in (begun, plan)))
    if differing:
        raise RunDirectoryError(
            f"{path}: not the plan of settings.json: {'; '.join(differing)}. It was altered, or another version of "
            f"this program made it ({ATTEMPTS} says which). Put it back, go on with that version, or begin anew in "
            "another directory with hydra.run.dir=..."
        )


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Lines "key: before -> after" for every dotted key that differs and has an effect."""
    # Earlier versions stored floats with all their digits.
    flat_before, flat_after = flatten(rounded(before)), flatten(rounded(after))
    return [
        f"{key}: {flat_before.get(key)!r} -> {flat_after.get(key)!r}"
        for key in sorted({*flat_before, *flat_after})
        if has_effect(key) and flat_before.get(key) != flat_after.get(key)
    ]


def has_effect(key: str) -> bool:
    """Whether the value of a dotted key influences the results of a run."""
    return not any(key == name or key.startswith(f"{name}.") for name in _WITHOUT_EFFECT)


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one mapping with dotted keys.

    >>> flatten({"a": {"b": 1}, "c": [2]})
    {'a.b': 1, 'c': [2]}
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")  # type: ignore[arg-type]
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def by_content(settings: Mapping[str, Any], fingerprints: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, with the fingerprint of what was read in the place of each path: one text in two folders is one
    input, and two texts that were read at one path are two.

    settings: by dotted keys. fingerprints: of a record; a path whose content has none there stays.

    >>> by_content({"data.path": "/a/t.txt", "seed": 1}, {"corpus": "5e1f"})
    {'data.path': '5e1f', 'seed': 1}
    """
    items: Mapping[str, str] = fingerprints.get("benchmarks") or {}
    benchmarks = {f"evals.{name}.path": value for name, value in items.items()}
    prints = {"data.path": fingerprints.get("corpus"), "data.source": fingerprints.get("corpus"), **benchmarks}
    if settings.get("model.kind") != "suite":  # Of a suite it is a folder of several models: its seeds and variants.
        prints["model.path"] = fingerprints.get("base_weights")
    if settings.get("intervention.possessives") not in {"fit", "words"}:
        prints["intervention.possessives"] = fingerprints.get("possessives")
    return {k: value if value is None else prints.get(k) or value for k, value in settings.items()}


def equal_checkpoints(record: Mapping[str, Any]) -> list[list[str]]:
    """Names of the checkpoints of one training, the run's or the original's, whose weights are equal, group by group.

    A training changes its weights at every step, so one of the names is wrong (a known fault of hub mirrors), or the
    training changed nothing. record: with `plan` and `fingerprints`.
    """
    weights: Mapping[str, str] = record["fingerprints"].get("evaluated_weights") or {}
    base = f"step{record['plan'].get('start_step')}"
    own = [name for name in weights if not name.startswith("published_")]
    original = [name for name in weights if name == base or name.startswith("published_")]
    groups: list[list[str]] = []
    for training in (own, original):
        names_by_weights: dict[str, list[str]] = {}
        for name in training:
            names_by_weights.setdefault(weights[name], []).append(name)
        groups += [names for names in names_by_weights.values() if len(names) > 1]
    return groups


def without_home(value: Any) -> Any:
    """The same JSON value with ~ for the user's home at the beginning of a path, so that no user name is published.

    Only the beginning: /x/home/me/t.txt is another file than /x~/t.txt, and a program expands ~ nowhere else.
    """
    if isinstance(value, dict):
        return {key: without_home(item) for key, item in cast(dict[str, Any], value).items()}
    if isinstance(value, list):
        return [without_home(item) for item in cast(list[Any], value)]
    home = str(Path.home())
    if value == home:
        return "~"
    is_within = isinstance(value, str) and value.startswith(f"{home}{os.sep}")
    return f"~{value.removeprefix(home)}" if is_within else value


def write_no_results(run_dir: Path) -> None:
    """Writes a results.json without metrics, for a run that evaluates nothing."""
    write_json(run_dir / "results.json", {"schema": 1, "metrics": [], "published": []})


def write_record(run_dir: Path) -> None:
    """Writes record.json from the files of the stages."""
    write_json(run_dir / "record.json", gather(run_dir))


def gather(run_dir: Path) -> dict[str, Any]:
    """The content of record.json, gathered from the files of the stages."""

    def content(name: str) -> Any:
        return read_json(run_dir / name) if (run_dir / name).is_file() else None

    for name, form in (("results.json", ResultsForm), ("evals/fingerprints.json", FingerprintsForm)):
        if (run_dir / name).is_file():
            check_form(run_dir / name, form)
    settings, plan = content("settings.json"), content("plan.json")
    inputs: dict[str, Any] = content("inputs.json") or {}
    values: dict[str, Any] = {
        "schema": SCHEMA,
        "status": "complete",
        "arm": plan["arm"],
        "settings": without_home(settings),
        "plan": without_home(plan),
        "environment": content("environment.json"),
        "attempts": read_lines(run_dir / ATTEMPTS) if (run_dir / ATTEMPTS).is_file() else [],
        "stages": read_lines(run_dir / STAGES) if (run_dir / STAGES).is_file() else [],
        "fingerprints": {
            "settings": fingerprint({k: v for k, v in flatten(settings).items() if has_effect(k)}),
            "claims": fingerprint(settings.get("claims", [])),
            **inputs.get("fingerprints", {}),
            **(content("evals/fingerprints.json") or {}),
        },
        "training": content("training/summary.json"),
        "audit": content("audit.json"),
        "benchmarks": inputs.get("benchmarks"),
        "results": content("results.json"),
        "manipulation_check": content("manipulation_check.json"),
    }
    return {**values, "equal_checkpoints": equal_checkpoints(values)}
