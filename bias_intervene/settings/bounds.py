"""Number types with bounds, and the base class of all groups of settings.

Input: values of a group. Output: none of its own; the groups inherit from it.
Guarantees: a model that derives from `Checked` cannot be altered, converts nothing ("3" is not 3), and refuses keys it
does not list.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class Checked(BaseModel):
    """Base of every group: immutable, without conversion of types, without unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", protected_namespaces=())
