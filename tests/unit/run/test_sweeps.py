"""The state of a sweep is read off its directories."""

import json
from pathlib import Path

import pytest

from bias_intervene.errors import RunDirectoryError
from bias_intervene.run import lock, sweeps
from bias_intervene.sweep import main


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["model=70m", "intervention.fraction=0.07"], "intervention.fraction-0.07_model-70m"),
        (["seed=1", "cache_dir=/x", "sweep=a", "dry_run=false"], "seed-1"),
        (["data.path=/a/b c"], "data.path-.a.b.c"),
        (["intervention.probability=0.30000000000000004"], "intervention.probability-0.3"),
        ([], "run"),
    ],
)
def test_a_directory_is_named_by_its_overrides(overrides: list[str], name: str):
    assert sweeps.directory_name(overrides) == name


def test_a_long_name_is_cut_and_stays_its_own():
    first, second = (sweeps.directory_name([f"data.path={'x' * 300}", f"seed={seed}"]) for seed in (1, 2))
    assert first != second
    assert len(first) == len(second) == sweeps.LONGEST_NAME


def test_states(tmp_path: Path):
    sweeps.claim(tmp_path, [[f"seed={seed}"] for seed in range(5)])
    for seed, name in {0: "record.json", 1: "settings.json", 2: "settings.json"}.items():
        (tmp_path / f"seed-{seed}").mkdir()
        (tmp_path / f"seed-{seed}" / name).write_text("{}")
    sweeps.fail(tmp_path / "seed-2", "no such step")
    with lock.held(tmp_path / "seed-3"):
        found = sweeps.refresh(tmp_path)
    assert [job.status for job in found] == ["complete", "interrupted", "failed", "running", "waiting"]
    assert found[2].message == "no such step"
    assert json.loads((tmp_path / "sweep.json").read_text())["counts"]["waiting"] == 1
    assert [job.status for job in sweeps.refresh(tmp_path)][3] == "waiting"
    assert main([str(tmp_path)]) == 1


def test_a_sweep_is_repeated_extended_or_repeated_in_part_and_nothing_else(tmp_path: Path):
    sweeps.claim(tmp_path, [["a=1"], ["a=2"]])
    sweeps.claim(tmp_path, [["a=2"]])
    sweeps.claim(tmp_path, [["a=1"], ["a=2"], ["a=3"]])
    assert [job["directory"] for job in sweeps.read(tmp_path)["jobs"]] == ["a-1", "a-2", "a-3"]
    with pytest.raises(
        RunDirectoryError, match='holds other jobs, "a=1", "a=2", "a=3", and was asked for "a=3", "a=4"'
    ):
        sweeps.claim(tmp_path, [["a=3"], ["a=4"]])


def test_two_jobs_of_one_directory_are_refused(tmp_path: Path):
    with pytest.raises(RunDirectoryError, match=r"two jobs of the sweep would be written into a-b\.c"):
        sweeps.claim(tmp_path, [["a=b/c"], ["a=b c"]])


def test_no_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(tmp_path)]) == 1
    assert "no sweep.json in it" in capsys.readouterr().err


def test_a_directory_is_held_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lock, "PATIENCE_SECONDS", 0.01)
    with lock.held(tmp_path), pytest.raises(RunDirectoryError, match="in use by process"), lock.held(tmp_path):
        pass
    with lock.held(tmp_path):
        assert lock.is_held(tmp_path)
    assert not lock.is_held(tmp_path)
