"""The benchmarks, each in one place: its items, its scoring, how its metrics are read, and what is to be known of it.

Input: the settings of the evaluation. Output: items with an identity that is the same from every source, and their
numbers under a model. Guarantees: a file with the wrong columns or a line without its brackets is refused, naming the
line and what was expected; slips of the published files are mended and counted, and what a reader must know of the
items stands in the record.

`registry` names them all; `benchmark` says what one is.
"""
