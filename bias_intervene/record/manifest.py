"""Folders that are written once and read later: a manifest says what was written, a lock that one process writes.

Input: a folder. Output: manifest.json in it, with the sha256 of every file; on reading, the first file that is not as
it was written. Guarantees: a checkpoint, or an entry of the cache, is used only as it was written; processes that need
the same entry at the same time wait for the first one to make it, and one that is killed leaves nothing they could use.

A checkpoint is hashed whole whenever it is about to be used. Rows can take tens of gigabytes, so for an entry of the
cache the manifest also keeps the size and the times of each file: while these are the same, nobody wrote to it. A file
with others (in a copied cache, for example) is hashed once. Of the two times one is set by the system at every change,
and nobody can set it back.
"""

import contextlib
import shutil
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

from filelock import FileLock

from bias_intervene.errors import RunDirectoryError
from bias_intervene.record.files import exact_file_state, read_json, sha256_of_file, whole_folder, write_json

_MANIFEST = "manifest.json"


def write_manifest(folder: Path, **facts: object) -> None:
    """Lists every file below `folder` with its sha256, after the given facts."""
    write_json(folder / _MANIFEST, {**facts, "files": {name: sha256_of_file(folder / name) for name in _names(folder)}})


def _names(folder: Path) -> list[str]:
    """Every file below `folder` but its manifest."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path != folder / _MANIFEST]
    return sorted(str(path.relative_to(folder)) for path in paths)


def first_altered(folder: Path, *, without: str | None = None) -> Path | None:
    """The first file that is missing or not as the manifest says; None if there is none.

    without: files whose name begins so are not looked at. Where there is no manifest of ours, it is the manifest.
    """
    manifest = _read(folder)
    if manifest is None:
        return folder / _MANIFEST
    for name, digest in manifest["files"].items():
        path = folder / name
        if not (without and name.startswith(without)) and not (path.is_file() and sha256_of_file(path) == digest):
            return path
    return None


def _read(folder: Path) -> dict[str, Any] | None:
    """The manifest of a folder; None if there is none, or none of ours."""
    try:
        manifest = read_json(folder / _MANIFEST)
    except (FileNotFoundError, RunDirectoryError):
        return None
    return manifest if isinstance(manifest, dict) and isinstance(manifest.get("files"), dict) else None


@contextlib.contextmanager
def made_once(folder: Path) -> Generator[Path | None]:
    """Within the block a temporary folder to fill, which becomes `folder`; None if `folder` is there, as it was made.

    An entry that somebody altered, or that has no manifest because an earlier version made it, is made anew.
    """
    if is_as_made(folder):
        yield None
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if is_as_made(folder):  # Another process made it while this one waited.
            yield None
            return
        if (folder / _MANIFEST).is_file():
            print(f"{folder}: altered since it was made; it is made anew", file=sys.stderr)
        for left_by_a_kill in folder.parent.glob(f".{folder.name}.*partial"):
            shutil.rmtree(left_by_a_kill, ignore_errors=True)
        with whole_folder(folder) as partial:
            yield partial
            keep_as_made(partial)


def keep_as_made(folder: Path) -> None:
    """Writes the manifest of an entry of the cache."""
    write_manifest(folder, states={name: exact_file_state(folder / name) for name in _names(folder)})


def is_as_made(folder: Path) -> bool:
    """Whether an entry of the cache is there, and as it was made."""
    manifest = _read(folder)
    if manifest is None or not all((folder / name).is_file() for name in manifest["files"]):
        return False
    states = {name: exact_file_state(folder / name) for name in manifest["files"]}
    if states == manifest.get("states"):
        return True
    if first_altered(folder) is not None:
        return False
    with contextlib.suppress(OSError):  # A cache that is not ours to write to is hashed again the next time.
        write_json(folder / _MANIFEST, {**manifest, "states": states})
    return True
