"""Settings of the group tracking: whether a run also reports to an experiment tracker, and to which.

Input: the values of conf/tracking/*.yaml. Output: `TrackingSettings`.
Guarantees: nothing here changes a result.
"""

from typing import Literal

from pydantic import Field, StrictStr

from bias_intervene.settings.bounds import Checked


class TrackingSettings(Checked):
    """Where training curves, evaluations and audit go besides the run directory."""

    name: Literal["none", "tensorboard", "wandb"] = Field(description="Which tracker.")
    project: StrictStr = Field(description="W&B project.")
    mode: Literal["online", "offline"] = Field(description="W&B mode; offline writes a folder to sync later.")
