"""Any corpus becomes rows in one format; a step's rows reach a rank through one stream.

`indexed` is the row format; `shards` finds it on this machine, `pile` Pythia's own rows there or on the hub; `corpus`
makes rows of the user's text, `world` of a generated one; `stream` hands out a step, `row_swap` has altered it.
`python -m bias_intervene.data` looks at rows and writes them.
"""
