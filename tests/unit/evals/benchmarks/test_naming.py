"""Items are known by their content."""

import pytest

from bias_intervene.errors import DataError
from bias_intervene.evals.benchmarks.naming import check_repeated, names_of, num_repeated


def test_a_name_follows_from_the_content_and_not_from_the_place():
    whole, part = names_of([("a", "b"), ("c", "d"), ("e", "f")]), names_of([("e", "f"), ("a", "b")])
    assert part == [whole[2], whole[0]]
    assert len(set(whole)) == 3
    assert names_of([("b", "a")])[0] not in whole


def test_a_content_that_occurs_again_has_a_name_of_its_own():
    first, other, second, third = names_of(["x", "y", "x", "x"])
    assert (second, third) == (f"{first}#2", f"{first}#3")
    assert num_repeated([first, other, second, third]) == 2


def test_a_file_joined_with_itself_is_refused():
    check_repeated(names_of([*range(20), 0, 1]), place="f.csv")
    with pytest.raises(DataError, match=r"f\.csv: 20 of 40 items repeat an earlier one word for word.*at most 10%"):
        check_repeated(names_of([*range(20), *range(20)]), place="f.csv")
