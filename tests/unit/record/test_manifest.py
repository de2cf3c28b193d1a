"""Folders that are used only as they were written, and entries of the cache that are made once."""

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bias_intervene import record


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "step20"
    (folder / "resume").mkdir(parents=True)
    for name in ("model.safetensors", "resume/optimizer.bin"):
        (folder / name).write_text("1")
    record.write_manifest(folder, step=20)
    return folder


def test_a_file_that_is_not_as_it_was_written_is_named(checkpoint: Path):
    assert record.first_altered(checkpoint) is None
    (checkpoint / "resume" / "optimizer.bin").unlink()
    assert record.first_altered(checkpoint) == checkpoint / "resume" / "optimizer.bin"
    assert record.first_altered(checkpoint, without="resume/") is None
    (checkpoint / "model.safetensors").write_text("2")
    assert record.first_altered(checkpoint, without="resume/") == checkpoint / "model.safetensors"


@pytest.mark.parametrize("content", [None, "{half", "[1]", '{"name": "somebody else\'s"}'])
def test_without_a_manifest_of_ours_it_is_the_manifest(checkpoint: Path, content: str | None):
    manifest = checkpoint / "manifest.json"
    manifest.unlink()
    if content is not None:
        manifest.write_text(content)
    assert record.first_altered(checkpoint) == manifest
    assert not record.is_as_made(checkpoint)


def made(folder: Path, content: str = "rows") -> bool:
    """Whether this call made the entry."""
    with record.made_once(folder) as partial:
        if partial is not None:
            (partial / "rows.bin").write_text(content)
    return partial is not None


def test_an_entry_is_made_once(tmp_path: Path):
    entry = tmp_path / "corpora" / "5e1f"
    assert made(entry)
    assert not made(entry)
    assert (entry / "rows.bin").read_text() == "rows"


def test_jobs_at_the_same_time_make_it_once(tmp_path: Path):
    def make_slowly(_: int) -> bool:
        with record.made_once(tmp_path / "5e1f") as partial:
            if partial is not None:
                time.sleep(0.1)
                (partial / "rows.bin").write_text("rows")
        return partial is not None

    with ThreadPoolExecutor(4) as jobs:
        assert sorted(jobs.map(make_slowly, range(4))) == [False, False, False, True]


def test_an_entry_that_was_altered_is_made_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Also where its size and the time of its content are those it had."""
    rows = tmp_path / "5e1f" / "rows.bin"
    assert made(rows.parent)
    times = rows.stat().st_atime_ns, rows.stat().st_mtime_ns
    time.sleep(0.02)  # The system's clock of files goes in steps of some milliseconds.
    rows.write_text("swor")
    os.utime(rows, ns=times)
    assert made(rows.parent)
    assert rows.read_text() == "rows"
    assert f"{rows.parent}: altered since it was made" in capsys.readouterr().err


def test_what_nobody_wrote_to_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Forty gigabytes of rows are hashed when they are made, and not at every start."""
    made(tmp_path / "5e1f")
    monkeypatch.setattr("bias_intervene.record.manifest.sha256_of_file", lambda _: pytest.fail("read again"))
    assert not made(tmp_path / "5e1f")


def test_a_copied_cache_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made(tmp_path / "5e1f")
    shutil.copytree(tmp_path / "5e1f", tmp_path / "copy" / "5e1f", copy_function=shutil.copyfile)
    assert not made(tmp_path / "copy" / "5e1f")
    monkeypatch.setattr("bias_intervene.record.manifest.sha256_of_file", lambda _: pytest.fail("hashed twice"))
    assert not made(tmp_path / "copy" / "5e1f")


def test_what_a_killed_process_left_is_removed(tmp_path: Path):
    (tmp_path / ".5e1f.0a1b2c3d.partial").mkdir()
    (tmp_path / "5e1f").mkdir()
    (tmp_path / "5e1f" / "rows.bin").write_text("of an earlier version, without a manifest")
    assert made(tmp_path / "5e1f")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["5e1f", "5e1f.lock"]
