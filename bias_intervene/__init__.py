"""bias_intervene: swap pronouns at the end of a model's pretraining, measure what that does to its bias.

The map, from the ground up (imports only go down; import-linter enforces it):

- `errors`       the errors a user can meet
- `settings`     every key a user can set, checked once at the door; `pythia` the facts of the suite
- `plan`         Settings -> what will run; `history` where in the original training, `memory` how much it needs
- `record`       files that appear whole, fingerprints, the record of a finished run
- `statistics`   standard errors and paired comparisons
- `interventions` the swap over words, and the audit of what it changed
- `data`         any corpus -> rows in one format -> the rows of one step for one rank
- `models`       a checkpoint and its tokenizer, from the hub, a folder or a GGUF file; `world_model` the demo's
- `training`, `evals`, `analysis`   three wings: the steps, the scores, the comparison
- `launch`       worker processes: started, signalled and ended together
- `pipeline`     the stages of a run in order
- `app`, `compare`, `preview`, `worker`   one thin module a command
"""

__version__ = "0.1.0"
