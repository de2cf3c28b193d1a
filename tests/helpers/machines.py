"""What a launcher leaves in the environment of the second of two machines."""

SLURM = {
    "SLURM_NODEID": "1", "SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NUM_TASKS": "2", "SLURM_JOB_ID": "7",
    "SLURM_STEP_ID": "0", "SLURMD_NODENAME": "gpu2",
}  # fmt: skip
TORCHRUN = {
    "RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "gpu1", "MASTER_PORT": "29500",
}  # fmt: skip
