"""Every key a user can set: its type, its bound, one sentence on it.

Enters: plain JSON, as composed and resolved by Hydra (or read back from a run's settings.json). Leaves: one frozen
`Settings`, by way of `checking`. Promised: a key that is not listed here, a value of the wrong type or out of bounds is
refused before any work, and all faults are reported at once by their dotted key; nothing is coerced in silence ("3" is
not 3).

Defaults live in conf/, one home for each: no field here has one, so a key missing from the YAML is a fault too.
What a group's option means is told by its discriminator: `model.kind` and `data.kind` choose which keys exist,
so that `model.deduped=false` for a model that has no such variants is refused and not ignored.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationInfo, field_validator

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class Checked(BaseModel):
    """Frozen, strict, closed: the manner of every group below."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", protected_namespaces=())


# --- model -----------------------------------------------------------------------------------------------------


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


# --- intervention ----------------------------------------------------------------------------------------------

InterventionName = Literal[
    "none", "masculine_to_feminine", "feminine_to_masculine", "both", "neutral",
    "retokenize", "pythia_token_map", "pythia_replace", "pythia_pushed",
]  # fmt: skip


class InterventionSettings(Checked):
    """What is changed in the rows the model reads."""

    name: InterventionName = Field(description="Which pronouns become which; none is the control.")
    fraction: Share | None = Field(
        description="Share of the original training, counted back from its end, that is read altered; "
        "null: model.default_fraction, unless model.step or train.num_steps decides."
    )
    probability: Share = Field(description="Share of the rows, or of the pronouns, that is altered.")
    unit: Literal["row", "pronoun"] = Field(description="What the probability is drawn for.")
    length: Literal["keep", "shift"] = Field(
        description="A swap that changes the number of tokens is left out (keep), or moves what follows it (shift)."
    )
    possessives: StrictStr = Field(
        description="What decides between his and him for her, her and hers for his: tables fitted on the corpus "
        "(fit), the word lists (words), or the possessives.json of another run (its path)."
    )
    margin: NonNegativeFloat = Field(description="A her or his less sure than this, in nats, is left alone.")

    @field_validator("length", "possessives", "margin")
    @classmethod
    def has_effect(cls, value: object, info: ValidationInfo) -> object:
        """Refuses options that an intervention does not have; the control may be swept beside those that do."""
        name = str(info.data.get("name"))
        defaults = {"length": "keep", "possessives": "fit", "margin": 0.0}
        if (name == "retokenize" or name.startswith("pythia_")) and value != defaults[str(info.field_name)]:
            raise ValueError(f"intervention={name} has no such option; leave it out")
        return value


# --- data ------------------------------------------------------------------------------------------------------


class WorldData(Checked):
    """Sentences about occupations, generated with known pronoun probabilities."""

    kind: Literal["world"]
    seed: NonNegativeInt = Field(description="Draws the sentences; another seed is another world.")
    bias_log_odds: NonNegativeFloat = Field(description="Largest |log P(he)/P(she)| of an occupation, nats.")
    heldout_rows: NonNegativeInt = Field(description="Rows kept out of training for the manipulation check.")
    shuffle: StrictBool = Field(
        description="Read the window's rows in an order drawn from `seed`; false: in the original's."
    )
    unmentioned: Annotated[int, Field(ge=0, le=10)] = Field(
        description="Occupations, evenly spread from female to male leaning, that the end of the training does not "
        "mention: no sentence about them is ever swapped."
    )
    unmentioned_fraction: Share = Field(
        description="Share of the training, counted back from its end, that does not mention them."
    )
    pieces: StrictBool = Field(
        description="Some sentences hold he, him and his as pieces of names (Bolhen), and in brackets: what a swap of "
        "tokens that looks at no neighbours damages."
    )


class OwnData(Checked):
    """What is asked of every corpus of one's own."""

    shuffle: StrictBool = Field(description="Order rows by a permutation drawn from `seed`.")
    allow_repeats: StrictBool = Field(description="Read the corpus again when it is too short.")
    heldout_rows: NonNegativeInt = Field(description="Last rows, kept out of training for the check.")


class TextData(OwnData):
    """Plain text: a file or a folder of .txt or .txt.gz, one document a file."""

    kind: Literal["text"]
    path: StrictStr = Field(description="File or folder.")


