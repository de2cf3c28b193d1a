"""Every key a user can set, checked once at the door."""

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
from bias_intervene.settings.model import FolderModel, GgufModel, HubModel, PythiaModel, WorldModel
from bias_intervene.settings.reading import (
    alternatives,
    conf_dir,
    known_keys,
    option_values,
    read_intervention,
    read_settings,
)
from bias_intervene.settings.settings import Settings
from bias_intervene.settings.tracking import TrackingSettings
from bias_intervene.settings.train import TrainSettings

__all__ = [
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
    "PileData",
    "PronounsSettings",
    "PythiaModel",
    "Settings",
    "TextData",
    "TrackingSettings",
    "TrainSettings",
    "WinobiasSettings",
    "WorldData",
    "WorldModel",
    "alternatives",
    "conf_dir",
    "known_keys",
    "option_values",
    "read_intervention",
    "read_settings",
]
