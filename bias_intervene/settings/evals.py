"""Settings of the group evals: which checkpoints are scored, and on what."""

from typing import Literal

from pydantic import Field, StrictBool, StrictStr

from bias_intervene.settings.bounds import Checked, NonNegativeInt, PositiveInt

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
