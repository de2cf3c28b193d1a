"""What a checkpoint's bias is, item by item.

`benchmarks` says where items come from, `scoring` gives log-likelihoods, `crows_pairs`, `winobias` and `pronouns` turn
them into metrics, `suite` runs all of it over the checkpoints of a run. Nothing here passes through the intervention.
"""
