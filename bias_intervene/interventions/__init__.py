"""What is done to a row of text before the model reads it.

`lexicon` holds the words, `text` the rule over words (the reference), `profiles` what others did, `choice` draws the
share that is altered, `audit` counts and keeps what was changed.
"""
