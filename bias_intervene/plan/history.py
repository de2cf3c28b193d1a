"""The original training of a model, and the step of it at which a run starts. Pure functions.

Input: settings. Output: the model's `History`, and the window of steps that a fraction, a step or a number of steps
asks for. Guarantees: a window starts at a checkpoint that was published, or the request is refused with the nearest
ones.

There are two kinds of model. Of Pythia and of the generated world's model the published checkpoints and the rows of
every step are known, so a fraction decides where training starts. All others are continued for `train.num_steps` from
step 0.
"""

from dataclasses import dataclass

from bias_intervene.errors import PlanError, did_you_mean
from bias_intervene.plan import pythia
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
            checkpoint_steps=pythia.INTERVENTIONS[model.variant][1]
            if model.variant in pythia.INTERVENTIONS
            else pythia.CHECKPOINT_STEPS,
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


def check_model(settings: Settings) -> None:
    """Refuses a model that was never published."""
    model = settings.model
    if isinstance(model, PythiaModel):
        if model.name not in pythia.SIZES:
            raise PlanError(f'model.name: no Pythia size "{model.name}"; {did_you_mean(model.name, pythia.SIZES)}')
        if model.seed is not None:
            if model.deduped:
                raise PlanError(
                    f"model.seed={model.seed}: PolyPythias were trained on the standard Pile only; "
                    "set model.deduped=false with it"
                )
            if not pythia.SIZES[model.name].has_polypythias or model.seed not in pythia.POLYPYTHIA_SEEDS:
                sizes = ", ".join(name for name, size in pythia.SIZES.items() if size.has_polypythias)
                raise PlanError(
                    f"model.seed={model.seed} for {model.name}: PolyPythias exist for {sizes} with seeds 1 to 9"
                )
        _check_variant(settings, model)
    if isinstance(model, WorldModel) and (model.hidden_size % model.num_heads):
        raise PlanError(
            f"model.hidden_size={model.hidden_size}: must be a multiple of model.num_heads={model.num_heads}"
        )


def _check_variant(settings: Settings, model: PythiaModel) -> None:
    """Refuses a released intervention that does not exist, or that would be trained further."""
    if model.variant == "original":
        return
    sizes, _ = pythia.INTERVENTIONS[model.variant]
    if model.name not in sizes or not model.deduped or model.seed is not None:
        raise PlanError(
            f"model.variant={model.variant} for {model.name}: released for {', '.join(sizes)}, deduplicated, without "
            "a model.seed"
        )
    if settings.intervention.fraction != 0:
        raise PlanError(
            f"model.variant={model.variant}: the released interventions are evaluated, not trained further; set "
            "intervention.fraction=0"
        )


def check_rows(settings: Settings, known: History | None) -> None:
    """Refuses rows that do not belong to the model."""
    model, data, train = settings.model, settings.data, settings.train
    if isinstance(model, WorldModel) != (data.kind == "world"):
        raise PlanError(
            f"data.kind={data.kind} with model.kind={model.kind}: the generated world and its model belong "
            "together; use model=demo data=world, or another model with data=text, jsonl, hub or indexed"
        )
    if data.kind == "pile" and not isinstance(model, PythiaModel):
        raise PlanError("data=pile holds Pythia's rows; use data=text, jsonl, hub or indexed with this model")
    if known and data.kind in {"pile", "world"}:
        wanted = {
            "train.global_batch_rows": (train.global_batch_rows, known.batch_rows),
            "train.sequence_length": (train.sequence_length, known.sequence_length),
        }
        for key, (found, needed) in wanted.items():
            if found != needed:
                raise PlanError(
                    f"{key}={found}: the original training read {needed}, and the same rows in the same order "
                    f"need the same; leave it at {needed}"
                )


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
        start = _step_of_fraction(fraction, known)
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


def published_steps(settings: Settings, known: History | None) -> tuple[int, ...]:
    """evals.steps, ascending, if checkpoints of all of them exist."""
    asked = settings.evals.steps
    if asked is None:
        return ()
    if not asked:
        raise PlanError("evals.steps: none given; name the checkpoints, as in evals.steps=[1000,2000,143000]")
    if known is None:
        raise PlanError(
            f"evals.steps={asked}: which checkpoints of {settings.model.name} were published is not known; evaluate "
            "them one by one, by model.revision or model.path"
        )
    steps = [published_step(step, known, key="evals.steps") for step in asked]
    if isinstance(settings.model, WorldModel) and 0 in steps:
        raise PlanError("evals.steps: step 0 of the generated world's model holds random weights and is not kept")
    return tuple(sorted(set(steps)))


def _step_of_fraction(fraction: float, known: History) -> int:
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
