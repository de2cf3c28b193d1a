"""The check of a sweep's seeds, as a command line comes to it."""

from collections.abc import Sequence

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from bias_intervene.app.overrides import jobs_of
from bias_intervene.app.replicates import check_seeds
from bias_intervene.errors import SettingsError
from bias_intervene.settings import conf_dir


def faults_of_seeds(*words: str, earlier: Sequence[Sequence[str]] = ()) -> list[str]:
    """What is wrong with the seeds of a sweep. earlier: the overrides of jobs that it holds already."""
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        config = loader.load_configuration("config", list(words), run_mode=RunMode.MULTIRUN)
        try:
            check_seeds(config, jobs_of(config), earlier=earlier)
        except SettingsError as error:
            return error.faults
    return []
