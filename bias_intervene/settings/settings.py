"""`Settings`: the groups of settings in one model, each key with its type, its bound and one sentence.

Defaults are in conf/ only: no field here has one, so a key that is missing from the YAML is a fault too. `model.kind`
and `data.kind` choose which keys exist, so that `model.deduped=false` for a model without such variants is refused and
not ignored.

Input: plain JSON, as composed and resolved by Hydra, or read back from a run's settings.json (`reading.read_settings`).
Output: one frozen `Settings`.
Guarantees: an unknown key, a value of the wrong type or a value out of bounds is refused before any work, and all
faults are reported at once. No value is converted silently: "3" is not 3.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StrictBool, StrictStr

from bias_intervene.settings.bounds import Checked, Seed
from bias_intervene.settings.claims import Claim
from bias_intervene.settings.data import DataSettings
from bias_intervene.settings.evals import EvalsSettings
from bias_intervene.settings.intervention import InterventionSettings
from bias_intervene.settings.model import ModelSettings
from bias_intervene.settings.tracking import TrackingSettings
from bias_intervene.settings.train import TrainSettings

SWEEP_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""Pattern of a sweep's name, which names a directory too."""


class Settings(Checked):
    """Everything one run depends on."""

    seed: Seed = Field(description="Row order (data.shuffle) and share of altered rows or pronouns are drawn from it.")
    dry_run: StrictBool = Field(description="Print the plan and stop.")
    cache_dir: StrictStr = Field(description="Prepared corpora, converted and demo models, by fingerprint.")
    experiment: StrictStr | None = Field(description="Preset this run was composed from.")
    sweep: Annotated[StrictStr, Field(pattern=SWEEP_NAME)] = Field(
        description="Name of the sweep (-m) this run is a job of; the same command under the same name continues it."
    )
    objective: StrictStr | None = Field(
        description="Metric a run returns to a searching sweeper, BENCHMARK/PROTOCOL/SUBSET/METRIC; null: none."
    )
    claims: list[Claim] = Field(description="What the sweep is to show, stated before its runs; []: nothing.")
    model: ModelSettings
    intervention: InterventionSettings
    data: DataSettings
    train: TrainSettings
    evals: EvalsSettings
    tracking: TrackingSettings

    @property
    def cache(self) -> Path:
        """Path of the cache folder, with ~ expanded."""
        return Path(self.cache_dir).expanduser()

    def to_json(self) -> dict[str, Any]:
        """The settings as settings.json holds them; `read_settings` reads them back."""
        return self.model_dump(mode="json")
