"""The swap over token ids: `rule` is where to begin.

`vocabulary` reads a tokenizer, `classes` tells what each token looks like from beside it, `forms` which tokens are
pronouns, `outcomes` what their sides make of them, `language` and `roles` answer the questions that reach beyond a
neighbour, `asking` puts the rest to the text rule, `swaps` applies what was found.
"""

from bias_intervene.interventions.tokens.rule import SwappedRows, TokenSwap, compiled
from bias_intervene.interventions.tokens.swaps import CHANGES_LENGTH, TokenSwaps, apply, apply_shifted

__all__ = ["CHANGES_LENGTH", "SwappedRows", "TokenSwap", "TokenSwaps", "apply", "apply_shifted", "compiled"]
