"""The benchmarks, one module or folder each: items, scoring, specs of the metrics, and caveats.

`benchmark` defines what a benchmark is, `registry` lists them all, and `sources` reads what several have in common.

Input: the settings of the evaluation, and a model.
Output: items, whose identity does not depend on the source they were read from, and their scores.
Guarantees: a file with wrong columns, or a line without its brackets, is refused, and the message names the line and
what was expected. Errors in published files are corrected where that is possible, and counted; the counts and the
caveats are written to the record.
"""
