"""Corpora of any kind as rows of token ids in one format, and the stream that gives each rank the rows of a step.

`indexed` defines the row format. `shards` locates such files on this machine, and `pile` locates or downloads Pythia's
rows. `corpus` tokenizes the user's text into rows, `world` generates a corpus with known bias. `stream` reads the rows
of a step for one rank and applies the intervention. `python -m bias_intervene.data` shows, checks and writes rows.

The modules are imported by name: this package lists no names of its own, so that reading the row format does not load
the downloads.
"""
