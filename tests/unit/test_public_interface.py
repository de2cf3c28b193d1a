"""`import bias_intervene`: the names it promises exist, and the import itself loads no heavy library."""

import doctest
import subprocess
import sys

import pytest

import bias_intervene


@pytest.mark.parametrize("name", bias_intervene.__all__)
def test_every_listed_name_exists(name: str):
    assert getattr(bias_intervene, name)


def test_the_example_of_its_docstring():
    assert doctest.testmod(bias_intervene) == (0, 2)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        bias_intervene.no_such_name  # noqa: B018


def test_the_import_loads_no_library():
    code = "import sys, bias_intervene; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "bias_intervene" in loaded
    assert not {"torch", "numpy", "scipy", "hydra", "yaml"}.intersection(loaded)