class JsonlData(OwnData):
    """JSON lines: a file or a folder of .jsonl or .jsonl.gz, one document a line."""

    kind: Literal["jsonl"]
    path: StrictStr = Field(description="File or folder.")
    field: StrictStr = Field(description="Key that holds the text.")


class HubData(OwnData):
    """A data set of the Hugging Face hub (or a local folder in its format), one document an example."""

    kind: Literal["hub"]
    repository: StrictStr = Field(description="Data set on the hub, or a local folder.")
    config: StrictStr | None = Field(description="Configuration; null: the only one.")
    split: StrictStr = Field(description="Split, e.g. train or train[:1000].")
    revision: StrictStr | None = Field(description="Branch, tag or commit; null: the default branch.")
    field: StrictStr = Field(description="Column that holds the text.")


class IndexedData(OwnData):
    """Rows of one length in Megatron's format, as `python -m bias_intervene.data write` leaves them."""

    kind: Literal["indexed"]
    path: StrictStr = Field(description="A .bin, its shards' folder, or their common prefix.")


class PileData(Checked):
    """Pythia's own rows in their own order: tokens as they were trained on."""

    kind: Literal["pile"]
    source: StrictStr = Field(
        description="hub, or a folder that holds document.bin or those of its shards that the window needs."
    )
    fetch: Literal["shards", "range"] = Field(
        description="From the hub: whole shards, checked by sha256; or only the window's bytes, checked by size."
    )
    heldout_rows: NonNegativeInt = Field(
        description="Rows just before the window for the check: every arm has read them, unaltered."
    )
    shuffle: StrictBool = Field(
        description="Read the window's rows in an order drawn from `seed`; false: in the original's."
    )


CorpusData = TextData | JsonlData | HubData
DataSettings = Annotated[
    WorldData | TextData | JsonlData | HubData | IndexedData | PileData, Field(discriminator="kind")
]


# --- train -----------------------------------------------------------------------------------------------------


class TrainSettings(Checked):
    """How the continued pretraining runs."""

    num_steps: NonNegativeInt | None = Field(
        description="Steps to train; null: from the fraction. With a fraction: only the first ones of its window."
    )
    sequence_length: PositiveInt = Field(description="Tokens the model reads of a row.")
    global_batch_rows: PositiveInt = Field(description="Rows a step = micro batch x accumulation steps x ranks.")
    micro_batch_rows: PositiveInt | None = Field(
        description="Rows a rank holds at once; null: as many as fit into gpu_memory_gib by the plan's estimate."
    )
    num_nodes: PositiveInt = Field(description="Machines; with more than one, `rendezvous` says how they meet.")
    num_processes: PositiveInt = Field(description="Ranks on each machine: one a GPU.")
    rendezvous: Literal["none", "slurm", "torchrun"] = Field(
        description="Where a machine learns its number: SLURM's variables, or those of a torchrun around us."
    )
    num_threads: PositiveInt | None = Field(description="CPU threads a process, in every stage; null: cores / ranks.")
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
    learning_rate: PositiveFloat | None = Field(
        description="Peak (original) or constant rate; null: the original run's peak."
    )
    rewarmup_steps: NonNegativeInt = Field(description="First steps with a linear ramp on the schedule.")
    optimizer_warmup_steps: NonNegativeInt = Field(
        description="Steps at learning rate 0 on the unaltered rows before the window, to rebuild Adam's moments."
    )
    adam_beta1: Annotated[float, Field(ge=0, lt=1)] = Field(description="Decay of the first moment.")
    adam_beta2: Annotated[float, Field(ge=0, lt=1)] = Field(description="Decay of the second moment.")
    adam_epsilon: PositiveFloat = Field(description="Term added to the denominator.")
    weight_decay: NonNegativeFloat = Field(description="Decoupled weight decay on matrices.")
    gradient_clipping: NonNegativeFloat = Field(description="Largest gradient norm; 0: no clipping.")
    save_interval: PositiveInt = Field(description="Steps between checkpoints; the last one is always saved.")
    keep_resumable: PositiveInt = Field(
        description="Newest checkpoints that keep optimizer states; of older ones the weights stay."
    )
    on_damaged: Literal["refuse", "previous"] = Field(
        description="A checkpoint altered since it was saved: refuse to continue, or continue from the one before."
    )


# --- evals -----------------------------------------------------------------------------------------------------

WinobiasProtocol = Literal["pronoun_choice", "exact_match", "referent_choice", "sentence"]


