"""The inputs of a run stay those it began with: from stage to stage, and from one attempt to the next.

Input: inputs.json, as an earlier attempt or the stage `prepare` left it, and what is there now. Output: nothing, or a
refusal that names what differs. Guarantees: no run trains partly on one text, or from one set of weights, and partly on
another, while its record names one of them.

`prepare` computes every fingerprint anew at every start, and compares them with those of the earlier attempt. Of the
Pile's rows in a folder of the user's it hashes a sample, so there the size and the time of each file count too. The
later stages start minutes after it. Weights and rows are too large to be hashed again for them, so they compare the
size and the time of the last change of each file that `prepare` read; benchmark items are small, and are compared by
content.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bias_intervene.errors import DataError, RunDirectoryError
from bias_intervene.record import file_state, flatten, read_json

_NOT_READ = {"manifest.json"}
"""Files of a checkpoint that change without its weights: the manifest, when a newer checkpoint replaces this one."""


def check_as_begun(run_dir: Path, inputs: Mapping[str, Any]) -> None:
    """Raises `RunDirectoryError` where the run began with other inputs than `inputs`, which `prepare` found now."""
    path = run_dir / "inputs.json"
    if not path.is_file():
        if (run_dir / "training").is_dir():
            raise RunDirectoryError(
                f"{path}: missing, though the run has begun to train, so that what it began with is not known; "
                "begin anew in another directory with hydra.run.dir=..."
            )
        return
    begun = read_json(path)
    if not (isinstance(begun, dict) and isinstance(begun.get("fingerprints"), dict)):
        raise RunDirectoryError(
            f"{path}: no fingerprints in it, so that what the run began with is not known; begin anew in another "
            "directory with hydra.run.dir=..."
        )
    before, now = _fingerprints(begun), _fingerprints(inputs)
    places = {
        "base_weights": inputs["base"],
        "architecture": inputs["base"],
        "tokenizer": inputs["tokenizer"],
        "corpus": inputs["fingerprints"].get("corpus_source") or inputs["world"],
    }
    differing = [
        f"{name}{f' ({places[name]})' if places.get(name) else ''}: {before[name]} -> {now[name]}"
        for name in before
        if name in now and before[name] != now[name]
    ]
    differing += [
        f"{name}: written to since (too large to be hashed; give it back its time if its content is the same)"
        for name in inputs["sampled"]
        if name in begun.get("files", {}) and begun["files"][name] != inputs["files"][name]
    ]
    if differing:
        raise RunDirectoryError(
            f"{run_dir}: this run began with other inputs than are there now: {'; '.join(differing)}. "
            "Put them back as they were, or begin anew in another directory with hydra.run.dir=..."
        )


def _fingerprints(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Those of inputs.json by name; earlier versions wrote none of the architecture."""
    architecture = {"architecture": inputs["architecture"]} if inputs.get("architecture") else {}
    return flatten(inputs["fingerprints"]) | architecture


def states_of(paths: Iterable[Path]) -> dict[str, list[int]]:
    """Path -> state of every file of `paths`; of a folder, those that lie directly in it."""
    files = [file for path in paths for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    return {str(file): file_state(file) for file in files if file.is_file() and file.name not in _NOT_READ}


def check_unchanged(inputs: Mapping[str, Any]) -> None:
    """Raises `DataError` naming a file that was changed since `prepare` read it.

    On the first rank, which runs where `prepare` did: copies on other machines have times of their own.
    """
    if os.environ.get("RANK", "0") != "0":
        return
    for name, state in inputs["files"].items():
        path = Path(name)
        if not path.is_file() or file_state(path) != state:
            raise DataError(
                f"{path}: {'changed' if path.is_file() else 'gone'} since the stage prepare read it; the same command "
                "reads it again, and continues if its content is the same"
            )


def check_items(inputs: Mapping[str, Any], fingerprints: Mapping[str, str]) -> None:
    """Raises `DataError` naming a benchmark whose items are not those that `prepare` read."""
    before = inputs["fingerprints"]["benchmarks"]
    for name, found in fingerprints.items():
        if before[name] != found:
            raise DataError(
                f"items of {name}: changed since the stage prepare read them (fingerprint {before[name]} -> {found}); "
                "put them back as they were, or begin anew in another directory with hydra.run.dir=..."
            )
