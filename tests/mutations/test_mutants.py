"""The faults can still be put in: what each of them replaces is there, under its name and with its parameters."""

import dataclasses
import importlib
import inspect

import pytest

from tests.mutations.__main__ import with_fault
from tests.mutations.mutants import MUTANTS, Mutant, check


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=lambda mutant: mutant.name)
def test_the_definition_is_there_and_the_fault_can_be_put_in(mutant: Mutant):
    check(mutant)
    source = inspect.getsource(importlib.import_module(mutant.module))
    compile(with_fault(source, mutant), mutant.module, "exec")


def test_a_faulty_module_does_otherwise():
    mutant = MUTANTS["baseline minus arm"]
    source = inspect.getsource(importlib.import_module(mutant.module))
    found = {}
    for text in (source, with_fault(source, mutant)):
        namespace: dict = {"__name__": mutant.module}
        exec(text, namespace)
        array = namespace["np"].array
        found[text] = namespace["compare_paired"](array([0.0, 0.0, 1.0]), array([1.0, 2.0, 3.0])).difference
    assert list(found.values()) == [pytest.approx(5 / 3), pytest.approx(-5 / 3)]


def test_a_faulty_property_stays_one():
    mutant = MUTANTS["the labels of two arms are exchanged"]
    source = inspect.getsource(importlib.import_module(mutant.module))
    namespace: dict = {"__name__": mutant.module}
    exec(with_fault(source, mutant), namespace)
    arms = [
        namespace["Run"](folder=None, record={"arm": arm}).arm
        for arm in ("masculine_to_feminine", "feminine_to_masculine", "both")
    ]
    assert arms == ["feminine_to_masculine", "masculine_to_feminine", "both"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"definition": "renamed"}, "baseline minus arm: no renamed in bias_intervene.statistics.differences"),
        ({"module": "bias_intervene.moved"}, "baseline minus arm: no compare_paired in bias_intervene.moved"),
        ({"module": "bias_intervene.analysis.pairing"}, "compare_paired is defined in bias_intervene.statistics.diff"),
        ({"definition": "compare_gap"}, r"and the fault \['baseline', 'treatment', 'clusters', 'level'\]"),
    ],
)
def test_code_that_has_changed_is_named(changed: dict[str, str], message: str):
    with pytest.raises(ValueError, match=message):
        check(dataclasses.replace(MUTANTS["baseline minus arm"], **changed))
