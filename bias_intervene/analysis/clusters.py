"""Reads to which clusters of dependent items each row of a file of items belongs.

A row has one label, or two where clusters cross, as the two occupations of a WinoBias pair do. Until version 3,
WinoBias wrote one label a pair ("the clerk and the mover"), which names both occupations. It does not say which of the
two leans which way, but every pair has one of either kind, so that the occupations fall into two groups that no pair
lies within. Standard errors do not depend on which group is called the first.

Input: the column `cluster` of a file of items.
Output: labels as `statistics` takes them: (rows,), or (rows, 2) where clusters cross.
Guarantees: labels of older files are separated exactly, or refused.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bias_intervene.errors import RunDirectoryError

_CLUSTERED_BY_PAIR = 3
"""The last version of WinoBias whose standard errors were clustered by pair of occupations."""


def cluster_labels(column: Sequence[str] | Sequence[list[str]]) -> np.ndarray:
    """object (rows,) or (rows, 2): the label, or labels, of every row. Raises `RunDirectoryError`."""
    if any(_people_of(label) for label in column):
        return np.array(_separated(list(map(str, column))), dtype=object)
    return np.array(column, dtype=object)


def _people_of(label: str | list[str]) -> list[str]:
    """The two people that the label of an older WinoBias pair names; empty for other labels."""
    people = label.split(" and ") if isinstance(label, str) else []
    return people if len(people) == 2 and all(person.startswith("the ") for person in people) else []


def _separated(labels: Sequence[str]) -> list[list[str]]:
    """The two labels of every row: the person of one group and that of the other, twice its own for a single item."""
    others_of: dict[str, set[str]] = {}
    for label in set(labels):
        for person, other in zip(_people_of(label), reversed(_people_of(label)), strict=True):
            others_of.setdefault(person, set()).add(other)
    group_of: dict[str, int] = {}
    for start in sorted(others_of):
        waiting = [] if start in group_of else [(start, 0)]
        while waiting:
            person, group = waiting.pop()
            if group_of.setdefault(person, group) != group:
                raise RunDirectoryError(
                    "the WinoBias items were written by version 3 of this benchmark or an earlier one, and their "
                    f"column cluster does not tell the two kinds of occupations apart ({person} would be of both); "
                    "score the run again"
                )
            waiting += [(other, 1 - group) for other in sorted(others_of[person]) if other not in group_of]
    both_of = {name: sorted(_people_of(name), key=group_of.__getitem__) or [name, name] for name in set(labels)}
    return [both_of[label] for label in labels]


def caveat_of_older_records(record: dict[str, Any]) -> str | None:
    """What is to be said of the standard errors in a record; None if they are computed as they are now."""
    version = (record["fingerprints"].get("evaluations") or {}).get("winobias", {}).get("version")
    if version is None or version > _CLUSTERED_BY_PAIR:
        return None
    return (
        f"Records with version {version} of WinoBias give standard errors of single values that are clustered by pair "
        "of occupations and up to three times too small. Differences, their intervals and p are computed anew from the "
        "items, clustered by both occupations."
    )
