"""How many weights a run has and how much memory they take, before any file is read. Pure arithmetic, an estimate.

States after Rajbhandari et al. 2020 (ZeRO), activations after Korthikanti et al. 2022.
"""

import math

from bias_intervene import pythia
from bias_intervene.settings import PythiaModel, Settings, WorldModel

GIB = 1024**3


def shape(settings: Settings) -> tuple[int, int, int] | None:
    """(layers, hidden size, vocabulary) where it is known without reading files."""
    model = settings.model
    if isinstance(model, PythiaModel):
        size = pythia.SIZES[model.name]
        return size.num_layers, size.hidden_size, size.vocabulary_size
    if isinstance(model, WorldModel):
        return model.num_layers, model.hidden_size, model.vocabulary_size
    return None


def num_parameters(settings: Settings) -> int | None:
    """Number of weights where it is known without reading files."""
    known = shape(settings)
    if known is None:
        return None
    layers, hidden, vocabulary = known
    return pythia.neox_parameters(num_layers=layers, hidden_size=hidden, vocabulary_size=vocabulary)


def memory_by_stage(settings: Settings) -> dict[str, float] | None:
    """Estimated GiB a GPU by ZeRO stage: states (Rajbhandari et al. 2020), activations (Korthikanti et al. 2022).

    States a parameter: weights (2 or 4 bytes), fp32 gradients (4), fp32 master and two moments (12; 8 where the
    weights are the master). Activations a layer: 34 bytes x row x hidden, attention in place (SDPA); only the inputs
    of the layers where they are recomputed. Logits: their fp32 copy and its gradient.
    """
    known = shape(settings)
    if known is None:
        return None
    layers, hidden, vocabulary = known
    train = settings.train
    parameters, ranks = num_parameters(settings) or 0, train.num_processes
    weights, optimizer = (2, 12) if train.precision == "bf16" else (4, 8)
    positions = train.micro_batch_rows * train.sequence_length
    element = 1 if train.precision == "bf16" else 2
    per_layer = (2 if train.activation_checkpointing else 34) * positions * hidden * element
    live_layer = 34 * positions * hidden * element if train.activation_checkpointing else 0
    activations = layers * per_layer + live_layer + positions * vocabulary * (8 + 2 * element)

    def states(stage: int) -> float:
        return parameters * (
            weights / (ranks if stage >= 3 else 1)
            + 4 / (ranks if stage >= 2 else 1)
            + optimizer / (ranks if stage >= 1 else 1)
        )

    return {str(stage): round((states(stage) + activations) / GIB, 2) for stage in range(4)}


def gib(value: float) -> str:
    """`value` in GiB for people: two digits below 10, none above."""
    return f"{value:.2f}" if value < 10 else f"{math.ceil(value)}"
