"""The original training of a model, and where in it a run starts. Pure.

Enters: settings. Leaves: what is known of the model's history, and the window of steps that a fraction, a step or a
number of steps asks for. Two kinds of model: Pythia and the generated world's have published checkpoints and a known
row for every step, so a fraction decides where training starts; the others are continued for `train.num_steps` from
step 0.
"""

from dataclasses import dataclass

from bias_intervene import pythia
from bias_intervene.errors import PlanError
from bias_intervene.settings import PythiaModel, Settings, WorldModel


@dataclass(frozen=True)
class History:
    """What is known of a model's original training."""

    total_steps: int
    checkpoint_steps: tuple[int, ...]
    batch_rows: int
    sequence_length: int
    warmup_steps: int
    peak_learning_rate: float
    minimum_learning_rate: float


def history(settings: Settings) -> History | None:
    """The original training of the model, None where it is unknown."""
    model = settings.model
    if isinstance(model, PythiaModel):
        peak = pythia.SIZES[model.name].peak_learning_rate
        return History(
            total_steps=pythia.TOTAL_STEPS,
            checkpoint_steps=pythia.CHECKPOINT_STEPS,
            batch_rows=pythia.BATCH_ROWS,
            sequence_length=pythia.SEQUENCE_LENGTH,
            warmup_steps=pythia.WARMUP_STEPS,
            peak_learning_rate=peak,
            minimum_learning_rate=peak * pythia.MINIMUM_LEARNING_RATE_RATIO,
        )
    if isinstance(model, WorldModel):
        steps = {0, model.total_steps, *range(0, model.total_steps, model.checkpoint_interval)}
        return History(
            total_steps=model.total_steps,
            checkpoint_steps=tuple(sorted(steps)),
            batch_rows=model.batch_rows,
            sequence_length=model.sequence_length,
            warmup_steps=model.warmup_steps,
            peak_learning_rate=model.peak_learning_rate,
            minimum_learning_rate=model.peak_learning_rate * pythia.MINIMUM_LEARNING_RATE_RATIO,
        )
    return None


def window(settings: Settings, known: History | None) -> tuple[int, int, float | None]:
    """(start step, number of steps, asked fraction) of the training."""
    fraction, num_steps = settings.intervention.fraction, settings.train.num_steps
    if known is None:
        if fraction is not None:
            raise PlanError(
                f"intervention.fraction={fraction}: how {settings.model.name} was trained is not known, so a share of "
                "its training has no meaning; set train.num_steps instead"
            )
        if num_steps is None:
            raise PlanError(f"train.num_steps: needed for {settings.model.name}, whose training is not known")
        return 0, num_steps, None
    model = settings.model
    assert isinstance(model, PythiaModel | WorldModel)
    if model.step is not None:
        if fraction is not None:
            raise PlanError(
                f"model.step={model.step} and intervention.fraction={fraction} both say where to start; set one of them"
            )
        start = published_step(model.step, known, key=f"model.step={model.step}")
    elif fraction is None and num_steps is not None:
        start = published_step(
            known.total_steps - num_steps, known, key=f"train.num_steps={num_steps} without a fraction"
        )
    else:
        fraction = model.default_fraction if fraction is None else fraction
        start = step_of_fraction(fraction, known)
    available = known.total_steps - start
    if num_steps is not None and num_steps > available:
        raise PlanError(
            f"train.num_steps={num_steps}: from step {start} the original training has {available} steps left"
        )
    return start, available if num_steps is None else num_steps, fraction


def published_step(step: int, known: History, *, key: str) -> int:
    """`step` if a checkpoint of it exists, else a refusal that names its neighbours."""
    near = pythia.neighbours(step, known.checkpoint_steps)
    if near != (step,):
        names = " and ".join(str(s) for s in near)
        raise PlanError(f"{key}: no checkpoint of step {step} was published; the nearest: {names}")
    return step


def step_of_fraction(fraction: float, known: History) -> int:
    """The published checkpoint nearest to `fraction` of the training before its end."""
    wanted = known.total_steps * (1 - fraction)
    near = pythia.neighbours(wanted, known.checkpoint_steps)
    start = min(near, key=lambda step: abs(step - wanted))
    if fraction > 0 and start == known.total_steps:
        smaller = near[0]
        raise PlanError(
            f"intervention.fraction={fraction} leaves no step: it asks for step {wanted:g} and the nearest published "
            f"checkpoint is the last one ({start}). The one before is step {smaller}, a fraction of "
            f"{(known.total_steps - smaller) / known.total_steps:.4g}; 0 evaluates the last one without training"
        )
    return start
