"""Files that appear whole or not at all, and fingerprints of their content.

Enters: values and folders. Leaves: files. Promised: a file written here is there whole or not at all (temporary name,
fsync, rename), also after kill -9 or on a full disk; a fingerprint depends on content only.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bias_intervene.errors import RunDirectoryError


def write_json(path: Path, value: object) -> None:
    """Writes JSON whole or not at all."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Writes `content` to a temporary file beside `path`, forces it to disk and renames it."""
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
def whole_folder(path: Path) -> Iterator[Path]:
    """A temporary folder that becomes `path` when the block ends well, and vanishes when it does not.

    A folder already at `path` is replaced; one left by a killed process is cleared on the next attempt.
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
    """Forces every file below `partial` to disk and renames the folder to `path`."""
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
    """JSON of `path`. Raises `RunDirectoryError` naming the file when it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RunDirectoryError(f"{path}: not JSON ({error}); it was not written by a run of ours") from None


def read_lines(path: Path) -> list[Any]:
    """JSON lines of `path`, but for a last one that was cut by a kill."""
    values: list[Any] = []
    for line in path.read_text(encoding="utf8").splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            values.append(json.loads(line))
    return values


def append_line(path: Path, value: object) -> None:
    """Adds a line of JSON."""
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
