"""One job: the function that Hydra calls with a composed configuration.

Input: the composed configuration.
Output: a run directory; the value of the objective for a sweeper that searches.
Guarantees: `.hydra/` is written only after the settings were checked and the directory is locked by this process. The
error of a failed job of a sweep is stored in its directory. A signal is raised again, after everything is saved, for a
handler that was installed before ours (submitit then queues the job again).
"""

import contextlib
import fnmatch
import logging
import os
import re
import signal
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

from bias_intervene import record
from bias_intervene.analysis.comparison import compare
from bias_intervene.analysis.report import exports, terminal
from bias_intervene.app.overrides import given_keys
from bias_intervene.console import console
from bias_intervene.errors import (
    BiasInterveneError,
    PlanError,
    SettingsError,
    StageStopped,
    did_you_mean,
    first_line,
)
from bias_intervene.plan import Plan, plan_table
from bias_intervene.results import MetricRow
from bias_intervene.run import launch, nodes, pipeline, sweeps
from bias_intervene.run.directory import open_run_directory, warn_of_changed_inputs
from bias_intervene.run.nodes import Node
from bias_intervene.run.planning import plan_of
from bias_intervene.run.protocol import STOPPED
from bias_intervene.settings import Settings, conf_dir, read_settings

log = logging.getLogger("bias_intervene")


def _directory_name(overrides: list[str], folder: str) -> str:
    """The resolver of hydra.sweep.subdir. folder: hydra.sweep.dir."""
    return sweeps.directory_in(Path(folder), overrides)


OmegaConf.register_new_resolver("directory_name", _directory_name, replace=True)
# Our presets of launchers have the same names as those of the plugins, so Hydra validates them against the plugins'
# schemas and warns. Filtered at import, not in `main`, because the processes of a launcher compose their jobs again.
warnings.filterwarnings("ignore", message=r"\s*.hydra/launcher/\w+. is validated against ConfigStore schema")


class _UserError(CompactHydraException):
    """An error that Hydra prints without a traceback."""


def settings_of(config: DictConfig) -> Settings:
    """The composed configuration as checked settings. Raises `SettingsError`."""
    try:
        missing = sorted(OmegaConf.missing_keys(config))
        if missing:
            raise SettingsError(f"{key}: must be given" for key in missing)
        values: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except InterpolationResolutionError as error:
        variable = re.search(r"Environment variable '(\w+)' not found", str(error))
        if variable is None:
            raise SettingsError([str(error).splitlines()[0]]) from None
        raise SettingsError(
            [f"{error.full_key}: must be given, or the environment variable {variable[1]} set"]
        ) from None
    except OmegaConfBaseException as error:
        raise SettingsError([str(error).splitlines()[0]]) from None
    return read_settings(values)


@hydra.main(version_base="1.3", config_path=conf_dir(), config_name="config")
def hydra_main(config: DictConfig) -> float | None:
    """Runs one job. Returns the value of its objective, if it has one."""
    run_dir = Path(HydraConfig.get().runtime.output_dir)
    try:
        with launch.stoppable():
            return _one_run(config, run_dir)
    except StageStopped as stopped:
        log.warning("%s", stopped)
        _hand_back(stopped.signals)
        raise SystemExit(STOPPED) from None
    except BiasInterveneError as error:
        raise _failed(run_dir, str(error)) from None
    except OSError as error:
        raise _failed(run_dir, f"{error.filename or run_dir}: {error.strerror or error}") from None
    except Exception as error:
        _failed(run_dir, f"{type(error).__name__}: {first_line(error)}")
        raise
    finally:
        with contextlib.suppress(OSError):  # On a full disk the error of the job is the one to report.
            if _in_claimed_sweep(run_dir):
                sweeps.refresh(run_dir.parent)


def _one_run(config: DictConfig, run_dir: Path) -> float | None:
    """Checks the settings, makes the plan and runs it."""
    settings = settings_of(config)
    if not _in_sweep() and any(word.startswith("sweep=") for word in HydraConfig.get().overrides.task):
        raise SettingsError([f"sweep={settings.sweep}: names a sweep (-m); one run's directory is hydra.run.dir=..."])
    plan = plan_of(settings, given=given_keys(HydraConfig.get().overrides.task))
    _check_objective(settings, plan)
    _check_claims(settings, plan)
    if settings.dry_run:
        if not (run_dir / "settings.json").is_file():  # An existing run keeps its plan.
            record.write_json(run_dir / "plan.json", plan.to_json())
        console().print(plan_table(plan))
        return None
    if _in_sweep() and record.is_complete_run_of(run_dir, settings.to_json()):
        log.info("complete already, nothing done: %s", run_dir)
        warn_of_changed_inputs(run_dir, settings.to_json())
        return _objective(run_dir, settings)
    node = _this_node(settings)
    if node.number > 0:
        pipeline.follow(run_dir, train=settings.train, node=node)
        return None
    with open_run_directory(run_dir, settings=settings, plan=plan):
        _write_hydra_folder(run_dir, config)
        if _in_sweep():
            sweeps.forget_failure(run_dir)
            sweeps.refresh(run_dir.parent, directory=run_dir.name, overrides=list(HydraConfig.get().overrides.task))
        pipeline.run(run_dir, settings, plan, node=node)
    if not _in_sweep():
        show_comparison([run_dir])
    return _objective(run_dir, settings)


