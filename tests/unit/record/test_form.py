"""What was written by hand, or by another version, is refused by file and key."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bias_intervene.analysis.records import read_record
from bias_intervene.errors import RunDirectoryError
from bias_intervene.record import gather, open_run, read_json, write_json
from tests.helpers.runs import made

DELETED = object()


def altered(folder: Path, key: str, value: Any) -> Path:
    """The record of a run in which one dotted key holds another value."""
    path = made(folder, "both", {"a": 1.0}) / "record.json"
    record = read_json(path)
    *parts, last = key.split(".")
    place = record
    for part in parts:
        place = place[int(part) if isinstance(place, list) else part]
    if value is DELETED:
        del place[last]
    else:
        place[last] = value
    path.write_text(json.dumps(record))
    return path


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("plan", [1], "plan: found [1]; allowed is an object"),
        ("plan.num_steps", "ten", "plan.num_steps: found 'ten'; allowed is a valid integer"),
        ("plan.start_step", True, "plan.start_step: found True; allowed is a valid integer"),
        ("plan.start_step", DELETED, "plan.start_step: missing"),
        ("results.metrics", {"a": 1}, "results.metrics: found {'a': 1}; allowed is a valid array"),
        ("results.metrics.0.value", "0.5", "results.metrics.0.value: found '0.5'; allowed is a valid number"),
        ("results.metrics.0.protocol", DELETED, "results.metrics.0.protocol: missing"),
        ("results.published", DELETED, "results.published: missing"),
        (
            "results.specs",
            [{"benchmark": "b", "metric": "m", "unit": "%"}],
            "results.specs.0.unit: found '%'; allowed is",
        ),
        ("settings.seed", "1", "settings.seed: found '1'; allowed is a valid integer"),
        (
            "settings.intervention.probability",
            [1],
            "settings.intervention.probability: found [1]; allowed is a valid nu",
        ),
        ("fingerprints.evaluated_weights", ["w"], "fingerprints.evaluated_weights: found ['w']; allowed is an object"),
        (
            "fingerprints.evaluations.crows_pairs",
            1,
            "fingerprints.evaluations.crows_pairs: found 1; allowed is an object",
        ),
        ("audit", {"num_swaps": "many"}, "audit.num_swaps: found 'many'; allowed is a valid integer"),
    ],
)
def test_the_file_the_key_what_was_found_and_what_is_allowed(tmp_path: Path, key: str, value: Any, said: str):
    path = altered(tmp_path, key, value)
    with pytest.raises(RunDirectoryError, match=re.escape(f"{path}: {said}")):
        read_record(path)


def test_many_faults_are_counted(tmp_path: Path):
    path = altered(tmp_path, "results.metrics", [{}])
    with pytest.raises(RunDirectoryError, match=r"results.metrics.0.protocol: missing.*; and 3 more\. It was edited"):
        read_record(path)


@pytest.mark.parametrize("depth", [300, 100_000])
def test_deep_nesting(tmp_path: Path, depth: int):
    path = made(tmp_path, "both", {"a": 1.0}) / "record.json"
    whole = path.read_text().rstrip()
    path.write_text(f'{whole[:-1]}, "deep": {"[" * depth}{"]" * depth}}}')
    with pytest.raises(RunDirectoryError, match=r"record.json: not JSON.*recursion"):
        read_record(path)


def test_a_number_of_too_many_digits(tmp_path: Path):
    path = altered(tmp_path, "plan.start_step", 0)
    path.write_text(path.read_text().replace('"start_step": 0', f'"start_step": {"9" * 5000}'))
    with pytest.raises(RunDirectoryError, match=r"record\.json: not JSON"):
        read_record(path)


def test_what_no_form_names_may_be_anything(tmp_path: Path):
    path = altered(tmp_path, "of_a_later_version", {"a": [1]})
    assert read_record(path)["of_a_later_version"] == {"a": [1]}


def test_results_json_is_checked_before_it_enters_the_record(tmp_path: Path):
    write_json(tmp_path / "results.json", {"schema": 1, "metrics": [{"step": "10"}], "published": []})
    with pytest.raises(RunDirectoryError, match=r"results.json: metrics.0.protocol: missing"):
        gather(tmp_path)


@pytest.mark.parametrize("name", ["settings.json", "plan.json"])
def test_a_run_does_not_go_on_from_files_that_are_not_ours(tmp_path: Path, name: str):
    write_json(tmp_path / "settings.json", {"seed": 1})
    (tmp_path / "training").mkdir()
    write_json(tmp_path / name, [1])
    message = re.escape(f"{tmp_path}/{name}: the whole: found [1]; allowed is an object")
    with pytest.raises(RunDirectoryError, match=message), open_run(tmp_path, settings={"seed": 1}, plan={}):
        pass
