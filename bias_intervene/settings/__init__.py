"""Every key a user can set, its type and bound, and the one place where they are checked.

There is one module per group of `conf/`; `settings` puts the groups together and `reading` checks plain values.

Input: plain JSON values, as Hydra composed them or as a settings.json holds them.
Output: frozen `Settings`, or a `SettingsError` that lists every fault by its dotted key.
Guarantees: after this package no value is checked or converted again.
"""

from bias_intervene.settings.bounds import rounded
from bias_intervene.settings.claims import Claim
from bias_intervene.settings.data import (
    CorpusData,
    DataSettings,
    HubData,
    IndexedData,
    JsonlData,
    PileData,
    TextData,
    WorldData,
)
from bias_intervene.settings.evals import (
    CrowsPairsSettings,
    EvalsSettings,
    LambadaSettings,
    PronounsSettings,
    WinobiasSettings,
)
from bias_intervene.settings.intervention import InterventionName, InterventionSettings
from bias_intervene.settings.model import (
    FolderModel,
    GgufModel,
    HubModel,
    ModelSettings,
    SuiteModel,
    TrainedModel,
    WorldModel,
)
from bias_intervene.settings.reading import (
    alternatives,
    conf_dir,
    in_current_form,
    known_keys,
    option_values,
    read_intervention,
    read_settings,
)
from bias_intervene.settings.settings import SWEEP_NAME, Settings
from bias_intervene.settings.suite import NeoxShape, SuiteFacts, all_steps
from bias_intervene.settings.tracking import TrackingSettings
from bias_intervene.settings.train import TrainSettings

__all__ = [
    "SWEEP_NAME",
    "Claim",
    "CorpusData",
    "CrowsPairsSettings",
    "DataSettings",
    "EvalsSettings",
    "FolderModel",
    "GgufModel",
    "HubData",
    "HubModel",
    "IndexedData",
    "InterventionName",
    "InterventionSettings",
    "JsonlData",
    "LambadaSettings",
    "ModelSettings",
    "NeoxShape",
    "PileData",
    "PronounsSettings",
    "Settings",
    "SuiteFacts",
    "SuiteModel",
    "TextData",
    "TrackingSettings",
    "TrainSettings",
    "TrainedModel",
    "WinobiasSettings",
    "WorldData",
    "WorldModel",
    "all_steps",
    "alternatives",
    "conf_dir",
    "in_current_form",
    "known_keys",
    "option_values",
    "read_intervention",
    "read_settings",
    "rounded",
]
