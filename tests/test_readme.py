"""The README is true: its commands are run by a test or by CI, its options exist."""

import re
import shlex

import pytest

from bias_intervene import app, compare, preview
from tests.conftest import REPOSITORY

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
    assert ci.rstrip().endswith("pytest")


@pytest.mark.parametrize(
    "command", [c for c in COMMANDS if re.search(r"(python -m bias_intervene|bias-intervene) ", c)]
)
def test_its_settings_exist(command: str):
    words = shlex.split(re.split(r"&&|\|", command)[-1].split("#")[0])
    words = words[words.index("bias_intervene") + 1 :] if "bias_intervene" in words else words[1:]
    if words[:1] != ["-sc"]:
        assert app.faults_of_overrides([w for w in words if "=" in w]) == []


@pytest.mark.parametrize("command", [c for c in COMMANDS if "bias_intervene.compare" in c])
def test_compare_takes_its_options(command: str):
    words = shlex.split(command.split("#")[0])
    compare.parser().parse_args(words[words.index("bias_intervene.compare") + 1 :])


@pytest.mark.parametrize("command", [c for c in COMMANDS if "bias_intervene.preview" in c])
def test_preview_takes_its_options(command: str):
    words = shlex.split(command.split("#")[0])
    preview.parse([w for w in words[words.index("bias_intervene.preview") + 1 :] if "=" in w])


def test_every_file_it_names_in_the_repository_exists():
    for name in re.findall(r"\]\((?!http|#)([^)]+)\)", README):
        assert (REPOSITORY / name).exists(), name
