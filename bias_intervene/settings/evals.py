"""Settings of the group evals: which checkpoints are scored, and on what.

A benchmark has a field of its name in `EvalsSettings`, whose type is a `BenchmarkSettings`. Everything that asks which
benchmarks are switched on goes through `EvalsSettings.scored_benchmarks`, in the order of the fields.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StrictBool, StrictStr, field_validator

from bias_intervene.settings.bounds import Checked, NonNegativeSteps, PositiveInt

WinobiasProtocol = Literal["pronoun_choice", "exact_match", "referent_choice", "sentence"]


class BenchmarkSettings(Checked):
    """What every benchmark of ours can be set to."""

    needs_heldout_rows: ClassVar[bool] = False
    """Whether it is scored on rows kept out of training, and only where a run has them."""
    enabled: StrictBool = Field(description="Score it.")


class CrowsPairsSettings(BenchmarkSettings):
    """CrowS-Pairs: stereotypical against less stereotypical sentences."""

    source: Literal["hub", "world"] = Field(description="Hub data set (1,677 pairs), or the generated world's pairs.")
    language: Literal["english", "french"] = Field(description="Of the hub's data set.")
    path: StrictStr | None = Field(description="Local file in the original CSV format; read instead if set.")
    categories: Annotated[list[StrictStr], Field(min_length=1)] | None = Field(
        description="bias_type values to score, e.g. [gender]; null: all."
    )


class WinobiasSettings(BenchmarkSettings):
    """WinoBias: pronouns of occupations, pro- and anti-stereotypical."""

    source: Literal["hub", "world"] = Field(description="Hub data set, or the generated world's sentences.")
    path: StrictStr | None = Field(description="Local folder of the original files; read instead if set.")
    split: Literal["validation", "test"] = Field(description="396 sentences a file each.")
    protocols: list[WinobiasProtocol] = Field(
        description="pronoun_choice (the paper's), exact_match (by generation), referent_choice, sentence."
    )

    @field_validator("protocols")
    @classmethod
    def _some(cls, protocols: list[WinobiasProtocol]) -> list[WinobiasProtocol]:
        if not protocols:
            raise ValueError("name a protocol at least, or switch WinoBias off: evals.winobias.enabled=false")
        return protocols


class LambadaSettings(BenchmarkSettings):
    """LAMBADA: the last word of a passage, what an intervention costs."""

    path: StrictStr | None = Field(description="Local JSON lines with the passages under `text`; read instead if set.")


class PerplexitySettings(BenchmarkSettings):
    """Perplexity of the rows kept out of training: what an intervention costs."""

    needs_heldout_rows: ClassVar[bool] = True
    enabled: StrictBool = Field(description="Score it, where the run has such rows.")


class PronounsSettings(BenchmarkSettings):
    """The manipulation check: did the model's pronouns move at all?"""

    source: Literal["english", "world"] = Field(description="Prompts in plain English, or the world's sentences.")


class EvalsSettings(Checked):
    """Which checkpoints are scored, and on what."""

    base: StrictBool = Field(description="Score the checkpoint that training starts from.")
    published_final: StrictBool = Field(description="Score the original run's last checkpoint, where it has one.")
    saved: Literal["all", "last"] = Field(description="Which of the run's own checkpoints are scored.")
    steps: list[NonNegativeSteps] | None = Field(
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

    @property
    def of_benchmarks(self) -> dict[str, BenchmarkSettings]:
        """Name of a benchmark -> its settings."""
        values = ((name, getattr(self, name)) for name in type(self).model_fields)
        return {name: value for name, value in values if isinstance(value, BenchmarkSettings)}

    def scored_benchmarks(self, *, with_heldout_rows: bool = True) -> tuple[str, ...]:
        """Names of the benchmarks that are scored, in the order of the fields; `harness` last.

        with_heldout_rows: whether the run has rows kept out of training.
        """
        names = [
            name
            for name, settings in self.of_benchmarks.items()
            if settings.enabled and (with_heldout_rows or not settings.needs_heldout_rows)
        ]
        return (*names, *(["harness"] if self.harness_tasks else []))

    def without_benchmarks(self) -> "EvalsSettings":
        """The same with nothing to score."""
        off = {name: value.model_copy(update={"enabled": False}) for name, value in self.of_benchmarks.items()}
        return self.model_copy(update={**off, "steps": None, "harness_tasks": [], "harness_include_path": None})
