"""Which role `her` and `his` have: his or him for her, her or hers for his.

`reading` reads the neighbours of a pronoun in text, `tables` decides by them, `fit` fits those tables on a corpus.
`fit` is not imported here, because it alone needs SciPy.
"""

from bias_intervene.interventions.possessive.reading import (
    CONTEXT_CHARS,
    END,
    MARK,
    NUMBER,
    WORD,
    Neighbours,
    neighbours,
)
from bias_intervene.interventions.possessive.tables import (
    AMBIGUOUS,
    MARKED_ROLE,
    POSSESSIVES,
    SLOTS,
    WORD_LISTS,
    Possessives,
    Table,
)

__all__ = [
    "AMBIGUOUS",
    "CONTEXT_CHARS",
    "END",
    "MARK",
    "MARKED_ROLE",
    "NUMBER",
    "POSSESSIVES",
    "SLOTS",
    "WORD",
    "WORD_LISTS",
    "Neighbours",
    "Possessives",
    "Table",
    "neighbours",
]
