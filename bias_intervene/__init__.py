"""bias_intervene: swap pronouns at the end of a model's pretraining, measure what that does to its bias.

The map, from the ground up (imports only go down; import-linter enforces it):

- `errors`       the errors a user can meet
- `settings`     every key a user can set, checked once at the door; `pythia` the facts of the suite
- `checking`     plain values -> settings, or every fault at once
- `plan`         Settings -> what will run; `history` where in the original training, `memory` how it fits on the ranks
- `record`       files that appear whole, fingerprints, the record of a finished run
- `statistics`   standard errors and paired comparisons
- `interventions` the swap over words, and the audit of what it changed
- `data`         any corpus -> rows in one format -> the rows of one step for one rank
- `models`       a checkpoint and its tokenizer, from the hub, a folder or a GGUF file; `world_model` the demo's
- `training`, `evals`, `analysis`   three wings: the steps, the scores, the comparison
- `preparation`  the first stage: every input found or made and checked
- `launch`       worker processes: started, signalled and ended together; `nodes` the machines of a run
- `pipeline`     the stages of a run in order
- `app`, `compare`, `preview`, `worker`, `ranks`   one thin module a command; `data` is one as well
"""

__version__ = "0.1.0"
