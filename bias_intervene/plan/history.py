"""The original training of a model: what is known of it, and what was published of it.

Input: the settings of a model. Output: its `History`, or None for a model of which nothing is known but its weights.
Guarantees: a model that was never published is refused, with those that were; every value is a fact of the suite
(`model.facts`), or a setting of the generated world's pretraining.

This is the one place where kinds of model are told apart for the plan. Of a suite and of the generated world's model
the published checkpoints and the rows of every step are known, so a fraction decides where training starts. All others
are continued for `train.num_steps` from step 0.
"""

from bisect import bisect_left
from dataclasses import dataclass
from typing import Literal

from bias_intervene.errors import PlanError, did_you_mean
from bias_intervene.settings import ModelSettings, NeoxShape, SuiteModel, WorldModel, all_steps
from bias_intervene.settings.suite import Choice, ReleasedModels

_WORLD_MINIMUM_RATIO = 0.1
"""Learning rate of the world's pretraining at its last step, as a share of its peak: that of Pythia."""
_WORLD_PRECISION = "fp32"
"""Of the world's pretraining: that of conf/train/_base.yaml."""


@dataclass(frozen=True)
class OriginalRate:
    """The learning rate of an original training, in the one form there is: GPT-NeoX's cosine (`training.schedule`)."""

    peak: float
    minimum: float
    warmup_steps: int


@dataclass(frozen=True)
class History:
    """What is known of a model's original training."""

    repository: str
    """Where its checkpoints are, as a user would name it."""
    revision: str
    """Branch, tag or folder of a checkpoint, with {step} in braces."""
    checkpoint_steps: tuple[int, ...]
    """Published steps, ascending."""
    random_steps: tuple[int, ...]
    """Those of checkpoint_steps at which the weights are random and no checkpoint is kept."""
    optimizer_steps: tuple[int, ...]
    """Steps whose optimizer states were published too."""
    total_steps: int
    batch_rows: int
    sequence_length: int
    learning_rate: OriginalRate | None
    """None: not known."""
    precision: str | None
    """Type of numbers that it computed in: fp16, bf16 or fp32. None: not known."""
    shape: NeoxShape | None
    """None: known once the files are read."""
    row_order: Literal["pile", "world"] | None
    """The kind of `data` that holds the rows of every step in their order. None: no such rows."""
    rows_repository: str | None
    """Data set on the hub with these rows. None: they are not on the hub."""
    arm: str | None
    """The arm of a model that was already altered. None: the original."""
    acts_as: str | None
    """Intervention whose expected effect an altered model is checked for."""

    def revision_of(self, step: int) -> str:
        """Branch, tag or folder of a published checkpoint."""
        return self.revision.format(step=step)


def history(model: ModelSettings) -> History | None:
    """The original training of the model, None where it is unknown. Raises `PlanError` for a model never published."""
    if isinstance(model, SuiteModel):
        return _history_of_suite(model)
    return _history_of_world(model) if isinstance(model, WorldModel) else None


def _history_of_suite(model: SuiteModel) -> History:
    """The history of one model of a suite, by the facts of its size and of the repository it is in."""
    facts = model.facts
    if model.name not in facts.sizes:
        raise PlanError(f'model.name: no size "{model.name}" of {model.suite}; {did_you_mean(model.name, facts.sizes)}')
    size, released = facts.sizes[model.name], _released(model)
    peak, schedule = size.peak_learning_rate, facts.schedule
    rate = None
    if peak is not None and schedule is not None:
        rate = OriginalRate(peak=peak, minimum=peak * schedule.minimum_ratio, warmup_steps=schedule.warmup_steps)
    return History(
        repository=released.repository.format(**model.choice),
        revision=facts.revision,
        checkpoint_steps=all_steps(released.steps or facts.steps),
        random_steps=(),
        optimizer_steps=all_steps(facts.optimizer_steps),
        total_steps=facts.total_steps,
        batch_rows=facts.batch_rows,
        sequence_length=facts.sequence_length,
        learning_rate=rate,
        precision=facts.precision.get(model.name),
        shape=size.gpt_neox,
        row_order=facts.row_order,
        rows_repository=released.rows_repository,
        arm=released.arm,
        acts_as=released.acts_as,
    )


def _released(model: SuiteModel) -> ReleasedModels:
    """The entry of the facts that the model belongs to. Raises `PlanError` that says which choices were published."""
    candidates = [(entry, _wrong_options(model, entry)) for entry in model.facts.models]
    for entry, wrong in candidates:
        if not wrong:
            return entry
    fewest = min(len(wrong) for _, wrong in candidates)
    nearest = [
        " with ".join(f"model.{key}={', '.join(map(_text, entry.where[key]))}" for key in wrong)
        for entry, wrong in candidates
        if len(wrong) == fewest
    ]
    chosen = ", ".join(f"model.{key}={_text(value)}" for key, value in model.choice.items())
    raise PlanError(
        f"{chosen}: no such model of {model.suite} was published; with the rest as it is there are "
        f"{' or '.join(dict.fromkeys(nearest))}"
    )


def _wrong_options(model: SuiteModel, entry: ReleasedModels) -> list[str]:
    """The options whose chosen values the models of an entry do not have. True is not 1."""
    return [
        key
        for key, allowed in entry.where.items()
        if not any(type(value) is type(model.choice[key]) and value == model.choice[key] for value in allowed)
    ]


def _text(value: Choice) -> str:
    """A value as it is typed on the command line."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _history_of_world(model: WorldModel) -> History:
    """The pretraining of the generated world's model, as its settings say."""
    if model.hidden_size % model.num_heads:
        raise PlanError(
            f"model.hidden_size={model.hidden_size}: must be a multiple of model.num_heads={model.num_heads}"
        )
    if model.warmup_steps > model.total_steps:
        raise PlanError(
            f"model.warmup_steps={model.warmup_steps}: the pretraining has {model.total_steps} steps, so its rate "
            f"would not reach the peak; at most {model.total_steps}"
        )
    steps = {0, model.total_steps, *range(0, model.total_steps, model.checkpoint_interval)}
    peak = model.peak_learning_rate
    return History(
        repository=f"world/{model.name}",
        revision="step{step}",
        checkpoint_steps=tuple(sorted(steps)),
        random_steps=(0,),
        optimizer_steps=(),
        total_steps=model.total_steps,
        batch_rows=model.batch_rows,
        sequence_length=model.sequence_length,
        learning_rate=OriginalRate(peak=peak, minimum=peak * _WORLD_MINIMUM_RATIO, warmup_steps=model.warmup_steps),
        precision=_WORLD_PRECISION,
        shape=NeoxShape(
            num_layers=model.num_layers,
            hidden_size=model.hidden_size,
            num_heads=model.num_heads,
            vocabulary_size=model.vocabulary_size,
        ),
        row_order="world",
        rows_repository=None,
        arm=None,
        acts_as=None,
    )


def neighbours(step: float, steps: tuple[int, ...]) -> tuple[int, ...]:
    """Members of the ascending `steps` on either side of `step`, or the one equal to it.

    >>> neighbours(132_990, (132_000, 133_000)), neighbours(132_000, (132_000, 133_000))
    ((132000, 133000), (132000,))
    """
    at = bisect_left(steps, step)
    if at < len(steps) and steps[at] == step:
        return (steps[at],)
    return steps[max(0, at - 1) : at + 1]
