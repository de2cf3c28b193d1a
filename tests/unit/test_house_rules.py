"""Rules of the house that can be checked: the shape of modules, and that the unit tests mirror the package."""

import ast
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


def test_every_module_opens_with_a_docstring():
    """An `__init__` or another file that is empty has nothing to say."""
    trees = {path: ast.parse(path.read_text(encoding="utf8")) for path in MODULES}
    assert [str(path) for path, tree in trees.items() if tree.body and not ast.get_docstring(tree)] == []


def test_no_module_of_the_package_is_called_after_nothing():
    """What is shared has a name of its own (design: no utils, common, helpers)."""
    assert [str(path) for path in MODULES if {path.stem, path.parent.name} & {"utils", "common", "helpers"}] == []


def test_options_of_the_configuration_are_yaml():
    """conf/ ships with the package: nothing but configuration and its documentation lies there."""
    files = [path for path in (REPOSITORY / "conf").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".yaml", ".md"}
