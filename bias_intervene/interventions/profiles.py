"""Interventions of the literature as they were published, faults included, and the control that changes no pronoun.

Input: a decoded text, or a row of token ids. Output: the same after the intervention, and what was changed. Guarantees:
what the published code does is done, its mistakes too; `registry` says in words what those are.

They are here to be compared with, and none is recommended. Sources: EleutherAI/gpt-neox, branches `intervention`
(df1bdca0) and `new-intervention` (8164ebc3, 42acebf3), the two public hooks of the Pythia case study. Both pad with
`<|padding|>`, and the padding is trained on.
"""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from bias_intervene.errors import DataError
from bias_intervene.interventions.text import Swap, Swapped, apply

TOKEN_MAP = {
    754: 1500, 3032: 4058, 8389: 10759, 1328: 2993, 521: 617, 344: 703, 779: 617, 8701: 379, 13243: 379, 248: 6689,
}  # fmt: skip
"""df1bdca0: ids of the GPT-NeoX-20B tokenizer."""
TOKEN_WORDS = {
    " He": " She", " His": " Her", "His": "Her", "He": "She", " his": " her", " he": " she", " him": " her",
    "his": "her", "him": "her", "he": "she",
}  # fmt: skip
"""The same map as the pieces that these ids stand for, by which it applies to other tokenizers."""

REPLACED = {"he": "she", "him": "her", "his": "her"}
"""42acebf3: each with a space on both sides, lower case and capitalised."""


def replace_text(text: str) -> Swapped:
    """The six replacements of 42acebf3; the caller encodes the result, which the published code failed to do.

    As `str.replace` does, one pass a word: of two equal words that share a space only the first is replaced.

    >>> replace_text("So he said, he left; He saw him. And he he ran").text
    'So she said, she left; She saw him. And she he ran'
    """
    swaps: list[Swap] = []
    for word, after in REPLACED.items():
        for before, replacement in ((word, after), (word.title(), after.title())):
            swaps += [
                Swap(match.start() + 1, match.end() - 1, before, replacement)
                for match in re.finditer(f" {before} ", text)
            ]
    swaps.sort(key=lambda swap: swap.start)
    return Swapped(text=apply(text, swaps), swaps=swaps)


def unchanged(text: str) -> Swapped:
    """The same text: no pronoun changes."""
    return Swapped(text=text, swaps=[])


@dataclass(frozen=True)
class TokenMap:
    """The token map of df1bdca0 for one tokenizer."""

    ids: dict[int, int]
    """id -> id."""
    forms: dict[int, str]
    """id -> the name under which the audit counts its replacement."""

    def __call__(self, row: np.ndarray) -> tuple[np.ndarray, Counter[str]]:
        """(a new row (tokens,) as int64, counts by form). Length is kept."""
        mapped = row.astype(np.int64)
        counts: Counter[str] = Counter()
        for before, after in self.ids.items():
            hits = row == before
            if hits.any():
                mapped[hits] = after
                counts[self.forms[before]] += int(hits.sum())
        return mapped, counts


def token_map(tokenizer: Tokenizer) -> TokenMap:
    """TOKEN_MAP for the GPT-NeoX-20B tokenizer; for another byte-level one the pairs of which it has both pieces.

    Raises `DataError` where it has none of them.
    """
    pairs = {word: tuple(tokenizer.token_to_id(piece.replace(" ", "Ġ")) for piece in (word, after))
             for word, after in TOKEN_WORDS.items()}  # fmt: skip
    known = {word: (int(a), int(b)) for word, (a, b) in pairs.items() if a is not None and b is not None}
    if not known:
        raise DataError(
            "intervention=pythia_token_map: it maps whole tokens, and this tokenizer has none of its pairs "
            f"({', '.join(f'{a!r} to {b!r}' for a, b in TOKEN_WORDS.items())}); use intervention=pythia_replace or "
            "masculine_to_feminine"
        )
    return TokenMap(dict(known.values()), {a: f"{word} -> {TOKEN_WORDS[word]}" for word, (a, _) in known.items()})
