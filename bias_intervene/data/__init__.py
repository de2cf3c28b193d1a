"""Any corpus becomes rows in one format; a step's rows reach a rank through one stream.

`world` generates a corpus, `corpus` reads the user's, `indexed` is the row format, `stream` hands out a step.
"""
