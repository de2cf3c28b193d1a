"""Peculiar pairs of WinoBias: named in the record, and refused where they are too many for WinoBias.

The published files have a few of each kind but the last. README.md in this folder lists them all, and says what is done
with them.

Input: pairs.
Output: the items of each kind, or an error that names the first.
Guarantees: a file that is not what its name says is refused: an anti-stereotypical file that is a copy of the other one
or in another order, and files that are exchanged. So are pairs that occur twice, which would count as independent.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from bias_intervene.errors import DataError

if TYPE_CHECKING:
    from bias_intervene.evals.benchmarks.winobias.items import WinobiasPair

_MOST_FAULTY = 0.1
"""Share of the pairs of a type that may have a fault; of the published ones 1.5% have the most frequent."""
_KINDS: "dict[str, Callable[[WinobiasPair], bool]]" = {
    "doubled_article": lambda pair: {pair.pro.doubled_article_at, pair.anti.doubled_article_at} != {None},
    "second_pronoun": lambda pair: pair.has_second_pronoun,
    "possessive_her": lambda pair: pair.possessive_her,
    "differing_in_more_than_the_pronoun": lambda pair: not pair.matched,
    "one_gender": lambda pair: pair.one_gender,
    "against_the_occupation_lists": lambda pair: pair.against_lists,
}
"""Name of a kind -> whether a pair is of it."""


class _Fault(NamedTuple):
    """A kind that few pairs may be of."""

    kind: str
    description: str
    """Follows "pairs of type1"."""
    suspicion: str
    """What may have happened to the files."""


_FAULTS = (
    _Fault(
        "differing_in_more_than_the_pronoun",
        "differ in more than their pronouns",
        "The sentences of a pair are the same line of two files; are the lines of one in another order?",
    ),
    _Fault(
        "one_gender",
        "have pronouns of one gender in both sentences",
        "Is the anti-stereotypical file the one that its name says?",
    ),
    _Fault(
        "against_the_occupation_lists",
        "have the pronouns the other way round than the occupation lists of Zhao et al. 2018",
        "Are the pro- and the anti-stereotypical file exchanged?",
    ),
)


def items_by_kind(pairs: "Sequence[WinobiasPair]") -> dict[str, list[str]]:
    """Name of a kind -> the items of it."""
    return {name: [pair.item for pair in pairs if is_of(pair)] for name, is_of in _KINDS.items()}


def caveats(pairs: "Sequence[WinobiasPair]") -> list[str]:
    """What the report must say of the pairs; nothing of the published ones."""
    items = items_by_kind(pairs)["against_the_occupation_lists"]
    if not items:
        return []
    return [
        f"WinoBias: {len(items)} of {len(pairs)} pairs have their pronouns the other way round than the occupation "
        f"lists of Zhao et al. 2018 ({', '.join(items[:5])}{', ...' if len(items) > 5 else ''}); no published pair has."
    ]


def check(pairs: "Sequence[WinobiasPair]") -> None:
    """Raises `DataError` for pairs that are no WinoBias."""
    same = [pair.item for pair in pairs if pair.pro.tokens == pair.anti.tokens]
    if same:
        raise DataError(
            f"evals.winobias: both sentences are the same in {len(same)} of {len(pairs)} pairs, first {same[0]}; a "
            "pair is a sentence with pronouns of either gender. Is the anti-stereotypical file a copy of the other one?"
        )
    first_of: dict[tuple[tuple[str, ...], tuple[str, ...]], str] = {}
    for pair in pairs:
        first = first_of.setdefault((pair.pro.tokens, pair.anti.tokens), pair.item)
        if first != pair.item:
            raise DataError(f"evals.winobias: {pair.item} is the same pair as {first}; leave each pair in once")
    for kind in dict.fromkeys(pair.kind for pair in pairs):
        of_kind = [pair for pair in pairs if pair.kind == kind]
        items = items_by_kind(of_kind)
        for fault in _FAULTS:
            if len(items[fault.kind]) > _MOST_FAULTY * len(of_kind):
                raise DataError(
                    f"evals.winobias: {len(items[fault.kind])} of {len(of_kind)} pairs of {kind} {fault.description}, "
                    f"first {items[fault.kind][0]}; at most {_MOST_FAULTY:.0%} may. {fault.suspicion}"
                )
