"""Scores checkpoints with benchmarks of bias and of capability, item by item.

`benchmarks` reads the items and computes the metrics. `scoring` gives log-likelihoods, for which `requests` forms
batches, and `generation` gives greedy continuations. `metrics` averages over items. `suite` scores all checkpoints of a
run; `cache` keeps its results, and `ranks` divides the work. The intervention is never applied to what is scored.
"""
