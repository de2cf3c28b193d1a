"""The command line, in this process: keys, options, presets, names."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from bias_intervene.app import overrides
from bias_intervene.app.overrides import jobs_of_grids
from bias_intervene.errors import PlanError, SettingsError
from bias_intervene.plan import make_plan
from bias_intervene.settings import conf_dir, read_intervention
from tests.conftest import REPOSITORY, composed

CONF = Path(conf_dir())


@pytest.mark.parametrize("path", sorted(CONF.glob("*/[!_]*.yaml")), ids=lambda p: f"{p.parent.name}={p.stem}")
def test_every_shipped_option_composes(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BIAS_INTERVENE_DATA", "/data")
    group, option = path.parent.name, path.stem
    more = {
        "model": {"local": ["model.path=x"], "hub": ["model.repository=x"]},
        "data": {
            "text": ["data.path=x"],
            "jsonl": ["data.path=x"],
            "hub": ["data.repository=x"],
            "indexed": ["data.path=x"],
        },
    }.get(group, {})
    extra = list(more.get(option, []))
    if group == "model" and option in {"local", "hub", "smollm2"}:
        extra += ["data.path=x", "train.num_steps=4"]
    settings = composed(f"{group}={option}", *extra)
    if group == "data" and option != "world":
        with pytest.raises(PlanError):
            make_plan(settings)
    elif group not in {"train", "evals"}:
        make_plan(settings)


@pytest.mark.parametrize("path", sorted(CONF.glob("experiment/*.yaml")), ids=lambda path: path.stem)
def test_every_job_of_every_preset_can_be_planned(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BIAS_INTERVENE_DATA", "/data")
    preset = yaml.safe_load(path.read_text())
    assert path.read_text().splitlines()[1].endswith(("?", ".")), "a preset says which question it answers"
    sweeper = preset["hydra"]["sweeper"]
    jobs = jobs_of_grids(sweeper["grids"] if "grids" in sweeper else [sweeper["params"]], [])
    for job in jobs[:: max(1, len(jobs) // 40)]:
        plan = make_plan(composed(f"experiment={path.stem}", *job))
        assert plan.evaluated_steps or plan.published_steps


@pytest.mark.parametrize("preset", ["smollm2", "smollm2_doses"])
def test_a_preset_without_its_data_says_what_must_be_given(preset: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("BIAS_INTERVENE_DATA", raising=False)
    with pytest.raises(
        SettingsError, match=r"data\.path: must be given, or the environment variable BIAS_INTERVENE_DATA"
    ):
        composed(f"experiment={preset}")
    paths = ["data.path=p", "evals.winobias.path=w", "evals.crows_pairs.path=c.csv"]
    assert composed(f"experiment={preset}", *paths).evals.winobias.path == "w"


def test_shared_bodies_are_no_options():
    assert overrides.faults_of_overrides(["model=_pythia", "train=_base"]) != []
    assert not any(name.startswith("_") for group in overrides.groups() for name in overrides.options(group))
    with pytest.raises(SettingsError, match="intervention"):
        read_intervention("_base", {})


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["intervention.fractoin=0.9"], 'intervention.fractoin: no such key; did you mean "intervention.fraction"?'),
        (["+intervention.fractoin=0.9"], "intervention.fractoin: no such key"),
        (["++whatever=1"], "whatever: no such key"),
        (["~seed"], "seed: a key cannot be deleted"),
        (["~model"], "~model: a group cannot be deleted"),
        (["data.path=/a=b"], """quoted twice: 'data.path="/a=b"'"""),
        (["data.path=/a (b)"], """quoted twice: 'data.path="/a (b)"'"""),
        (["data.path=~/x"], """quoted twice: 'data.path="~/x"'"""),
        (["data.path=/ü"], """quoted twice: 'data.path="/ü"'"""),
        (["sweep=../up"], "sweep: found '../up'; a name of letters, digits"),
        (["sweep=5"], "sweep: found 5; a name of letters"),
        (["model=null"], "model=None: no such option"),
        ([f"seed={'9' * 5_000}"], "Exceeds the limit (4300 digits)"),
        (["model=6.8b"], 'model=6.8b: no such option; did you mean "6.9b"'),
        (["intervention=none,masculine"], "intervention=masculine: no such option"),
        (["experiment=demos"], 'did you mean "demo"'),
    ],
)
def test_faults_of_overrides(words: list[str], expected: str):
    assert expected in overrides.faults_of_overrides(words)[0]


def test_the_keys_that_a_command_line_gives():
    words = ["model=70m", "++seed=3", "evals.winobias={path: x, split: test}", "intervention=none"]
    assert overrides.given_keys(words) == {
        "model.name", "seed", "evals.winobias.path", "evals.winobias.split", "intervention.name",
    }  # fmt: skip


def test_all_faults_of_the_command_line_are_listed():
    assert len(overrides.faults_of_overrides(["a=1", "seed=2", "model=x", "train.lr=3", "hydra.mode=RUN"])) == 3


def test_grids_are_put_together_and_the_command_line_holds_in_all():
    grids = [{"intervention": "none,both", "seed": "1,2"}, {"seed": "range(2,4)", "intervention": "none"}]
    jobs = jobs_of_grids(grids, [])
    assert [sorted(job) for job in jobs] == [
        ["intervention=none", "seed=1"], ["intervention=none", "seed=2"], ["intervention=both", "seed=1"],
        ["intervention=both", "seed=2"], ["intervention=none", "seed=3"],
    ]  # fmt: skip
    given = OverridesParser.create().parse_overrides(["seed=7", "model=70m"])
    assert [sorted(job) for job in jobs_of_grids(grids, given)] == [
        ["intervention=none", "model=70m", "seed=7"], ["intervention=both", "model=70m", "seed=7"],
    ]  # fmt: skip


def test_good_overrides_have_no_fault():
    good = [
        "model=70m,demo",
        "intervention.fraction=0.07,0.21",
        "data.path=/a/b",
        "sweep=a",
        "model.step=null",
        'data.path="/a=b (ü) ~"',
    ]
    assert overrides.faults_of_overrides(good) == []


def test_nothing_heavy_is_imported_for_help():
    code = (
        "import sys, bias_intervene.app, bias_intervene.compare, bias_intervene.preview;"
        "print([m for m in ('torch', 'transformers', 'deepspeed', 'datasets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=True)
    assert done.stdout.strip() == "[]"


def test_tab_completion_of_the_console_script():
    environment = {**os.environ, "COMP_LINE": "bias-intervene model=6."}
    script = Path(sys.executable).with_name("bias-intervene")
    done = subprocess.run([script, "-sc", "query=bash"], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["model=6.9b"]


def test_help_lists_groups_and_commands():
    done = subprocess.run(
        [sys.executable, "-m", "bias_intervene", "--help"], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert "intervention: both, feminine_to_masculine, masculine_to_feminine, neutral, none" in done.stdout
    assert "python -m bias_intervene.compare" in done.stdout
    assert "_base" not in done.stdout
