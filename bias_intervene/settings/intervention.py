"""Settings of the group intervention: what is changed in the rows the model reads.

The names, and which options go with which kind of intervention, stand here, because they are checked before anything
is imported that acts on rows; what an intervention does is described in `interventions.registry`, entry by entry.
"""

from typing import Literal, get_args

from pydantic import Field, StrictStr, ValidationInfo, field_validator

from bias_intervene.settings.bounds import Checked, Nats, Share

Unaltered = Literal["none"]
Rule = Literal["masculine_to_feminine", "feminine_to_masculine", "both", "neutral"]
Control = Literal["retokenize"]
Profile = Literal["pythia_token_map", "pythia_replace", "pythia_pushed"]
InterventionName = Literal[Unaltered, Rule, Control, Profile]
InterventionKind = Literal["unaltered", "rule", "control", "profile"]
"""unaltered: rows are read as they are stored; rule: pronouns are swapped by the rule over words; control: rows are
processed and no pronoun changes; profile: what others published, faults included."""
NAMES_OF_KIND: dict[InterventionKind, tuple[str, ...]] = {
    "unaltered": get_args(Unaltered),
    "rule": get_args(Rule),
    "control": get_args(Control),
    "profile": get_args(Profile),
}
_DRAW = ("probability", "unit")
_DEFAULTS = {"length": "keep", "possessives": "fit", "margin": 0.0}
"""Option that only some kinds have -> its default in conf/, which is the one value that the other kinds accept."""
OPTIONS = (*_DRAW, *_DEFAULTS)
"""Every option of an intervention; `fraction` belongs to the plan of the training."""
OPTIONS_OF_KIND: dict[InterventionKind, tuple[str, ...]] = {
    # The unaltered arm is the same whatever they say, and is swept beside arms that have all of them.
    "unaltered": OPTIONS,
    "rule": (*_DRAW, "length", "possessives", "margin"),
    "control": _DRAW,
    "profile": _DRAW,
}


def kind_of(name: str) -> InterventionKind:
    """The kind of the intervention of that name. Raises `KeyError` where there is none."""
    for kind, names in NAMES_OF_KIND.items():
        if name in names:
            return kind
    raise KeyError(name)


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
    margin: Nats = Field(description="A her or his less sure than this, in nats, is left alone.")

    @field_validator(*_DEFAULTS)
    @classmethod
    def _belongs_to_the_kind(cls, value: object, info: ValidationInfo) -> object:
        """Refuses an option that interventions of this kind do not have."""
        name, option = info.data.get("name"), str(info.field_name)
        if name is None:  # It is no intervention's name, which is a fault of its own.
            return value
        if option not in OPTIONS_OF_KIND[kind_of(name)] and value != _DEFAULTS[option]:
            raise ValueError(f"intervention={name} has no such option; leave it out")
        return value
