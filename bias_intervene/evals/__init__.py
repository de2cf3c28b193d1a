"""What a checkpoint's bias is, item by item.

`benchmarks` says where items come from and what their numbers mean, `scoring` gives log-likelihoods and `generation`
answers, `suite` runs all of it over the checkpoints of a run. Nothing here passes through the intervention.
"""
