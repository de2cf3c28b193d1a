"""Atomic writing of files and folders, and fingerprints of content.

Input: values and folders.
Output: files.
Guarantees: a file or folder written here is complete or absent (temporary name, fsync, rename), also after kill -9 or
on a full disk. A fingerprint depends on content only, never on a path or a time.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

from bias_intervene.errors import RunDirectoryError


def write_json(path: Path, value: object) -> None:
    """Writes JSON atomically."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Writes `content` to a temporary file beside `path`, flushes it to disk and renames it to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def whole_folder(path: Path) -> Generator[Path]:
    """A temporary folder that is renamed to `path` if the block succeeds, and removed if it raises.

    A folder already at `path` is replaced. A temporary folder left by a killed process is removed by the next attempt.
    """
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        settle_folder(partial, path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def settle_folder(partial: Path, path: Path) -> None:
    """Flushes every file below `partial` to disk and renames the folder to `path`."""
    for file in sorted(partial.rglob("*")):
        if file.is_file():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
    if path.exists():
        shutil.rmtree(path)
    partial.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_json(path: Path) -> Any:
    """The JSON value in `path`. Raises `RunDirectoryError` naming the file if it is not JSON, or nested too deeply."""
    try:
        return json.loads(path.read_text(encoding="utf8"))
    # ValueError: no JSON, no UTF-8, or a number of more digits than Python reads.
    except (ValueError, RecursionError) as error:
        raise RunDirectoryError(f"{path}: not JSON ({error}); it was not written by a run of ours") from None


def read_lines(path: Path) -> list[Any]:
    """The values of a JSON lines file, without a last line that was cut off by a kill."""
    values: list[Any] = []
    for line in path.read_text(encoding="utf8", errors="replace").splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            values.append(json.loads(line))
    return values


def append_line(path: Path, value: object) -> None:
    """Appends one line of JSON."""
    with path.open("a", encoding="utf8") as file:
        file.write(json.dumps(value) + "\n")


def sha256_of_file(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(value: object) -> str:
    """First 16 hex digits of the sha256 of a JSON value, keys sorted."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
