"""Checks the overrides of a command line, and expands those of a sweep into jobs.

Input: overrides as they were typed.
Output: the faults, one line each; the overrides of every job of a sweep.
Guarantees: all faults are listed, not only the first; jobs are expanded by the code that Hydra itself uses.
"""

import importlib.util
import re
import shlex
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
from bias_intervene.record import flatten
from bias_intervene.settings import SWEEP_NAME, conf_dir, known_keys

_PLUGINS = {
    ("hydra/launcher", "joblib"): "hydra_joblib_launcher",
    ("hydra/launcher", "submitit_local"): "hydra_submitit_launcher",
    ("hydra/launcher", "submitit_slurm"): "hydra_submitit_launcher",
    ("hydra/sweeper", "optuna"): "hydra_optuna_sweeper",
}
"""Launchers and sweepers that are not part of Hydra -> the plugin package that provides them."""


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
    """The names of the config groups of this application."""
    return sorted(path.name for path in Path(conf_dir()).iterdir() if path.is_dir() and path.name != "hydra")


def faults_of_overrides(words: Iterable[str]) -> list[str]:
    """The faults in keys and options of command-line overrides, one line each.

    Hydra would report only the first, advise the user to force an unknown key with `+`, and then accept it.
    """
    faults: list[str] = []
    for word in words:
        try:
            override = OverridesParser.create().parse_override(word)
        except (HydraException, ValueError) as error:  # ValueError: a number of more than 4,300 digits.
            faults.append(f"{word}: not KEY=VALUE ({str(error).splitlines()[0]}){_how_to_quote(word)}")
            continue
        key = override.key_or_group
        if override.is_delete():
            faults.append(f"{word}: a {'group' if key in groups() else 'key'} cannot be deleted")
            continue
        if key.split(".")[0].split("/")[0] == "hydra":
            faults += _faults_of_hydra(override)
            continue
        faults += _faults_of_group(override) if key in groups() else _faults_of_key(override)
    return faults


def _how_to_quote(word: str) -> str:
    """A clause that says how a value with characters of Hydra's grammar is given, where quotes are what it lacks."""
    key, equals, value = word.partition("=")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    quoted = f'{key}="{escaped}"'
    try:
        OverridesParser.create().parse_override(quoted)
    except HydraException:
        return ""
    return f"; a value with such characters is quoted twice: {shlex.quote(quoted)}" if equals else ""


def _faults_of_hydra(override: Override) -> list[str]:
    """Faults in Hydra's own settings: a plugin that is not installed, and a name pattern that would lose the jobs."""
    if override.key_or_group == "hydra.sweep.subdir":
        return [f"{override.input_line}: jobs are found again by the names of their directories; set sweep=NAME"]
    plugin = _PLUGINS.get((override.key_or_group, str(override.value())))
    if plugin is None or importlib.util.find_spec(f"hydra_plugins.{plugin}") is not None:
        return []
    return [f'{override.input_line}: its package is not installed; pip install "bias_intervene[sweeps]"']


def _faults_of_group(override: Override) -> list[str]:
    """Faults of a group override: options that do not exist."""
    group = override.key_or_group
    allowed = options(group)
    if override.is_sweep_override():
        values = [str(value) for value in override.sweep_string_iterator()]
    else:
        values = [str(override.value())]
    return [
        f"{group}={value}: no such option; {did_you_mean(value, allowed)}" for value in values if value not in allowed
    ]


def _faults_of_key(override: Override) -> list[str]:
    """Faults of a key override: a key that does not exist, or that would be deleted or added."""
    key = override.key_or_group
    known = known_keys()
    if key == "sweep":
        return _faults_of_sweep_name(override)
    if key in known:
        return []
    if any(name.startswith(f"{key}.") for name in known) and override.value_type == ValueType.ELEMENT:
        return []
    return [f"{key}: no such key; {did_you_mean(key, [*known, *groups()])}"]


def _faults_of_sweep_name(override: Override) -> list[str]:
    """A name that is no directory of its own, before a directory is made by it."""
    name = override.value()
    if isinstance(name, str) and re.fullmatch(SWEEP_NAME, name):
        return []
    return [
        f"sweep: found {name!r}; a name of letters, digits and . _ -, beginning with a letter or digit and not a number"
    ]


def given_keys(words: Iterable[str]) -> set[str]:
    """The dotted keys to which overrides give values. The option of a group counts as the key `GROUP.name`."""
    keys: set[str] = set()
    for override in OverridesParser.create().parse_overrides(list(words)):
        key, value = override.key_or_group, override.value()
        if isinstance(value, dict):
            keys |= {f"{key}.{name}" for name in flatten(value)}
        else:
            keys.add(f"{key}.name" if key in groups() else key)
    return keys


def jobs_of(config: DictConfig) -> list[list[str]]:
    """The overrides of every job, expanded as Hydra does; empty for a sweeper that searches."""
    sweeper = config.hydra.sweeper
    target = str(sweeper.get("_target_")).rsplit(".", 1)[-1]
    if target == "GridSweeper":
        overrides = OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
        return jobs_of_grids(sweeper.grids, overrides)
    if target != "BasicSweeper":
        return []
    words = [*(f"{key}={value}" for key, value in (sweeper.params or {}).items()), *config.hydra.overrides.task]
    (jobs,) = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(words), None)
    return jobs


def jobs_of_grids(grids: Iterable[Mapping[str, str]], overrides: Sequence[Override]) -> list[list[str]]:
    """The jobs of all grids, without duplicates. A key given on the command line replaces the values of the grid."""
    jobs: dict[frozenset[str], list[str]] = {}
    for grid in grids:
        grid_overrides = OverridesParser.create().parse_overrides([f"{key}={value}" for key, value in grid.items()])
        (expanded,) = BasicSweeper.split_arguments([*grid_overrides, *overrides], None)
        for job in expanded:
            jobs.setdefault(frozenset(job), job)
    return list(jobs.values())
