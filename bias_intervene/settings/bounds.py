"""Number types with bounds, and the base class of all groups of settings.

Every number has an upper bound too, far above what is sensible, so that a slip (1e11 steps) is refused at once and
takes neither the memory nor the time that it asks for.

Input: values of a group. Output: none of its own; the groups inherit from it.
Guarantees: a model that derives from `Checked` cannot be altered, converts nothing ("3" is not 3), and refuses keys it
does not list. Its floats have 12 significant digits, so that 0.1 + 0.2 and 0.3 are one setting and not two.
"""

from typing import Annotated, Any, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

_MAX_STEPS = 2_000_000
"""Lists of steps are made of it, and the longest published trainings have half of it."""

PositiveInt = Annotated[int, Field(gt=0, le=10_000_000)]
PositiveSteps = Annotated[int, Field(gt=0, le=_MAX_STEPS)]
NonNegativeSteps = Annotated[int, Field(ge=0, le=_MAX_STEPS)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
HeldoutRows = Annotated[int, Field(ge=0, le=100_000)]
"""Rows that the evaluation holds in memory."""
Processes = Annotated[int, Field(gt=0, le=1_024)]
"""Processes or threads of one machine."""
PositiveFloat = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Nats = Annotated[float, Field(ge=0, le=50, allow_inf_nan=False)]
"""Log-odds: e to the 50th is beyond every probability that a model gives."""
LearningRate = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]


def rounded(value: Any) -> Any:
    """The same JSON value with every float in it rounded to 12 significant digits.

    >>> rounded({"share": 0.1 + 0.2, "steps": [1, 2.0]})
    {'share': 0.3, 'steps': [1, 2.0]}
    """
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list):
        return [rounded(item) for item in cast("list[Any]", value)]
    return float(f"{value:.12g}") if isinstance(value, float) else value


class Checked(BaseModel):
    """Base of every group: immutable, without conversion of types, without unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _rounds_floats(cls, values: Any) -> Any:
        """Values with another last digit, as range(0.1,0.4,0.1) makes them, are the same setting."""
        return rounded(values)
