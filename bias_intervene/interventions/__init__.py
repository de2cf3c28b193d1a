"""What is done to a row of text before the model reads it.

`lexicon` holds the words, `text` the rule over words (the reference), `audit` counts and keeps what was changed.
"""
