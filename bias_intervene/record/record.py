"""The record from which a run can be repeated and compared.

Enters: what the stages left in a run directory. Leaves: record.json, written last, so its presence means complete.
Promised: nothing of the environment but versions and hardware is kept, no variables, no user names.
"""

import contextlib
import os
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from bias_intervene.errors import RunDirectoryError, StageError
from bias_intervene.record.environment import describe_environment
from bias_intervene.record.files import fingerprint, read_json, read_lines, write_json

SCHEMA = 2
STAGES = "stages.jsonl"
"""One line an attempt at a stage: when, for how long, how it ended, the GPUs' energy."""
# What may differ between a run and its continuation in the same directory without making it another run.
WITHOUT_EFFECT = (
    "dry_run", "cache_dir", "tracking", "experiment", "sweep", "objective", "train.keep_resumable", "train.on_damaged",
)  # fmt: skip


def is_complete(run_dir: Path) -> bool:
    """True where a record stands."""
    return (run_dir / "record.json").is_file()


def is_complete_run_of(run_dir: Path, settings: dict[str, Any]) -> bool:
    """True where a record stands and its settings are these, as far as they have an effect."""
    return is_complete(run_dir) and not differences(read_json(run_dir / "settings.json"), settings)


@contextlib.contextmanager
def open_run(run_dir: Path, *, settings: dict[str, Any], plan: dict[str, Any]) -> Generator[None]:
    """A directory opened for a run: settings.json, plan.json and environment.json stand in it within the block.

    Starting again with the same settings continues. Raises `RunDirectoryError` for a complete directory and for one
    of other settings, naming the keys. A block that ends by a `StageError` before inputs.json is written, which is
    before any work, takes away what this call wrote.
    """
    if is_complete(run_dir):
        raise RunDirectoryError(
            f"{run_dir}: holds a complete run; nothing was done. Compare it with `python -m bias_intervene.compare "
            f"{run_dir}`, or choose another directory with hydra.run.dir=..."
        )
    is_continued = (run_dir / "settings.json").is_file()
    if is_continued:
        differing = differences(read_json(run_dir / "settings.json"), settings)
        if differing:
            raise RunDirectoryError(
                f"{run_dir}: holds an unfinished run of other settings: {'; '.join(differing)}. Use its settings to "
                "continue it, or choose another directory with hydra.run.dir=..."
            )
        # Settings without an effect may differ; the new ones hold from now on.
        write_json(run_dir / "settings.json", settings)
    else:
        write_json(run_dir / "settings.json", settings)
        write_json(run_dir / "plan.json", plan)
        write_json(run_dir / "environment.json", describe_environment())
    try:
        yield
    except StageError:
        if not is_continued and not (run_dir / "inputs.json").is_file():
            for name in ("settings.json", "plan.json", "environment.json", STAGES):
                (run_dir / name).unlink(missing_ok=True)
        raise


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Lines "key: before -> after" for every dotted key that has an effect and differs."""
    flat_before, flat_after = flatten(before), flatten(after)
    return [
        f"{key}: {flat_before.get(key)!r} -> {flat_after.get(key)!r}"
        for key in sorted({*flat_before, *flat_after})
        if has_effect(key) and flat_before.get(key) != flat_after.get(key)
    ]


def has_effect(key: str) -> bool:
    """Whether another value of a dotted key makes another run."""
    return not any(key == name or key.startswith(f"{name}.") for name in WITHOUT_EFFECT)


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one with dotted keys.

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


def without_home(value: Any) -> Any:
    """The same JSON, the user's home written as ~ wherever a string names it, so that no user's name is published."""
    if isinstance(value, dict):
        return {key: without_home(one) for key, one in value.items()}
    if isinstance(value, list):
        return [without_home(one) for one in value]
    home = str(Path.home())
    if value == home:
        return "~"
    return value.replace(f"{home}{os.sep}", f"~{os.sep}") if isinstance(value, str) else value


def write_no_results(run_dir: Path) -> None:
    """results.json without a metric: nothing was to be scored."""
    write_json(run_dir / "results.json", {"schema": 1, "metrics": [], "published": []})


def write_record(run_dir: Path) -> None:
    """Gathers what the stages left into record.json."""
    write_json(run_dir / "record.json", gather(run_dir))


def gather(run_dir: Path) -> dict[str, Any]:
    """What the stages left."""

    def part(name: str) -> Any:
        return read_json(run_dir / name) if (run_dir / name).is_file() else None

    settings, plan = part("settings.json"), part("plan.json")
    inputs = part("inputs.json") or {}
    return {
        "schema": SCHEMA,
        "status": "complete",
        "arm": plan["arm"],
        "settings": without_home(settings),
        "plan": without_home(plan),
        "environment": part("environment.json"),
        "stages": read_lines(run_dir / STAGES) if (run_dir / STAGES).is_file() else [],
        "fingerprints": {
            "settings": fingerprint({k: v for k, v in flatten(settings).items() if has_effect(k)}),
            **inputs.get("fingerprints", {}),
            **(part("evals/fingerprints.json") or {}),
        },
        "training": part("training/summary.json"),
        "audit": part("audit.json"),
        "benchmarks": inputs.get("benchmarks"),
        "results": part("results.json"),
        "manipulation_check": part("manipulation_check.json"),
    }
