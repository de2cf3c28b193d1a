"""Settings of the group model: which checkpoint is continued."""

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr

from bias_intervene.settings.bounds import Checked, NonNegativeInt, PositiveFloat, PositiveInt, Share


class PythiaModel(Checked):
    """A published Pythia checkpoint."""

    kind: Literal["pythia"]
    name: StrictStr = Field(description="Size: 14m, 31m, 70m, 160m, 410m, 1b, 1.4b, 2.8b, 6.9b, 12b.")
    deduped: StrictBool = Field(description="Trained on the deduplicated Pile (the case study's models).")
    seed: Annotated[StrictInt, Field(ge=1)] | None = Field(description="PolyPythias seed, 1 to 9.")
    variant: Literal["original", "intervention", "intervention_long"] = Field(
        description="original, or the case study's released interventions of 7% and 21%: to be evaluated only."
    )
    step: NonNegativeInt | None = Field(description="Published step to start from; null: from the fraction.")
    path: StrictStr | None = Field(
        description="Folder with stepN/ snapshots, or with pythia-.../stepN/ of several models; null: the hub."
    )
    default_fraction: Share = Field(description="Fraction where none is asked for.")


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


class WorldModel(Checked):
    """A small GPT-NeoX pretrained here on the generated world: a Pythia in miniature, checkpoints included."""

    kind: Literal["world"]
    name: StrictStr = Field(description="Short name, used in tables.")
    num_layers: PositiveInt = Field(description="Transformer blocks.")
    hidden_size: PositiveInt = Field(description="Width; a multiple of num_heads.")
    num_heads: PositiveInt = Field(description="Attention heads.")
    vocabulary_size: Annotated[int, Field(ge=300)] = Field(description="Entries of the tokenizer to train.")
    sequence_length: PositiveInt = Field(description="Tokens a row the model was pretrained on.")
    batch_rows: PositiveInt = Field(description="Rows a step of the pretraining.")
    total_steps: PositiveInt = Field(description="Steps of the pretraining.")
    warmup_steps: NonNegativeInt = Field(description="Steps of linear warm-up of the pretraining.")
    checkpoint_interval: PositiveInt = Field(description="Steps between its published checkpoints.")
    peak_learning_rate: PositiveFloat = Field(description="Highest learning rate of the pretraining.")
    step: NonNegativeInt | None = Field(description="Checkpoint to start from; null: from the fraction.")
    default_fraction: Share = Field(description="Fraction where none is asked for.")


ModelSettings = Annotated[PythiaModel | HubModel | FolderModel | GgufModel | WorldModel, Field(discriminator="kind")]
