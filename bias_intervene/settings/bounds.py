"""What all settings share: bounded numbers, and a base that is frozen, strict and closed."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class Checked(BaseModel):
    """Frozen, strict, closed: the manner of every group below."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", protected_namespaces=())
