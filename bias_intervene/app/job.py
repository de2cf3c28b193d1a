"""One job, as Hydra calls it: its composed configuration in, a run directory out.

Promised: `.hydra/` is written once the settings are found good and the directory is this process's own; what failed in
a sweep is kept in its directory; a signal is handed back to whoever waited for it before us, once all is saved.
"""

import contextlib
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
from rich.console import Console

from bias_intervene import record
from bias_intervene.analysis.comparison import compare
from bias_intervene.analysis.report import exports, terminal
from bias_intervene.errors import (
    BiasInterveneError,
    PlanError,
    SettingsError,
    StageStopped,
    did_you_mean,
    first_line,
)
from bias_intervene.plan import Plan, plan_table
from bias_intervene.run import nodes, pipeline, sweeps
from bias_intervene.run.directory import open_run_directory
from bias_intervene.run.nodes import Node
from bias_intervene.run.planning import plan_of
from bias_intervene.run.protocol import STOPPED
from bias_intervene.settings import Settings, conf_dir, read_settings

log = logging.getLogger("bias_intervene")

OmegaConf.register_new_resolver("directory_name", sweeps.directory_name, replace=True)
# Our presets of launchers bear the names of the packages' own, and are to be held against their schemas. Said here and
# not in `main`, because a launcher's processes compose their jobs anew.
warnings.filterwarnings("ignore", message=r"\s*.hydra/launcher/\w+. is validated against ConfigStore schema")


class UserError(CompactHydraException):
    """What Hydra prints without a traceback."""


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
    """One job. Returns the value of its objective, where it has one."""
    run_dir = Path(HydraConfig.get().runtime.output_dir)
    try:
        return one_run(config, run_dir)
    except StageStopped as stopped:
        log.warning("%s", stopped)
        hand_back(stopped.signals)
        raise SystemExit(STOPPED) from None
    except BiasInterveneError as error:
        raise failed(run_dir, str(error)) from None
    except OSError as error:
        raise failed(run_dir, f"{error.filename or run_dir}: {error.strerror or error}") from None
    except Exception as error:
        failed(run_dir, f"{type(error).__name__}: {first_line(error)}")
        raise
    finally:
        with contextlib.suppress(OSError):  # On a full disk the job's own error is the one to be told.
            if in_claimed_sweep(run_dir):
                sweeps.refresh(run_dir.parent)


def one_run(config: DictConfig, run_dir: Path) -> float | None:
    """Checks, plans, runs."""
    settings = settings_of(config)
    if not in_sweep() and any(word.startswith("sweep=") for word in HydraConfig.get().overrides.task):
        raise SettingsError([f"sweep={settings.sweep}: names a sweep (-m); one run's directory is hydra.run.dir=..."])
    plan = plan_of(settings)
    check_objective(settings, plan)
    if settings.dry_run:
        if not (run_dir / "settings.json").is_file():  # A run that stands there keeps its own.
            record.write_json(run_dir / "plan.json", plan.to_json())
        Console().print(plan_table(plan))
        return None
    if in_sweep() and record.is_complete_run_of(run_dir, settings.to_json()):
        log.info("complete already, nothing done: %s", run_dir)
        return objective(run_dir, settings)
    node = this_node(settings)
    if node.number > 0:
        pipeline.follow(run_dir, train=settings.train, node=node)
        return None
    with open_run_directory(run_dir, settings=settings, plan=plan):
        write_hydra_folder(run_dir, config)
        if in_sweep():
            sweeps.forget_failure(run_dir)
            sweeps.refresh(run_dir.parent, directory=run_dir.name, overrides=list(HydraConfig.get().overrides.task))
        pipeline.run(run_dir, settings, plan, node=node)
    if not in_sweep():
        show_comparison([run_dir])
    return objective(run_dir, settings)


def in_sweep() -> bool:
    """Whether this job is one of a sweep's."""
    return HydraConfig.get().mode == RunMode.MULTIRUN


