"""Every key a user can set: its type, its bound, one sentence on it.

Enters: plain JSON, as composed and resolved by Hydra (or read back from a run's settings.json). Leaves: one frozen
`Settings`, by way of `checking`. Promised: a key that is not listed here, a value of the wrong type or out of bounds is
refused before any work, and all faults are reported at once by their dotted key; nothing is coerced in silence ("3" is
not 3).

Defaults live in conf/, one home for each: no field here has one, so a key missing from the YAML is a fault too.
What a group's option means is told by its discriminator: `model.kind` and `data.kind` choose which keys exist,
so that `model.deduped=false` for a model that has no such variants is refused and not ignored.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StrictBool, StrictStr

from bias_intervene.settings.bounds import Checked, NonNegativeInt
from bias_intervene.settings.data import DataSettings
from bias_intervene.settings.evals import EvalsSettings
from bias_intervene.settings.intervention import InterventionSettings
from bias_intervene.settings.model import ModelSettings
from bias_intervene.settings.tracking import TrackingSettings
from bias_intervene.settings.train import TrainSettings


class Settings(Checked):
    """Everything one run depends on."""

    seed: NonNegativeInt = Field(description="Row order and every random draw of the run.")
    dry_run: StrictBool = Field(description="Print the plan and stop.")
    cache_dir: StrictStr = Field(description="Prepared corpora, converted and demo models, by fingerprint.")
    experiment: StrictStr | None = Field(description="Preset this run was composed from.")
    sweep: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = Field(
        description="Name of the sweep (-m) this run is a job of; the same command under the same name continues it."
    )
    objective: StrictStr | None = Field(
        description="Metric a run returns to a searching sweeper, BENCHMARK/PROTOCOL/SUBSET/METRIC; null: none."
    )
    model: ModelSettings
    intervention: InterventionSettings
    data: DataSettings
    train: TrainSettings
    evals: EvalsSettings
    tracking: TrackingSettings

    @property
    def cache(self) -> Path:
        """The cache folder, with ~ expanded."""
        return Path(self.cache_dir).expanduser()

    def to_json(self) -> dict[str, Any]:
        """The settings as settings.json holds them; `read` takes them back."""
        return self.model_dump(mode="json")
