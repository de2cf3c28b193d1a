"""Settings of the group model: which checkpoint is continued.

Input: the values of conf/model/*.yaml. Output: settings of one of five kinds of model, told apart by `kind`.
Guarantees: the keys of a suite are those that its facts list, and each of them is there; a key that only another kind
or another suite has is refused.
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StrictStr, model_validator
from pydantic_core import PydanticCustomError

from bias_intervene.errors import did_you_mean
from bias_intervene.settings.bounds import Checked, LearningRate, NonNegativeSteps, PositiveInt, PositiveSteps, Share
from bias_intervene.settings.suite import Choice, SuiteFacts


class TrainedModel(Checked):
    """A model whose original training is known, so that a run can start at any published step of it."""

    step: NonNegativeSteps | None = Field(description="Published step to start from; null: from the fraction.")
    default_fraction: Share = Field(description="Fraction where none is asked for.")


class SuiteModel(TrainedModel):
    """A model of a suite with published checkpoints. Keys besides these are the options that its facts list."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Choice]  # pyright: ignore[reportIncompatibleVariableOverride]

    kind: Literal["suite"]
    suite: StrictStr = Field(description="Name of the suite.")
    name: StrictStr = Field(description="Size, as the suite names it.")
    path: StrictStr | None = Field(
        description="Folder with a folder of its revision for each checkpoint, as stepN/, or with one such folder for "
        "each of several models, named like their repositories; null: the hub."
    )
    facts: SuiteFacts = Field(description="What was published of the suite.")

    @model_validator(mode="after")
    def _has_the_options_of_its_suite(self) -> "SuiteModel":
        """Refuses keys that are none of the suite's options, and options without a value."""
        known = [*type(self).model_fields, *self.facts.options]
        options = self.model_extra or {}
        faults = [
            f"model.{key}: no such key for model.suite={self.suite}; {did_you_mean(key, known)}"
            for key in options
            if key not in self.facts.options
        ]
        faults += [f"model.{key}: missing" for key in self.facts.options if key not in options]
        if faults:
            raise PydanticCustomError("suite_options", "{faults}", {"faults": "\n".join(faults)})
        return self

    @property
    def choice(self) -> dict[str, Choice]:
        """What chooses among the suite's models: its name, and every option by its key."""
        return {"name": self.name, **(self.model_extra or {})}


class HubModel(Checked):
    """Any causal language model of the Hugging Face hub."""

    kind: Literal["hub"]
    name: StrictStr = Field(description="Short name, used in tables.")
    repository: StrictStr = Field(description="Repository on the hub.")
    revision: StrictStr | None = Field(description="Branch, tag or commit; null: the default branch.")


class FolderModel(Checked):
    """A checkpoint folder as `save_pretrained` leaves it, tokenizer included."""

    kind: Literal["folder"]
    name: StrictStr = Field(description="Short name, used in tables.")
    path: StrictStr = Field(description="Folder with config.json, safetensors weights and a tokenizer.")


class GgufModel(Checked):
    """A GGUF file, given by its path or by the Python package that ships it."""

    kind: Literal["gguf"]
    name: StrictStr = Field(description="Short name, used in tables.")
    package: StrictStr | None = Field(description="Installed package that ships the file.")
    path: StrictStr = Field(description="The file; relative to the package's site folder if one is named.")


class WorldModel(TrainedModel):
    """A small GPT-NeoX pretrained here on the generated world: a suite in miniature, checkpoints included."""

    kind: Literal["world"]
    name: StrictStr = Field(description="Short name, used in tables.")
    num_layers: Annotated[int, Field(gt=0, le=1_000)] = Field(description="Transformer blocks.")
    hidden_size: Annotated[int, Field(gt=0, le=100_000)] = Field(description="Width; a multiple of num_heads.")
    num_heads: Annotated[int, Field(gt=0, le=1_000)] = Field(description="Attention heads.")
    vocabulary_size: Annotated[int, Field(ge=300, le=65_536)] = Field(description="Entries of the tokenizer to train.")
    sequence_length: PositiveInt = Field(description="Tokens a row the model was pretrained on.")
    batch_rows: PositiveInt = Field(description="Rows a step of the pretraining.")
    total_steps: PositiveSteps = Field(description="Steps of the pretraining.")
    warmup_steps: NonNegativeSteps = Field(description="Steps of linear warm-up of the pretraining.")
    checkpoint_interval: PositiveSteps = Field(description="Steps between its published checkpoints.")
    peak_learning_rate: LearningRate = Field(description="Highest learning rate of the pretraining.")


ModelSettings = Annotated[SuiteModel | HubModel | FolderModel | GgufModel | WorldModel, Field(discriminator="kind")]
