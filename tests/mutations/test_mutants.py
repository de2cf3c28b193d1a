"""The faults can still be put in: what each of them replaces stands in the code, once."""

from pathlib import Path

import pytest

from tests.mutations.__main__ import REPOSITORY, broken, copied
from tests.mutations.mutants import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_place_is_there_and_the_faulty_code_compiles(mutant: Mutant, tmp_path: Path):
    place = copied(tmp_path)
    broken(mutant, place)
    faulty = (place / mutant.path).read_text(encoding="utf8")
    assert faulty != (REPOSITORY / mutant.path).read_text(encoding="utf8")
    compile(faulty, mutant.path, "exec")


def test_code_that_has_changed_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match=r"gone: found 0 times in README\.md, expected once"):
        broken(Mutant("gone", "README.md", "no such words stand here", ""), copied(tmp_path))
