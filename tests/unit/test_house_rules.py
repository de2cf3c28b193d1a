"""Rules of the house that can be checked: the shape of modules, and that the unit tests mirror the package."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PACKAGE, UNIT = REPOSITORY / "bias_intervene", REPOSITORY / "tests" / "unit"
MODULES = sorted(PACKAGE.rglob("*.py"))
MANY_MODULES = {
    "test_house_rules.py": "this one",
    "test_measurements.py": "tests/measurements",
    "test_readme.py": "README.md",
    "test_public_interface.py": "bias_intervene/__init__.py",
    "evals/test_recipe.py": "bias_intervene/README.md",
    "interventions/test_recipe.py": "bias_intervene/README.md",
    "plan/test_recipe.py": "bias_intervene/README.md",
    "data/test_main.py": "bias_intervene/data/__main__.py",
}
"""Files of unit tests whose subject is no module of the same name -> their subject."""


def without_subject(unit: Path, package: Path) -> list[str]:
    """Files of tests below `unit` that have no module, or package, of their name below `package`.

    In the folder of a package, a file of the package's own name tests it whole.
    """
    missing = []
    for path in sorted(unit.rglob("test_*.py")):
        place = path.relative_to(unit)
        name = path.stem.removeprefix("test_")
        module = package / place.parent / name
        is_whole_package = place.parent.name == name and (package / place.parent).is_dir()
        if not (module.with_suffix(".py").is_file() or module.is_dir() or is_whole_package):
            missing.append(place.as_posix())
    return missing


def test_every_file_of_unit_tests_has_its_module():
    assert set(without_subject(UNIT, PACKAGE)) <= MANY_MODULES.keys()
    assert [name for name in MANY_MODULES if not (UNIT / name).is_file()] == []


def test_a_test_of_a_module_that_is_gone_is_noticed(tmp_path: Path):
    unit, package = tmp_path / "unit", tmp_path / "package"
    for name in ("unit/plan/test_plan.py", "unit/plan/test_gone.py", "unit/app/test_app.py", "package/plan/plan.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (package / "app").mkdir()
    assert without_subject(unit, package) == ["plan/test_gone.py"]


@pytest.mark.parametrize("folder", sorted({path.parent for path in UNIT.rglob("test_*.py")}), ids=str)
def test_every_folder_of_unit_tests_is_a_package_of_the_program(folder: Path):
    assert (PACKAGE / folder.relative_to(UNIT)).is_dir()


def used_in_their_module_alone(modules: list[Path], texts: dict[Path, str]) -> list[str]:
    """Public functions and constants of `modules` whose names stand in no other file of `texts`."""
    words = {path: set(re.findall(r"\w+", text)) for path, text in texts.items()}
    count = Counter(word for found in words.values() for word in found)
    names = []
    for path in modules:
        for node in ast.parse(texts[path]).body:
            targets = [node.name] if isinstance(node, ast.FunctionDef) else []
            if isinstance(node, ast.Assign):
                targets = [one.id for one in node.targets if isinstance(one, ast.Name) and one.id.isupper()]
            names += [f"{path.stem}.{name}" for name in targets if not name.startswith("_") and count[name] == 1]
    return names


def test_a_name_used_in_its_module_alone_begins_with_an_underscore(tmp_path: Path):
    files = [path for kind in ("py", "yaml", "toml") for path in REPOSITORY.rglob(f"[!.]*.{kind}")]
    texts = {path: path.read_text(encoding="utf8") for path in files if "outputs" not in path.parts}
    assert used_in_their_module_alone(MODULES, texts) == []
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    source = {one: "WIDTH = 1\n_DEPTH = 2\n\ndef area():\n    return WIDTH * _DEPTH\n", other: "from one import area\n"}
    assert used_in_their_module_alone([one], source) == ["one.WIDTH"]


def test_every_module_opens_with_a_docstring():
    trees = {path: ast.parse(path.read_text(encoding="utf8")) for path in MODULES}
    assert [str(path) for path, tree in trees.items() if not ast.get_docstring(tree)] == []


def test_no_module_is_longer_than_350_lines():
    """A longer one holds more than one concept."""
    assert [str(path) for path in MODULES if len(path.read_text(encoding="utf8").splitlines()) > 350] == []


def test_essays_keep_their_contract_under_one_set_of_words():
    """Input, Output, Guarantees: where a module states one of the three, it states the other two."""
    contracts = {path: ast.get_docstring(ast.parse(path.read_text(encoding="utf8"))) or "" for path in MODULES}
    words = ("Input:", "Output:", "Guarantees:")
    partial = [str(path) for path, text in contracts.items() if 0 < sum(word in text for word in words) < 3]
    assert partial == []


def test_no_module_of_the_package_is_called_after_nothing():
    """What is shared has a name of its own (design: no utils, common, helpers)."""
    assert [str(path) for path in MODULES if {path.stem, path.parent.name} & {"utils", "common", "helpers"}] == []


GROUPS = sorted(path for path in (REPOSITORY / "conf").iterdir() if path.is_dir())


@pytest.mark.parametrize("group", GROUPS, ids=lambda p: p.name)
def test_every_option_of_the_configuration_is_in_its_readme(group: Path):
    """By name, in the section of its group; so are the bodies that options share."""
    readme = (REPOSITORY / "conf" / "README.md").read_text(encoding="utf8")
    section = readme.partition(f"\n## {group.name}\n")[2].partition("\n## ")[0]
    files = list(group.rglob("*.yaml"))
    names = {path.name if path.stem.startswith("_") else path.stem for path in files}
    if group.name == "hydra":
        names = {f"hydra/{path.parent.name}={path.stem}" for path in files}
    assert files
    assert [name for name in sorted(names) if f"`{name}`" not in section] == []


def test_every_group_of_the_configuration_has_a_section_in_its_readme():
    headings = re.findall(r"^## (\w+)$", (REPOSITORY / "conf" / "README.md").read_text(encoding="utf8"), re.MULTILINE)
    assert sorted(headings) == [path.name for path in GROUPS]


def test_options_of_the_configuration_are_yaml():
    """conf/ ships with the package: nothing but configuration and its documentation lies there."""
    files = [path for path in (REPOSITORY / "conf").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".yaml", ".md"}