def _in_sweep() -> bool:
    """Whether this job belongs to a sweep."""
    return HydraConfig.get().mode == RunMode.MULTIRUN


def _in_claimed_sweep(run_dir: Path) -> bool:
    """Whether this job belongs to a sweep that records its jobs, which a dry run does not."""
    return _in_sweep() and sweeps.is_sweep(run_dir.parent)


def _failed(run_dir: Path, message: str) -> _UserError:
    """The error that Hydra prints for a failed job; in a sweep its message is also stored."""
    _forget_hydra_folder(run_dir)
    with contextlib.suppress(OSError):
        if _in_claimed_sweep(run_dir):
            sweeps.fail(run_dir, message)
    return _UserError(message)


def _hand_back(signals: Iterable[int]) -> None:
    """Raises the signals again for earlier handlers, now that everything is saved: submitit queues the job again."""
    for number in signals:
        handler = signal.getsignal(number)
        if callable(handler) and handler is not signal.default_int_handler:
            signal.raise_signal(number)


def _check_objective(settings: Settings, plan: Plan) -> None:
    """Raises `SettingsError`, before any work, for an objective that no evaluation of this run can provide."""
    if settings.objective is not None and settings.objective.split("/")[0] not in plan.benchmarks:
        allowed = ", ".join(plan.benchmarks)
        raise SettingsError(
            [f'objective: found "{settings.objective}"; BENCHMARK/PROTOCOL/SUBSET/METRIC of what is scored: {allowed}']
        )


def _check_claims(settings: Settings, plan: Plan) -> None:
    """Raises `SettingsError`, before any work, for claims about benchmarks that this run does not score."""
    faults = [
        f"claims.{number}.metric: found {claim.metric!r}; of what is scored: {', '.join(plan.benchmarks) or 'nothing'}"
        for number, claim in enumerate(settings.claims)
        if not fnmatch.filter(plan.benchmarks, claim.metric.split("/")[0])
    ]
    if faults:
        raise SettingsError(faults)


def _objective(run_dir: Path, settings: Settings) -> float | None:
    """Value of the metric that a search over settings optimizes, at the last step. Raises `SettingsError`."""
    if settings.objective is None:
        return None
    values = {
        "/".join((row["benchmark"], row["protocol"], row["subset"], row["metric"])): MetricRow.from_json(row).value
        for row in sorted(record.read_json(run_dir / "results.json")["metrics"], key=lambda row: row["step"])
    }
    if settings.objective not in values:
        raise SettingsError([f'objective: found "{settings.objective}"; {did_you_mean(settings.objective, values)}'])
    log.info("objective %s: %s", settings.objective, values[settings.objective])
    return values[settings.objective]


def _this_node(settings: Settings) -> Node:
    """The machine this process runs on. Raises `PlanError` if several would each create their own run directory."""
    node = nodes.this_node(settings.train.rendezvous, settings.train.num_nodes, os.environ)
    overrides = HydraConfig.get().overrides
    given_keys = {override.split("=")[0] for override in (*overrides.hydra, *overrides.task)}
    if node.count > 1 and not {"hydra.run.dir", "hydra.sweep.dir", "sweep"} & given_keys:
        raise PlanError(
            f"train.num_nodes={node.count}: give hydra.run.dir=... (a sweep: sweep=NAME), one that all "
            "machines share; the default is the time at which each of them started"
        )
    return node


def _write_hydra_folder(run_dir: Path, config: DictConfig) -> None:
    """Writes the three files of .hydra/, after the settings were checked.

    Hydra itself would write them before it calls the job, even into directories that are then refused or complete.
    """
    folder = run_dir / ".hydra"
    whole = HydraConfig.instance().cfg
    record.write_bytes(folder / "config.yaml", OmegaConf.to_yaml(config).encode())
    record.write_bytes(folder / "overrides.yaml", OmegaConf.to_yaml(HydraConfig.get().overrides.task).encode())
    if whole is not None:
        record.write_bytes(folder / "hydra.yaml", OmegaConf.to_yaml(whole).encode())


def _forget_hydra_folder(run_dir: Path) -> None:
    """Removes .hydra/ of a run that was refused before any work began."""
    if (run_dir / "settings.json").is_file():
        return
    for name in ("config.yaml", "overrides.yaml", "hydra.yaml"):
        (run_dir / ".hydra" / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        (run_dir / ".hydra").rmdir()


def show_comparison(folders: list[Path], *, output: Path | None = None) -> None:
    """Prints the comparison of the runs, and writes it to `output` if given."""
    comparison = compare(folders)
    if output is not None:
        exports.write(comparison, output)
    console().print(terminal.comparison(comparison))
