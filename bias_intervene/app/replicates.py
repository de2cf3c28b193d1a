"""Refuses a sweep over seeds from which nothing is drawn: its jobs would be one training, counted several times.

Input: the composed configuration of a sweep, and the overrides of its jobs. Output: nothing, or a `SettingsError` that
names the jobs and what makes their seeds replicates. Guarantees: jobs are composed as Hydra composes them; seeds that
choose something else (a generated world follows the seed) are no fault, and neither is a control that is repeated
beside an arm whose seeds do draw: a share of its rows.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf, open_dict

from bias_intervene import record
from bias_intervene.app.job import settings_of
from bias_intervene.errors import BiasInterveneError, SettingsError
from bias_intervene.interventions import INTERVENTIONS
from bias_intervene.run.planning import draws_from_its_seed, plan_of
from bias_intervene.settings import Settings


class _Seeds(NamedTuple):
    """Jobs that differ in their seeds alone."""

    words: list[str]
    """Their common overrides."""
    seeds: list[str]
    settings: Settings
    """Of one of them."""


def check_seeds(config: DictConfig, jobs: Sequence[Sequence[str]], *, earlier: Sequence[Sequence[str]] = ()) -> None:
    """Raises `SettingsError` if jobs differ in seeds from which nothing is drawn, also from earlier jobs of the sweep.

    jobs, earlier: the overrides of each.
    """
    groups = [group for group in _by_all_but_seed([*earlier, *jobs]) if any(job in jobs for job in group.values())]
    several = [composed for group in groups if (composed := _composed(config, group)) is not None]
    idle = [group for group in several if not draws_from_its_seed(group.settings)]
    if any(group not in idle and _swaps(group.settings) for group in several):
        idle = [group for group in idle if _swaps(group.settings)]
    if idle:
        raise SettingsError(_fault(group) for group in idle)


def _by_all_but_seed(jobs: Iterable[Sequence[str]]) -> list[dict[str, Sequence[str]]]:
    """Jobs with the same overrides but for the seed, by their seeds; only where there are several seeds."""
    groups: dict[frozenset[str], dict[str, Sequence[str]]] = {}
    for job in jobs:
        words = {word.lstrip("+") for word in job}
        seeds = [word for word in words if word.startswith("seed=")]
        if seeds:
            groups.setdefault(frozenset(words.difference(seeds)), {})[seeds[0].removeprefix("seed=")] = job
    return [jobs_by_seed for jobs_by_seed in groups.values() if len(jobs_by_seed) > 1]


def _composed(config: DictConfig, jobs_by_seed: dict[str, Sequence[str]]) -> _Seeds | None:
    """The group with its settings. None: more than the seed differs, or the jobs cannot run, of which they tell."""
    first, second, *_ = jobs_by_seed.values()
    try:
        one, other = _settings_of_job(config, first), _settings_of_job(config, second)
        plan_of(one)
    except BiasInterveneError:
        return None
    differing = record.differences(one.to_json(), other.to_json())
    if any(not line.startswith("seed:") for line in differing):
        return None
    return _Seeds([word for word in first if word in second], list(jobs_by_seed), one)


def _settings_of_job(config: DictConfig, overrides: Sequence[str]) -> Settings:
    """The settings of one job. Raises `BiasInterveneError`."""
    composed = GlobalHydra.instance().config_loader().load_sweep_config(config, list(overrides))
    OmegaConf.set_readonly(composed, False)
    with open_dict(composed):
        del composed["hydra"]
    return settings_of(composed)


def _swaps(settings: Settings) -> bool:
    """Whether the arm changes pronouns; a control does not."""
    return INTERVENTIONS[settings.intervention.name].swaps_pronouns


def _fault(group: _Seeds) -> str:
    """What is wrong with the seeds of one group of jobs, and what to do."""
    jobs = f"seed={','.join(group.seeds)} ({' '.join(group.words)})"
    if not plan_of(group.settings).trains:
        return f"{jobs}: nothing is trained, so every seed gives the same results; give one seed"
    share = " or an intervention.probability between 0 and 1" if _swaps(group.settings) else ""
    return (
        f"{jobs}: nothing is drawn from the seed, so these are one training {len(group.seeds)} times and no "
        f"replicates; set data.shuffle=true (the same rows in an order drawn from the seed){share}, or give one seed"
    )
