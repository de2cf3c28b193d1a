"""What is done to a row of text before the model reads it.

`registry` describes every intervention. `lexicon` holds the words and `text` the rule over words, the reference;
`possessive` decides between her and hers, his and him. `tokens` applies the same rule over token ids, which is what a
run does. `profiles` holds what others published. `row_swap` applies an intervention as it is set to texts and to rows,
`choice` draws the share that is altered, `audit` counts and keeps what was changed.
"""

from bias_intervene.interventions.registry import INTERVENTIONS, Intervention

__all__ = ["INTERVENTIONS", "Intervention"]
