"""The continued pretraining, on every rank: rows in, checkpoints out.

`loop` is the steps; `engine` the DeepSpeed configuration, `schedule` the learning rate and `loss` the loss it uses;
`checkpoint`, `metrics`, `figure` and `report` write what it leaves behind.
"""
