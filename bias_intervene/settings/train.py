"""Settings of the group train: how the continued pretraining runs.

Input: the values of conf/train/*.yaml. Output: `TrainSettings`.
Guarantees: a key that may be null says in its sentence what null stands for; the plan chooses that value.
"""

from typing import Annotated, Literal

from pydantic import Field, StrictBool

from bias_intervene.settings.bounds import (
    Checked,
    LearningRate,
    NonNegativeFloat,
    NonNegativeSteps,
    PositiveFloat,
    PositiveInt,
    PositiveSteps,
    Processes,
)


class TrainSettings(Checked):
    """How the continued pretraining runs."""

    num_steps: NonNegativeSteps | None = Field(
        description="Steps to train; null: from the fraction. With a fraction: only the first ones of its window."
    )
    sequence_length: PositiveInt = Field(description="Tokens the model reads of a row.")
    global_batch_rows: PositiveInt = Field(description="Rows a step = micro batch x accumulation steps x ranks.")
    micro_batch_rows: PositiveInt | None = Field(
        description="Rows a rank holds at once; null: as many as fit into gpu_memory_gib by the plan's estimate."
    )
    num_nodes: Annotated[int, Field(gt=0, le=100_000)] = Field(
        description="Machines; with more than one, `rendezvous` says how they meet."
    )
    num_processes: Processes = Field(description="Ranks on each machine: one a GPU.")
    rendezvous: Literal["none", "slurm", "torchrun"] = Field(
        description="Where a machine learns its number: SLURM's variables, or those of a torchrun around us."
    )
    num_threads: Processes | None = Field(
        description="CPU threads a process, in every stage; null: cores / (ranks x jobs a launcher runs at once)."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(description="auto: a GPU if there is one.")
    precision: Literal["fp32", "bf16"] = Field(description="Compute precision; optimizer states are fp32.")
    profile: Literal["exact", "fast"] = Field(
        description="exact: deterministic, nothing overlaps; fast: blocks compiled, communication overlapped."
    )
    zero_stage: Annotated[int, Field(ge=0, le=3)] | None = Field(
        description="ZeRO stage; 0 only with fp32; null: the lowest from 1 on that fits into gpu_memory_gib."
    )
    activation_checkpointing: StrictBool | None = Field(
        description="Recompute activations: less memory, more time; null: where nothing else fits."
    )
    gpu_memory_gib: PositiveFloat = Field(description="Memory of a GPU, for what is chosen by the plan.")
    schedule: Literal["original", "constant"] = Field(
        description="original: the cosine of the original run at its step; constant: learning_rate throughout."
    )
    learning_rate: LearningRate | None = Field(
        description="Peak (original) or constant rate; null: the original run's peak."
    )
    rewarmup_steps: NonNegativeSteps = Field(description="First steps with a linear ramp on the schedule.")
    optimizer_warmup_steps: NonNegativeSteps = Field(
        description="Steps at learning rate 0 on the unaltered rows before the window, to rebuild Adam's moments."
    )
    adam_beta1: Annotated[float, Field(ge=0, lt=1)] = Field(description="Decay of the first moment.")
    adam_beta2: Annotated[float, Field(ge=0, lt=1)] = Field(description="Decay of the second moment.")
    adam_epsilon: Annotated[float, Field(gt=0, le=1)] = Field(description="Term added to the denominator.")
    weight_decay: Annotated[float, Field(ge=0, le=10)] = Field(description="Decoupled weight decay on matrices.")
    gradient_clipping: NonNegativeFloat = Field(description="Largest gradient norm; 0: no clipping.")
    save_interval: PositiveSteps = Field(description="Steps between checkpoints; the last one is always saved.")
    keep_resumable: PositiveSteps = Field(
        description="Newest checkpoints that keep optimizer states; of older ones the weights stay."
    )
    on_damaged: Literal["refuse", "previous"] = Field(
        description="A checkpoint altered since it was saved: refuse to continue, or continue from the one before."
    )
