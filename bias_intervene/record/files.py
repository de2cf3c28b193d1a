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
import stat
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

from bias_intervene.errors import RunDirectoryError
from bias_intervene.results import none_if_not_finite


def json_text(value: object, *, indent: int | None = 2) -> str:
    """JSON that every parser reads: a number that is not finite becomes null, because JSON knows no NaN.

    >>> json_text({"loss": float("nan")}, indent=None)
    '{"loss": null}'
    """
    try:
        return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(_with_null(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _with_null(value: Any) -> Any:
    """The same JSON value with None in place of every number that is not finite."""
    if isinstance(value, dict):
        return {key: _with_null(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_with_null(item) for item in cast("list[Any]", value)]
    return none_if_not_finite(value) if isinstance(value, float) else value


def write_json(path: Path, value: object) -> None:
    """Writes JSON atomically."""
    write_bytes(path, (json_text(value) + "\n").encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Writes `content` to a temporary file beside `path`, flushes it to disk and renames it to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not by tempfile, whose files nobody else may read: the user's umask decides.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def whole_folder(path: Path) -> Generator[Path]:
    """A temporary folder that is renamed to `path` if the block succeeds, and removed if it raises.

    A folder already at `path` is replaced. The name of the temporary folder is this call's own, also among processes.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    partial.mkdir(parents=True)
    try:
        yield partial
        settle_folder(partial, path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def settle_folder(partial: Path, path: Path) -> None:
    """Flushes every file below `partial` to disk and renames the folder to `path`.

    Files get the permissions of the user's umask: some libraries (safetensors) write files that nobody else may read.
    """
    mode = _mode_of_new_files(partial)
    for file in sorted(partial.rglob("*")):
        if file.is_file():
            if stat.S_IMODE(file.stat().st_mode) != mode:  # To set the same would count as a change of the file.
                file.chmod(mode)
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


def _mode_of_new_files(folder: Path) -> int:
    """Permissions of a file that is made in the folder. The umask itself cannot be read without setting it."""
    file = folder / f".{uuid.uuid4().hex[:8]}"
    file.touch()
    try:
        return stat.S_IMODE(file.stat().st_mode)
    finally:
        file.unlink()


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
        file.write(json_text(value, indent=None) + "\n")


def file_state(path: Path) -> list[int]:
    """[bytes, time of the last change in nanoseconds]: equal while nobody wrote to the file."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def exact_file_state(path: Path) -> list[int]:
    """`file_state`, and the time at which the system noted any change at all, which nobody can set back."""
    return [*file_state(path), path.stat().st_ctime_ns]


def sha256_of_file(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(value: object) -> str:
    """First 16 hex digits of the sha256 of a JSON value, keys sorted."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
