"""A run from its record."""

import json
import shutil
from pathlib import Path

import pytest

from bias_intervene.record import write_json
from tests.helpers.forked import run_forked
from tests.helpers.whole_runs import arm

pytestmark = pytest.mark.slow


def test_a_run_again_is_identical_and_compare_says_so(tmp_path: Path, cache: Path, sweep: Path):
    first = arm(sweep, "masculine_to_feminine")
    # Another cache: nothing of the first run's pretraining and evaluation is found again.
    done = run_forked(
        str(first), "--output", "again", "--cache-dir", str(tmp_path / "other"), module="bias_intervene.rerun",
        cwd=tmp_path, cache=cache,
    )  # fmt: skip
    # Of the base, of this run and of the published end of the training.
    assert "identical: the weights of 3 checkpoints" in done.stdout
    assert "differs since then" not in done.stdout
    compared = run_forked(str(first), "again", module="bias_intervene.compare", cwd=tmp_path, cache=cache)
    assert "The two are identical" in compared.stdout
    stages = json.loads((tmp_path / "again" / "record.json").read_text())["stages"]
    assert [(stage["stage"], stage["outcome"]) for stage in stages] == [
        ("prepare", "done"), ("train", "done"), ("evaluate", "done")
    ]  # fmt: skip

    # A record of another time: what differs is said, and the end is not called identical.
    old = tmp_path / "old"
    shutil.copytree(first, old)
    record = json.loads((old / "record.json").read_text())
    record["environment"]["packages"]["torch"] = "1.0"
    record["fingerprints"]["corpus"] = "another"
    write_json(old / "record.json", record)
    done = run_forked(str(old), "--output", "third", module="bias_intervene.rerun", cwd=tmp_path, cache=cache, check=3)
    assert "differs since then: packages.torch: '1.0' -> " in done.stdout
    assert "not identical: input corpus" in done.stdout


def test_no_record(tmp_path: Path, cache: Path):
    done = run_forked(str(tmp_path), module="bias_intervene.rerun", cwd=tmp_path, cache=cache, check=1)
    assert "no record.json in it" in done.stderr
