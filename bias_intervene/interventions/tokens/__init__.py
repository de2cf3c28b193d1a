"""The pronoun swap over token ids; start reading at `rule`.

`vocabulary` reads a tokenizer. `classes` describes each token as a neighbour of a pronoun, `forms` lists the token
sequences of pronouns, and `outcomes` decides from the neighbours whether a pronoun is swapped. `language` and `roles`
decide what needs more than the direct neighbours. `fallback` is the fallback to the text rule. `swaps` applies swaps.
"""

from bias_intervene.interventions.tokens.rule import SwappedRows, TokenSwap, compiled
from bias_intervene.interventions.tokens.swaps import CHANGES_LENGTH, TokenSwaps, apply, apply_shifted

__all__ = ["CHANGES_LENGTH", "SwappedRows", "TokenSwap", "TokenSwaps", "apply", "apply_shifted", "compiled"]
