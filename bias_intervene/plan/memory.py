"""The layout of a step on the ranks and the memory it takes, computed before any file is read.

Input: the settings of the training and the model's shape, where it is known. Output: estimates in GiB per GPU, and the
micro batch, ZeRO stage and recomputation that fit, where the settings leave them open. Guarantees: a value that the
settings give is never changed; where nothing fits, the smallest layout is taken and the plan says so.

Model states after Rajbhandari et al. 2020 (ZeRO), activations after Korthikanti et al. 2022. It is an estimate: the
share _RESERVE of a GPU is left to the CUDA context, communication buffers and fragmentation.
"""

import math
from dataclasses import dataclass

from bias_intervene.errors import PlanError
from bias_intervene.settings import NeoxShape, TrainSettings

_GIB = 1024**3
_RESERVE = 0.1
CHUNK_LOGITS = 1 << 27
"""Logits that training holds at once, in fp32: 512 MiB."""
_LARGEST_MICRO_BATCH = 32
"""More rows at once than this make no GPU faster."""


@dataclass(frozen=True)
class Fit:
    """How a step is laid out on a rank."""

    micro_batch_rows: int
    zero_stage: int
    activation_checkpointing: bool


def num_ranks(train: TrainSettings) -> int:
    """Ranks of the run, over all machines."""
    return train.num_nodes * train.num_processes


def gib_a_gpu(train: TrainSettings, shape: NeoxShape | None, fit: Fit) -> float | None:
    """Estimated GiB a GPU; None where the model's shape is not known.

    States a parameter: weights (2 or 4 bytes), fp32 gradients (4), fp32 master and two moments (12; 8 where the
    weights are the master). Activations a layer: 34 bytes x row x hidden in 16 bits, attention in place (SDPA); where
    they are recomputed, the inputs of the layers and one layer whole. Loss: a chunk of logits in fp32 and in the
    weights' type, and the head's gradient in both.
    """
    if shape is None:
        return None
    layers, hidden, vocabulary = shape.num_layers, shape.hidden_size, shape.vocabulary_size
    ranks = num_ranks(train)
    is_bf16 = train.precision == "bf16"
    weights, optimizer, width = (2, 12, 1) if is_bf16 else (4, 8, 2)
    states = shape.num_parameters * (
        weights / (ranks if fit.zero_stage >= 3 else 1)
        + 4 / (ranks if fit.zero_stage >= 2 else 1)
        + optimizer / (ranks if fit.zero_stage >= 1 else 1)
    )
    positions = fit.micro_batch_rows * train.sequence_length
    layer = 34 * positions * hidden * width
    activations = layers * 2 * positions * hidden * width + layer if fit.activation_checkpointing else layers * layer
    loss = min(positions * vocabulary, CHUNK_LOGITS) * (4 + 2 * width) + vocabulary * hidden * (4 + 2 * width)
    return (states + activations + loss) / _GIB


def fitting(train: TrainSettings, shape: NeoxShape | None, *, model_name: str) -> Fit:
    """What was asked for, and where it was left open, the first that fits: the lowest ZeRO stage, without
    recomputation if possible, with as many rows at once as divide a rank's share; the least where none does. Raises
    `PlanError` where the model's shape is not known.
    """
    ranks = num_ranks(train)
    share = train.global_batch_rows // ranks if train.global_batch_rows % ranks == 0 else 0
    stages = (1, 2, 3) if train.zero_stage is None else (train.zero_stage,)
    recompute = (False, True) if train.activation_checkpointing is None else (train.activation_checkpointing,)
    if train.micro_batch_rows is None:
        micros = [2**k for k in range(_LARGEST_MICRO_BATCH.bit_length()) if share and share % 2**k == 0][::-1] or [1]
    else:
        micros = [train.micro_batch_rows]
    fits = [Fit(micro, stage, again) for stage in stages for again in recompute for micro in micros]
    if len(fits) == 1:
        return fits[0]
    if shape is None:
        raise PlanError(
            f"train.micro_batch_rows, train.zero_stage and train.activation_checkpointing must be given for "
            f"{model_name}: how much memory it takes is only known once its files are read"
        )
    return next((fit for fit in fits if fits_in(train, shape, fit)), fits[-1])


def check_engine(train: TrainSettings, fit: Fit) -> None:
    """Refuses what DeepSpeed has not got, and machines that cannot meet."""
    if fit.zero_stage == 0 and train.precision == "bf16":
        raise PlanError(
            "train.zero_stage=0 with train.precision=bf16: DeepSpeed then keeps no fp32 gradients and drifts; "
            "use train.zero_stage=1 (or more), or train.precision=fp32"
        )
    if fit.zero_stage == 3 and train.profile == "fast":
        raise PlanError(
            "train.profile=fast with train.zero_stage=3: weights that come and go cannot be compiled block by block; "
            "use train.profile=exact, or more GPUs so that ZeRO 2 is enough"
        )
    if train.num_nodes > 1 and train.rendezvous == "none":
        raise PlanError(
            f"train.num_nodes={train.num_nodes}: say how the machines meet, train.rendezvous=slurm (under srun, one "
            "task a machine) or torchrun (under torchrun, one process a machine)"
        )


def divide_batch(train: TrainSettings, micro_batch_rows: int) -> int:
    """Accumulation steps, so that micro batch x accumulation x ranks is the global batch exactly."""
    ranks = num_ranks(train)
    once = micro_batch_rows * ranks
    if train.global_batch_rows % once:
        per_rank = train.global_batch_rows / ranks
        fits = [n for n in range(1, int(per_rank) + 1) if int(per_rank) % n == 0] if per_rank.is_integer() else []
        remedy = (
            f"train.micro_batch_rows may be {', '.join(map(str, fits))}"
            if fits
            else f"train.num_nodes x train.num_processes must divide {train.global_batch_rows}"
        )
        raise PlanError(
            f"train.global_batch_rows={train.global_batch_rows} does not divide into train.micro_batch_rows="
            f"{micro_batch_rows} x {ranks} ranks = {once} rows at once; {remedy}"
        )
    return train.global_batch_rows // once


def fits_in(train: TrainSettings, shape: NeoxShape | None, fit: Fit) -> bool:
    """Whether the estimate leaves _RESERVE of a GPU free; true where there is none."""
    needed = gib_a_gpu(train, shape, fit)
    return needed is None or needed <= train.gpu_memory_gib * (1 - _RESERVE)


def memory_by_stage(train: TrainSettings, shape: NeoxShape | None, fit: Fit) -> dict[str, float] | None:
    """Estimated GiB a GPU by ZeRO stage, all else as in `fit`; None where the model's shape is not known."""
    estimates = {
        str(stage): gib_a_gpu(train, shape, Fit(fit.micro_batch_rows, stage, fit.activation_checkpointing))
        for stage in range(4)
    }
    return {stage: round(value, 2) for stage, value in estimates.items() if value is not None} or None


def gib(value: float) -> str:
    """`value` in GiB for people: two digits below 10, none above."""
    return f"{value:.2f}" if value < 10 else f"{math.ceil(value)}"
