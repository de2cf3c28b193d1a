"""The window of the original training that a run repeats: where it starts, how long it is, which checkpoints it needs.

Input: what was asked for (`intervention.fraction`, `model.step`, `train.num_steps`, `evals.steps`) and the model's
history. Output: steps, counted as in the original training. Guarantees: a window starts at a checkpoint that was
published, reads the rows that the original training read there, and ends no later than it; any other request is refused
with the nearest one that can be met.
"""

from typing import NamedTuple

from bias_intervene.errors import PlanError
from bias_intervene.plan.history import History, neighbours
from bias_intervene.settings import ModelSettings, TrainedModel, TrainSettings


class Window(NamedTuple):
    """The steps of a run."""

    start_step: int
    num_steps: int
    asked_fraction: float | None
    """The fraction that decided them. None: a step or a number of steps did."""


def check_rows(model: ModelSettings, known: History | None, *, data_kind: str, train: TrainSettings) -> None:
    """Refuses rows that do not belong to the model. data_kind: `data.kind`."""
    order = known.row_order if known else None
    if "world" in (order, data_kind) and order != data_kind:
        raise PlanError(
            f"data.kind={data_kind} with model.kind={model.kind}: the generated world and its model belong "
            "together; use model=demo data=world, or another model with data=text, jsonl, hub or indexed"
        )
    if data_kind == "pile" and order != "pile":
        raise PlanError("data=pile holds Pythia's rows; use data=text, jsonl, hub or indexed with this model")
    if known and data_kind == order:
        for key, asked, needed in (
            ("train.global_batch_rows", train.global_batch_rows, known.batch_rows),
            ("train.sequence_length", train.sequence_length, known.sequence_length),
        ):
            if asked != needed:
                raise PlanError(
                    f"{key}={asked}: the original training read {needed}, and the same rows in the same order "
                    f"need the same; leave it at {needed}"
                )


def window(model: ModelSettings, known: History | None, *, fraction: float | None, num_steps: int | None) -> Window:
    """The steps that a fraction, a step or a number of steps asks for."""
    if known is None:
        if fraction is not None:
            raise PlanError(
                f"intervention.fraction={fraction}: how {model.name} was trained is not known, so a share of "
                "its training has no meaning; set train.num_steps instead"
            )
        if num_steps is None:
            raise PlanError(f"train.num_steps: needed for {model.name}, whose training is not known")
        return Window(0, num_steps, None)
    assert isinstance(model, TrainedModel)
    if model.step is not None:
        if fraction is not None:
            raise PlanError(
                f"model.step={model.step} and intervention.fraction={fraction} both say where to start; set one of them"
            )
        start = _published_step(model.step, known, key=f"model.step={model.step}")
    elif fraction is None and num_steps is not None:
        start = _start_of_last(num_steps, known)
    else:
        fraction = model.default_fraction if fraction is None else fraction
        start = _step_of_fraction(fraction, known)
    available = known.total_steps - start
    if num_steps is not None and num_steps > available:
        raise PlanError(
            f"train.num_steps={num_steps}: from step {start} the original training has {available} steps left"
        )
    return Window(start, available if num_steps is None else num_steps, fraction)


def published_steps(model: ModelSettings, known: History | None, *, asked: list[int] | None) -> tuple[int, ...]:
    """The checkpoints that evals.steps asks for, ascending, if all of them exist."""
    if asked is None:
        return ()
    if not asked:
        raise PlanError("evals.steps: none given; name the checkpoints, as in evals.steps=[1000,2000,143000]")
    if known is None:
        raise PlanError(
            f"evals.steps={asked}: which checkpoints of {model.name} were published is not known; evaluate "
            "them one by one, by model.revision or model.path"
        )
    steps = {_published_step(step, known, key="evals.steps") for step in asked}
    for step in sorted(steps.intersection(known.random_steps)):
        raise PlanError(f"evals.steps: step {step} of {known.repository} holds random weights and is not kept")
    return tuple(sorted(steps))


def _published_step(step: int, known: History, *, key: str) -> int:
    """`step` if a checkpoint of it exists, else a refusal that names its neighbours."""
    nearest = neighbours(step, known.checkpoint_steps)
    if nearest != (step,):
        names = " and ".join(str(near) for near in nearest)
        raise PlanError(f"{key}: no checkpoint of step {step} was published; the nearest: {names}")
    return step


def _start_of_last(num_steps: int, known: History) -> int:
    """The published step at which the last `num_steps` of the original training begin."""
    key = f"train.num_steps={num_steps} without a fraction"
    if num_steps > known.total_steps:
        raise PlanError(f"{key}: the original training has {known.total_steps} steps")
    return _published_step(known.total_steps - num_steps, known, key=key)


def _step_of_fraction(fraction: float, known: History) -> int:
    """The published checkpoint nearest to `fraction` of the training before its end."""
    wanted = known.total_steps * (1 - fraction)
    nearest = neighbours(wanted, known.checkpoint_steps)
    start = min(nearest, key=lambda step: abs(step - wanted))
    if fraction > 0 and start == known.total_steps:
        smaller = nearest[0]
        raise PlanError(
            f"intervention.fraction={fraction} leaves no step: it asks for step {wanted:g} and the nearest published "
            f"checkpoint is the last one ({start}). The one before is step {smaller}, a fraction of "
            f"{(known.total_steps - smaller) / known.total_steps:.4g}; 0 evaluates the last one without training"
        )
    return start
