"""What is done to a row of text before the model reads it.

`lexicon` holds the words and `text` the rule over words, the reference; `possessive` decides between her and hers, his
and him, by tables that `possessive_fit` fits. `tokens` is the same rule over token ids, which a run uses. `profiles` is
what others did, `text_swap` an intervention as it is set, applied to texts, `choice` draws the share that is altered,
`audit` counts and keeps what was changed.
"""