class CrowsPairsSettings(Checked):
    """CrowS-Pairs: stereotypical against less stereotypical sentences."""

    enabled: StrictBool = Field(description="Score it.")
    source: Literal["hub", "world"] = Field(description="Hub data set (1,677 pairs), or the generated world's pairs.")
    language: Literal["english", "french"] = Field(description="Of the hub's data set.")
    path: StrictStr | None = Field(description="Local file in the original CSV format; read instead if set.")
    categories: list[StrictStr] | None = Field(description="bias_type values to score, e.g. [gender]; null: all.")


class WinobiasSettings(Checked):
    """WinoBias: pronouns of occupations, pro- and anti-stereotypical."""

    enabled: StrictBool = Field(description="Score it.")
    source: Literal["hub", "world"] = Field(description="Hub data set, or the generated world's sentences.")
    path: StrictStr | None = Field(description="Local folder of the original files; read instead if set.")
    split: Literal["validation", "test"] = Field(description="396 sentences a file each.")
    protocols: list[WinobiasProtocol] = Field(
        description="pronoun_choice (the paper's), exact_match (by generation), referent_choice, sentence."
    )


class LambadaSettings(Checked):
    """LAMBADA: the last word of a passage, what an intervention costs."""

    enabled: StrictBool = Field(description="Score it.")
    path: StrictStr | None = Field(description="Local JSON lines with the passages under `text`; read instead if set.")


class PerplexitySettings(Checked):
    """Perplexity of the rows kept out of training: what an intervention costs."""

    enabled: StrictBool = Field(description="Score it, where the run has such rows.")


class PronounsSettings(Checked):
    """The manipulation check: did the model's pronouns move at all?"""

    enabled: StrictBool = Field(description="Score it.")
    source: Literal["english", "world"] = Field(description="Prompts in plain English, or the world's sentences.")


class EvalsSettings(Checked):
    """Which checkpoints are scored, and on what."""

    base: StrictBool = Field(description="Score the checkpoint that training starts from.")
    published_final: StrictBool = Field(description="Score the original run's last checkpoint, where it has one.")
    saved: Literal["all", "last"] = Field(description="Which of the run's own checkpoints are scored.")
    steps: list[NonNegativeInt] | None = Field(
        description="Published checkpoints of the original run to score as well; null: none."
    )
    batch_tokens: PositiveInt = Field(description="Tokens scored at once; halved where memory runs out.")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(description="Weights' type while scoring.")
    too_long: Literal["refuse", "truncate"] = Field(
        description="An input longer than the model's context: refuse it, or leave out its beginning and count it."
    )
    crows_pairs: CrowsPairsSettings
    winobias: WinobiasSettings
    lambada: LambadaSettings
    perplexity: PerplexitySettings
    pronouns: PronounsSettings
    harness_tasks: list[StrictStr] = Field(description="Tasks of lm-evaluation-harness to score as well.")
    harness_include_path: StrictStr | None = Field(description="Folder with task files of your own; null: none.")


# --- tracking and the whole ------------------------------------------------------------------------------------


class TrackingSettings(Checked):
    """Where training curves, evaluations and audit go besides the run directory."""

    name: Literal["none", "tensorboard", "wandb"] = Field(description="Which tracker.")
    project: StrictStr = Field(description="W&B project.")
    mode: Literal["online", "offline"] = Field(description="W&B mode; offline writes a folder to sync later.")


class Settings(Checked):
    """Everything one run depends on."""

    seed: NonNegativeInt = Field(description="Row order and every random draw of the run.")
    dry_run: StrictBool = Field(description="Print the plan and stop.")
    cache_dir: StrictStr = Field(description="Prepared corpora, converted and demo models, by fingerprint.")
    experiment: StrictStr | None = Field(description="Preset this run was composed from.")
    sweep: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = Field(
        description="Name of the sweep (-m) this run is a job of; the same command under the same name continues it."
    )
    objective: StrictStr | None = Field(
        description="Metric a run returns to a searching sweeper, BENCHMARK/PROTOCOL/SUBSET/METRIC; null: none."
    )
    model: ModelSettings
    intervention: InterventionSettings
    data: DataSettings
    train: TrainSettings
    evals: EvalsSettings
    tracking: TrackingSettings

    @property
    def cache(self) -> Path:
        """The cache folder, with ~ expanded."""
        return Path(self.cache_dir).expanduser()

    def to_json(self) -> dict[str, Any]:
        """The settings as settings.json holds them; `read` takes them back."""
        return self.model_dump(mode="json")
