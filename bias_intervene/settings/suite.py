"""The published facts of a suite of models: what its checkpoints are, how they were trained, and on which rows.

Input: the block `model.facts` of conf/model/*.yaml. Output: frozen `SuiteFacts`; `plan.history` makes the original
training of one model of them. Guarantees: facts are checked as settings are. A fact that was not published is left out
of the file, which is why fields have defaults here and nowhere else in the settings: whatever needs a fact that is not
there is refused with that reason, and never computed from a guess.

Facts are data and their kinds are code: a suite needs no code if its schedule has a form of `OriginalSchedule`, its
revisions are a pattern of the step, and its rows are in an order that `row_order` names.
"""

from typing import Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr

from bias_intervene.settings.bounds import Checked, LearningRate, NonNegativeSteps, PositiveInt, PositiveSteps, Share
from bias_intervene.settings.intervention import InterventionName

Choice = StrictBool | StrictInt | StrictStr | None
"""A value of an option that chooses among the models of a suite."""


class StepRange(Checked):
    """Steps at a regular interval."""

    first: NonNegativeSteps = Field(description="First step.")
    last: NonNegativeSteps = Field(description="Last step, included where the interval meets it.")
    every: PositiveSteps = Field(description="Steps from one to the next.")


Steps = list[NonNegativeSteps | StepRange]
"""Published steps: single ones and ranges."""


def all_steps(steps: Steps) -> tuple[int, ...]:
    """The steps that single steps and ranges name, ascending, each once.

    >>> all_steps([0, 512, StepRange(first=1000, last=3000, every=1000)])
    (0, 512, 1000, 2000, 3000)
    """
    singles = {step for step in steps if isinstance(step, int)}
    ranges = (range(step.first, step.last + 1, step.every) for step in steps if isinstance(step, StepRange))
    return tuple(sorted(singles.union(*ranges)))


class NeoxShape(Checked):
    """The shape of a GPT-NeoX model with a 4x feed-forward block and untied embeddings."""

    num_layers: PositiveInt = Field(description="Transformer blocks.")
    hidden_size: PositiveInt = Field(description="Width.")
    num_heads: PositiveInt = Field(description="Attention heads.")
    vocabulary_size: PositiveInt = Field(description="Rows of the embedding.")

    @property
    def num_parameters(self) -> int:
        """Number of weights, biases and layer norms included.

        >>> NeoxShape(num_layers=6, hidden_size=512, num_heads=8, vocabulary_size=50304).num_parameters
        70426624
        """
        layer = 12 * self.hidden_size**2 + 13 * self.hidden_size
        return 2 * self.vocabulary_size * self.hidden_size + self.num_layers * layer + 2 * self.hidden_size


class ModelSize(Checked):
    """What is known of one size of a suite."""

    peak_learning_rate: LearningRate | None = Field(None, description="Highest learning rate of its training.")
    gpt_neox: NeoxShape | None = Field(
        None,
        description="Its shape if it is a GPT-NeoX; left out: another architecture, whose memory is not estimated.",
    )


class ReleasedModels(Checked):
    """The models of a suite whose repositories follow one pattern."""

    repository: StrictStr = Field(description="Name on the hub, with {name} and the suite's {options} in braces.")
    where: dict[StrictStr, list[Choice]] = Field(
        description="Option, or name, -> the values for which these models exist; an option left out takes any."
    )
    steps: Steps | None = Field(None, description="Published steps; left out: those of the suite.")
    rows_repository: StrictStr | None = Field(None, description="Data set on the hub with their rows in order.")
    arm: StrictStr | None = Field(
        None, description="Arm of the comparison, for models already altered; they are evaluated, not trained further."
    )
    acts_as: InterventionName | None = Field(
        None, description="Intervention whose expected effect an altered model is checked for."
    )


class OriginalSchedule(Checked):
    """The learning rate of the original training, relative to its peak."""

    form: Literal["neox_cosine"] = Field(
        description="neox_cosine: linear warm-up, then a cosine whose period is the whole training, as in GPT-NeoX."
    )
    warmup_steps: NonNegativeSteps = Field(description="Steps of linear warm-up.")
    minimum_ratio: Share = Field(description="The rate at the last step, as a share of the peak.")


class SuiteFacts(Checked):
    """What was published of a suite of models."""

    options: dict[StrictStr, StrictStr] = Field(
        {}, description="Keys of model that choose among the suite's models -> what each decides."
    )
    sizes: dict[StrictStr, ModelSize] = Field(description="Value of model.name -> what is known of that size.")
    models: list[ReleasedModels] = Field(description="Its models, by the pattern of their repositories.")
    revision: StrictStr = Field(description="Branch or tag of a checkpoint, with {step} in braces.")
    steps: Steps = Field(description="Published steps.")
    optimizer_steps: Steps = Field([], description="Steps whose optimizer states were published too.")
    total_steps: PositiveSteps = Field(description="Steps of the original training.")
    batch_rows: PositiveInt = Field(description="Rows a step; times sequence_length, the tokens a step.")
    sequence_length: PositiveInt = Field(description="Tokens the models read of a row.")
    schedule: OriginalSchedule | None = Field(None, description="Learning rate; left out: not known.")
    precision: dict[StrictStr, Literal["fp16", "bf16", "fp32"]] = Field(
        {}, description="Value of model.name -> type of numbers its training computed in; left out: not known."
    )
    row_order: Literal["pile"] | None = Field(
        None, description="Where the rows of a step are; pile: stored in the order of training. Left out: not known."
    )
