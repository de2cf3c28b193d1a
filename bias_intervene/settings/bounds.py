"""Number types with bounds, and the base class of all groups of settings.

Every number has an upper bound too, far above what is sensible, so that a slip (1e11 steps) is refused at once and
takes neither the memory nor the time that it asks for.

Input: values of a group. Output: none of its own; the groups inherit from it.
Guarantees: a model that derives from `Checked` cannot be altered, converts nothing ("3" is not 3), and refuses keys it
does not list.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

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


class Checked(BaseModel):
    """Base of every group: immutable, without conversion of types, without unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", protected_namespaces=())
