"""The state of a sweep is read off its directories."""

import json
import re
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


def test_values_that_differ_in_what_a_name_does_not_keep_have_directories_of_their_own(tmp_path: Path):
    jobs = [["a=x/y"], ["a=x.y"], ["a=x y"]]
    first, *others = sweeps.claim(tmp_path, jobs) and [sweeps.directory_in(tmp_path, job) for job in jobs]
    assert first == "a-x.y"
    assert all(name.startswith("a-x.y-") for name in others)
    assert len({first, *others}) == 3
    assert sweeps.claim(tmp_path, jobs[1:]) == set(others)


@pytest.mark.parametrize("jobs", [[["a=1"], ["a=1"]], [["a=0.3"], ["a=0.30000000000000004"]]])
def test_a_job_given_twice_is_refused(tmp_path: Path, jobs: list[list[str]]):
    with pytest.raises(RunDirectoryError, match=r"two jobs of the sweep are the same, a-\S+; give each value once"):
        sweeps.claim(tmp_path, jobs)


def test_a_directory_of_an_earlier_version_is_found_by_its_overrides(tmp_path: Path):
    """Names had all digits of a float."""
    job = {"directory": "p-0.30000000000000004", "overrides": ["p=0.30000000000000004"]}
    (tmp_path / "sweep.json").write_text(json.dumps({"jobs": [job]}))
    assert sweeps.claim(tmp_path, [["p=0.3"]]) == {"p-0.30000000000000004"}


def test_how_often_to_look(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--every", "-1"])
    assert "--every -1: from 0.1 to 86400 seconds" in capsys.readouterr().err


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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "the whole: found []; allowed is an object"),
        ('{"jobs": {}}', "jobs: found {}; allowed is a valid array"),
        ('{"jobs": [{"directory": "a"}]}', "jobs.0.overrides: missing"),
        ('{"jobs": [{"directory": 1, "overrides": []}]}', "jobs.0.directory: found 1; allowed is a valid string"),
        ('{"jobs": ' + "[" * 5000 + "]" * 5000 + "}", "not JSON that can be read"),
    ],
)
def test_a_sweep_json_that_is_not_ours_is_named(tmp_path: Path, text: str, said: str):
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(RunDirectoryError, match=re.escape(f"{tmp_path}/sweep.json: {said}")):
        sweeps.refresh(tmp_path)
