"""The words of a command line: what is wrong with them, and the jobs they ask for.

Enters: overrides as they were typed. Leaves: faults, a line each; the overrides of every job of a sweep.
"""

import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.errors import HydraException
from omegaconf import DictConfig

from bias_intervene.errors import did_you_mean
from bias_intervene.settings import conf_dir, known_keys

PLUGINS = {
    ("hydra/launcher", "joblib"): "hydra_joblib_launcher",
    ("hydra/launcher", "submitit_local"): "hydra_submitit_launcher",
    ("hydra/launcher", "submitit_slurm"): "hydra_submitit_launcher",
    ("hydra/sweeper", "optuna"): "hydra_optuna_sweeper",
}
"""What brings launchers and sweepers that are not Hydra's own."""


def options(group: str) -> list[str]:
    """Names of the options of a group. A file whose name begins with `_` is a body that options share, no option."""
    return sorted(path.stem for path in (Path(conf_dir()) / group).glob("*.yaml") if not path.stem.startswith("_"))


def hide_shared_bodies() -> None:
    """Keeps the bodies that options share (`_base.yaml`) out of Hydra's help, tab completion and messages.

    Hydra lists every file of a group and has no setting for it, so its lister is wrapped.
    """
    listed = ConfigLoaderImpl.get_group_options

    def shown(self: ConfigLoaderImpl, *words: Any, **named: Any) -> list[str]:
        return [name for name in listed(self, *words, **named) if not name.startswith("_")]

    ConfigLoaderImpl.get_group_options = shown  # type: ignore[method-assign]


def groups() -> list[str]:
    """Names of our groups."""
    return sorted(path.name for path in Path(conf_dir()).iterdir() if path.is_dir() and path.name != "hydra")


def faults_of_overrides(words: Iterable[str]) -> list[str]:
    """What is wrong with the keys and options of command-line overrides, a line each.

    Hydra alone would report the first one only, would advise to force an unknown key with `+`, and would then take it.
    """
    faults: list[str] = []
    for word in words:
        try:
            override = OverridesParser.create().parse_override(word)
        except HydraException as error:
            faults.append(f"{word}: not KEY=VALUE ({str(error).splitlines()[0]})")
            continue
        key = override.key_or_group
        if key.split(".")[0].split("/")[0] == "hydra":
            faults += faults_of_hydra(override)
            continue
        faults += faults_of_group(override) if key in groups() else faults_of_key(override)
    return faults


def faults_of_hydra(override: Override) -> list[str]:
    """Of Hydra's own settings: a launcher or sweeper that is not installed, and what would lose a sweep its jobs."""
    if override.key_or_group == "hydra.sweep.subdir":
        return [f"{override.input_line}: jobs are found again by the names of their directories; set sweep=NAME"]
    named = PLUGINS.get((override.key_or_group, str(override.value())))
    if named is None or importlib.util.find_spec(f"hydra_plugins.{named}") is not None:
        return []
    return [f'{override.input_line}: its package is not installed; pip install "bias_intervene[sweeps]"']


def faults_of_group(override: Override) -> list[str]:
    """Options that do not exist."""
    group = override.key_or_group
    allowed = options(group)
    if override.is_sweep_override():
        values = [str(value) for value in override.sweep_string_iterator()]
    else:
        values = [str(override.value())]
    return [
        f"{group}={value}: no such option; {did_you_mean(value, allowed)}"
        for value in values
        if value not in {*allowed, "null", "None"}
    ]


def faults_of_key(override: Override) -> list[str]:
    """A key that does not exist, or that would be deleted or added."""
    key = override.key_or_group
    known = known_keys()
    if key in known:
        return [f"{key}: a key cannot be deleted"] if override.is_delete() else []
    if any(name.startswith(f"{key}.") for name in known) and override.value_type == ValueType.ELEMENT:
        return []
    return [f"{key}: no such key; {did_you_mean(key, [*known, *groups()])}"]


def jobs_of(config: DictConfig) -> list[list[str]]:
    """The overrides of every job, expanded as Hydra does it; none for a sweeper that searches."""
    sweeper = config.hydra.sweeper
    target = str(sweeper.get("_target_")).rsplit(".", 1)[-1]
    if target == "GridSweeper":
        given = OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
        return jobs_of_grids(sweeper.grids, given)
    if target != "BasicSweeper":
        return []
    words = [*(f"{key}={value}" for key, value in (sweeper.params or {}).items()), *config.hydra.overrides.task]
    (jobs,) = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(words), None)
    return jobs


def jobs_of_grids(grids: Iterable[Mapping[str, str]], given: Sequence[Override]) -> list[list[str]]:
    """The jobs of every grid, each job once. A key that is given takes the place of a grid's own."""
    jobs: dict[frozenset[str], list[str]] = {}
    for grid in grids:
        own = OverridesParser.create().parse_overrides([f"{key}={value}" for key, value in grid.items()])
        (found,) = BasicSweeper.split_arguments([*own, *given], None)
        for job in found:
            jobs.setdefault(frozenset(job), job)
    return list(jobs.values())
