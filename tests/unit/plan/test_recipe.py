"""The recipe "Add a suite of models" of bias_intervene/README.md, followed in a copy of the code: one file."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.mutations.__main__ import copy_code

TOY = """\
# @package _global_
# A toy suite of one size, in English and in French.
defaults:
  - override /data: text
  - override /train: continue
  - override /evals: paper
  - _self_

train:
  sequence_length: 64
  global_batch_rows: 32
  schedule: original
  learning_rate: null

model:
  kind: suite
  suite: toy
  name: 1m
  language: en
  step: null
  path: null
  default_fraction: 0.1
  facts:
    options: {language: Language of its text.}
    sizes:
      1m: {peak_learning_rate: 2.0e-3}
    models:
      - {repository: "toys/toy-{name}", where: {language: [en]}}
      - {repository: "toys/toy-{name}-{language}", where: {language: [fr]}}
    revision: ckpt-{step}
    steps: [0, 7, {first: 100, last: 1000, every: 100}]
    total_steps: 1000
    batch_rows: 32
    sequence_length: 64
    schedule: {form: neox_cosine, warmup_steps: 10, minimum_ratio: 0.0}
"""
PRINT_PLAN = """
import json, sys
from bias_intervene.errors import PlanError
from bias_intervene.run.planning import plan_of
from bias_intervene.settings import known_keys
from tests.conftest import composed
assert "model.language" in known_keys()
try:
    print(json.dumps(plan_of(composed(*sys.argv[1:])).to_json()))
except PlanError as error:
    print(json.dumps({"error": str(error)}))
"""


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code with the toy suite."""
    code = tmp_path_factory.mktemp("code")
    copy_code(code)
    (code / "conf" / "model" / "toy_1m.yaml").write_text(TOY, encoding="utf8")
    return code


def plan(code: Path, *overrides: str) -> dict:
    """The plan of a run of the toy suite, or its error in place of the plan."""
    done = subprocess.run(
        [sys.executable, "-c", PRINT_PLAN, "model=toy_1m", "data.path=x", *overrides], cwd=code,
        env={**os.environ, "PYTHONPATH": str(code)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_a_suite_is_a_file_and_a_line(code: Path):
    made = plan(code)
    assert (made["repository"], made["revision"]) == ("toys/toy-1m", "ckpt-900")
    assert (made["start_step"], made["num_steps"], made["tokens"]) == (900, 100, 100 * 32 * 64)
    assert (made["schedule"]["peak"], made["schedule"]["minimum"], made["schedule"]["total_steps"]) == (2e-3, 0.0, 1000)
    # Left out: its shape, its rows and its optimizer states.
    assert made["memory_gib_by_zero_stage"] is None
    assert any("not the ones the original training read" in note for note in made["notes"])
    assert any("optimizer states were not published" in note for note in made["notes"])


def test_its_option_chooses_the_repository(code: Path):
    assert plan(code, "model.language=fr")["repository"] == "toys/toy-1m-fr"
    assert plan(code, "model.language=de")["error"] == (
        "model.name=1m, model.language=de: no such model of toy was published; with the rest as it is there are "
        "model.language=en or model.language=fr"
    )


def test_the_readme_names_the_files_that_are_touched():
    readme = (REPOSITORY / "bias_intervene" / "README.md").read_text(encoding="utf8")
    recipe = readme.split("## Add a suite of models")[1].split("\n## ")[0]
    steps = re.findall(r"^\d\. `([^`]+)`", recipe, flags=re.MULTILINE)
    assert steps == ["conf/model/NAME.yaml", "conf/README.md"]
