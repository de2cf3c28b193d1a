"""The README is true: its commands are run by a test or by CI, its options exist."""

import re
import shlex

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from bias_intervene import calibrate, compare, preview
from bias_intervene.app import overrides
from bias_intervene.data.__main__ import parsers
from bias_intervene.interventions.lexicon import DIRECTIONS
from bias_intervene.plan import make_plan
from tests.conftest import REPOSITORY, composed
from tests.helpers.seeds import faults_of_seeds

README = (REPOSITORY / "README.md").read_text(encoding="utf8")
COMMANDS = [
    line.strip()
    for block in re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
    if line.strip() and not line.startswith("#")
]


def test_the_set_up_is_what_ci_runs():
    assert "pip install -e . && python -m bias_intervene experiment=demo" in COMMANDS
    assert 'pip install -e ".[test]" && pytest' in COMMANDS
    ci = (REPOSITORY / ".ci" / "run").read_text()
    assert "pip install --quiet -e .\n" in ci
    assert "python -m bias_intervene experiment=demo" in ci
    assert 'pip install --quiet -e ".[test]"' in ci
    assert ci.rstrip().endswith("pytest --all")


RUNS = [
    # The last quote of `--wrap "srun ..."` is not the run's.
    shlex.split(found[1].removesuffix('"') if found[1].count('"') % 2 else found[1])
    for command in COMMANDS
    if (found := re.search(r"-m bias_intervene ([^#]*)", command.split("pip install -e . &&")[-1]))
]


@pytest.mark.parametrize("words", RUNS, ids=" ".join)
def test_its_runs_can_be_planned(words: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BIAS_INTERVENE_DATA", "/data")
    """Keys exist, the whole composes, and every job of a sweep has a plan."""
    given = [w for w in words if "=" in w]
    assert overrides.faults_of_overrides(given) == []
    ours = [w for w in given if not w.startswith("hydra")]
    for job in jobs(["intervention=none,masculine_to_feminine", *ours]):
        make_plan(composed(*job))


@pytest.mark.parametrize("words", [w for w in RUNS if any(word.startswith("seed=") for word in w)], ids=" ".join)
def test_the_seeds_of_its_sweeps_are_replicates(words: list[str]):
    given = [word for word in words if "=" in word and not word.startswith("hydra")]
    assert faults_of_seeds(*given) == []


def jobs(words: list[str]) -> list[list[str]]:
    """What Hydra makes of a sweep; of a search, its first value."""
    plain = [re.sub(r"interval\(([^,]*),.*", r"\1", word) for word in words]
    return BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(plain), None)[0]


@pytest.mark.parametrize("command", [c for c in COMMANDS if "bias_intervene.compare" in c])
def test_compare_takes_its_options(command: str):
    words = shlex.split(command.split("#")[0])
    asked = compare.parser().parse_args(words[words.index("bias_intervene.compare") + 1 :])
    assert asked.folders


@pytest.mark.parametrize("command", [c for c in COMMANDS if "bias_intervene.calibrate" in c])
def test_calibrate_takes_its_options(command: str):
    words = shlex.split(command.split("#")[0])
    assert calibrate.parser().parse_args(words[words.index("bias_intervene.calibrate") + 1 :]).folders


@pytest.mark.parametrize("preset", re.findall(r"^\| `experiment=(\w+)`", README, flags=re.MULTILINE))
def test_presets_exist(preset: str):
    assert preset in overrides.options("experiment")


def test_every_preset_is_named():
    assert [name for name in overrides.options("experiment") if f"{name}`" not in README] == []


@pytest.mark.parametrize("command", [c for c in COMMANDS if "bias_intervene.preview" in c])
def test_preview_takes_its_options(command: str):
    words = shlex.split(command.split("#")[0])
    given = [w for w in words[words.index("bias_intervene.preview") + 1 :] if "=" in w or w.startswith("--")]
    asked = preview.parse([w for w in given if not w.startswith("tokenizer=")])
    assert asked.intervention.name in DIRECTIONS


@pytest.mark.parametrize("command", [c for c in COMMANDS if "bias_intervene.data" in c])
def test_data_takes_its_options(command: str):
    words = shlex.split(command)
    assert callable(parsers().parse_args(words[words.index("bias_intervene.data") + 1 :]).run)


def test_every_file_it_names_in_the_repository_exists():
    for name in re.findall(r"\]\((?!http|#)([^)]+)\)", README):
        assert (REPOSITORY / name).exists(), name
