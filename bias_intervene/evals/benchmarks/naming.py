"""Names of items: an item is known by what it is, and not by where it stands in a file.

Input: the content of items, such as the two sentences of a pair or the ids of a row.
Output: one name each.
Guarantees: the same content has the same name in every file that holds it, so two runs pair only what is the same. No
two items of a list have one name: a content that occurs again has its number behind its name.
"""

from collections import Counter
from collections.abc import Sequence

from bias_intervene.errors import DataError
from bias_intervene.record import fingerprint

_MOST_REPEATED = 0.1
"""Share of items that may repeat an earlier one: more, and a file was joined with itself. Of the 1,508 published pairs
of CrowS-Pairs one occurs twice."""


def names_of(contents: Sequence[object]) -> list[str]:
    """A name per item.

    >>> [name[-2:] for name in names_of(["a", "b", "a"])][-1]
    '#2'
    """
    seen: Counter[str] = Counter()
    names: list[str] = []
    for content in contents:
        name = fingerprint(content)
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return names


def num_repeated(names: Sequence[str]) -> int:
    """The number of items that repeat an earlier one. names: as `names_of` gives them."""
    return sum("#" in name for name in names)


def check_repeated(names: Sequence[str], *, place: str) -> None:
    """Raises `DataError` where many items repeat earlier ones. place: file or data set, for messages."""
    repeated = num_repeated(names)
    if repeated > _MOST_REPEATED * len(names):
        raise DataError(
            f"{place}: {repeated:,} of {len(names):,} items repeat an earlier one word for word, and would be "
            f"counted as independent; at most {_MOST_REPEATED:.0%} may. Leave each item in once"
        )
