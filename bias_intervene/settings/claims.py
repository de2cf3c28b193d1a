"""Settings of the key claims: what a sweep is to show, stated before its runs.

A list of claims stands in an experiment's yaml. Every run of the sweep records it, and the comparison tests the claims
as one family and calls everything else explored.

Input: the values of the key. Output: a list of `Claim`.
Guarantees: nothing here changes a run. A claim of equality has a margin, because no difference found is not equality.
"""

from typing import Literal

from pydantic import Field, StrictStr, field_validator, model_validator

from bias_intervene.settings.bounds import Checked, PositiveFloat

_NAMES = "BENCHMARK/PROTOCOL/SUBSET/METRIC, where * stands for any text"


class Claim(Checked):
    """One claim about the difference between every arm and its control."""

    metric: StrictStr = Field(description=f"{_NAMES}, as in winobias/sentence/all/*.")
    direction: Literal["higher", "lower", "equal"] = Field(description="Of the arm against its control.")
    margin: PositiveFloat | None = Field(
        # The only default outside conf/: an entry of a list has no other place for one.
        default=None,
        description="In the metric's own unit (a share: 0.05 is 5 points): higher or lower by more than it; equal: the "
        "difference lies within it; null: any difference.",
    )

    @field_validator("metric")
    @classmethod
    def _names_a_metric(cls, value: str) -> str:
        """Refuses what cannot be the four names of a metric. A subset may hold slashes itself (gender/stereo)."""
        parts = value.split("/")
        if "" in parts or (len(parts) < 4 and "*" not in value):
            raise ValueError(f"must be {_NAMES}")
        return value

    @model_validator(mode="after")
    def _equality_needs_a_margin(self) -> "Claim":
        """Refuses a claim of equality that no result could contradict."""
        if self.direction == "equal" and self.margin is None:
            raise ValueError("direction equal needs a margin: how large a difference still counts as none")
        return self
