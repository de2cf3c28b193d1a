"""Settings of the group intervention: what is changed in the rows the model reads."""

from typing import Literal

from pydantic import Field, StrictStr, ValidationInfo, field_validator

from bias_intervene.settings.bounds import Checked, NonNegativeFloat, Share

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