def in_claimed_sweep(run_dir: Path) -> bool:
    """Whether a sweep keeps account of this job: not of a dry run."""
    return in_sweep() and sweeps.is_sweep(run_dir.parent)


def failed(run_dir: Path, message: str) -> UserError:
    """What Hydra prints of a job that failed; a sweep keeps it."""
    forget_hydra_folder(run_dir)
    with contextlib.suppress(OSError):
        if in_claimed_sweep(run_dir):
            sweeps.fail(run_dir, message)
    return UserError(message)


def hand_back(signals: Iterable[int]) -> None:
    """Lets whoever waited for them before us have the signals, now that all is saved: submitit queues the job again."""
    for number in signals:
        handler = signal.getsignal(number)
        if callable(handler) and handler is not signal.default_int_handler:
            signal.raise_signal(number)


def check_objective(settings: Settings, plan: Plan) -> None:
    """Refuses an objective that no evaluation of this run could give, before any work. Raises `SettingsError`."""
    if settings.objective is not None and settings.objective.split("/")[0] not in plan.benchmarks:
        allowed = ", ".join(plan.benchmarks)
        raise SettingsError(
            [f'objective: found "{settings.objective}"; BENCHMARK/PROTOCOL/SUBSET/METRIC of what is scored: {allowed}']
        )


def objective(run_dir: Path, settings: Settings) -> float | None:
    """The metric that a search over settings is to improve, at the run's last step. Raises `SettingsError`."""
    if settings.objective is None:
        return None
    found = {
        "/".join((row["benchmark"], row["protocol"], row["subset"], row["metric"])): float(row["value"])
        for row in sorted(record.read_json(run_dir / "results.json")["metrics"], key=lambda row: row["step"])
    }
    if settings.objective not in found:
        raise SettingsError([f'objective: found "{settings.objective}"; {did_you_mean(settings.objective, found)}'])
    log.info("objective %s: %s", settings.objective, found[settings.objective])
    return found[settings.objective]


def this_node(settings: Settings) -> Node:
    """The machine this is. Raises `PlanError` where several would each make a run directory of their own."""
    node = nodes.this_node(settings.train.rendezvous, settings.train.num_nodes, os.environ)
    overrides = HydraConfig.get().overrides
    given = {override.split("=")[0] for override in (*overrides.hydra, *overrides.task)}
    if node.count > 1 and not {"hydra.run.dir", "hydra.sweep.dir", "sweep"} & given:
        raise PlanError(
            f"train.num_nodes={node.count}: give hydra.run.dir=... (a sweep: sweep=NAME), one that all "
            "machines share; the default is the time at which each of them started"
        )
    return node


def write_hydra_folder(run_dir: Path, config: DictConfig) -> None:
    """.hydra/ with the three files Hydra would have written, after the settings were found good.

    Hydra writes them before it calls us, into directories that turn out to be refused or complete.
    """
    folder = run_dir / ".hydra"
    whole = HydraConfig.instance().cfg
    record.write_bytes(folder / "config.yaml", OmegaConf.to_yaml(config).encode())
    record.write_bytes(folder / "overrides.yaml", OmegaConf.to_yaml(HydraConfig.get().overrides.task).encode())
    if whole is not None:
        record.write_bytes(folder / "hydra.yaml", OmegaConf.to_yaml(whole).encode())


def forget_hydra_folder(run_dir: Path) -> None:
    """Removes .hydra/ of a run that was refused before any work."""
    if (run_dir / "settings.json").is_file():
        return
    for name in ("config.yaml", "overrides.yaml", "hydra.yaml"):
        (run_dir / ".hydra" / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        (run_dir / ".hydra").rmdir()


def show_comparison(folders: list[Path], *, output: Path | None = None) -> None:
    """Prints what the runs say, and writes it where asked."""
    comparison = compare(folders)
    if output is not None:
        exports.write(comparison, output)
    Console().print(terminal.comparison(comparison))
