"""The only module that knows Hydra: compose -> resolved JSON -> `Settings` -> plan -> pipeline.

Enters: the command line and conf/. Leaves: a run directory, or a message. Promised: a wrong or unknown key, also one
given with `+`, stops the run before any work, all faults listed at once; an error a user can cause is a message and
exit status 1, a run stopped by a signal ends with 75. `--help` and `--cfg job` import no torch.
"""

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.errors import CompactHydraException, HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from bias_intervene import checking, nodes, pipeline, record
from bias_intervene import plan as planning
from bias_intervene.analysis import exports, tables
from bias_intervene.analysis.comparison import compare
from bias_intervene.checking import conf_dir
from bias_intervene.errors import (
    BiasInterveneError,
    PlanError,
    RunDirectoryError,
    SettingsError,
    StageStopped,
    did_you_mean,
)
from bias_intervene.nodes import Node
from bias_intervene.settings import Settings

log = logging.getLogger("bias_intervene")

STOPPED = 75
"""Exit status of a run that was stopped and can be continued (EX_TEMPFAIL)."""


class UserError(CompactHydraException):
    """What Hydra prints without a traceback."""


def safe_name(text: str) -> str:
    """A directory name that can be pasted: letters, digits and . _ - only.

    >>> safe_name("data.path-/tmp/x y")
    'data.path-.tmp.x.y'
    """
    cleaned = "".join(c if c.isalnum() or c in "._-" else "." for c in text).strip(".")
    return cleaned[:180] or "run"


OmegaConf.register_new_resolver("safe_name", safe_name, replace=True)


# --- the command line, before Hydra ----------------------------------------------------------------------------


def options(group: str) -> list[str]:
    """Names of the options of a group."""
    return sorted(path.stem for path in (Path(conf_dir()) / group).glob("*.yaml"))


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
            continue
        faults += faults_of_group(override) if key in groups() else faults_of_key(override)
    return faults


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
    known = checking.known_keys()
    if key in known:
        return [f"{key}: a key cannot be deleted"] if override.is_delete() else []
    if any(name.startswith(f"{key}.") for name in known) and override.value_type == ValueType.ELEMENT:
        return []
    return [f"{key}: no such key; {did_you_mean(key, [*known, *groups()])}"]


def refuse(message: str) -> None:
    """Prints a message and ends with status 1."""
    print(message, file=sys.stderr)
    raise SystemExit(1)


def main() -> None:
    """Entry point of `python -m bias_intervene` and of the console script."""
    words = [word for word in sys.argv[1:] if not word.startswith("-") and "=" in word]
    # Tab completion and the shell's own flags pass through untouched.
    if not any(word in {"--shell-completion", "-sc"} for word in sys.argv):
        faults = faults_of_overrides(words)
        if faults:
            refuse(str(SettingsError(faults)))
    hydra_main()


# --- one run ---------------------------------------------------------------------------------------------------


def settings_of(config: DictConfig) -> Settings:
    """The composed configuration as checked settings. Raises `SettingsError`."""
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise SettingsError(f"{key}: must be given" for key in missing)
    try:
        values: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise SettingsError([str(error).splitlines()[0]]) from None
    return checking.read(values)


@hydra.main(version_base="1.3", config_path=conf_dir(), config_name="config")
def hydra_main(config: DictConfig) -> None:
    """One job."""
    run_dir = Path(HydraConfig.get().runtime.output_dir)
    try:
        settings = settings_of(config)
        plan = planning.make_plan(settings)
        if settings.dry_run:
            if not (run_dir / "settings.json").is_file():  # A run that stands there keeps its own.
                record.write_json(run_dir / "plan.json", planning.to_json(plan))
            Console().print(tables.plan_table(plan))
            return
        in_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
        if in_sweep and record.is_complete_run_of(run_dir, settings.to_json()):
            log.info("complete already, nothing done: %s", run_dir)
            return
        node = this_node(settings)
        if node.number == 0 and not record.is_complete(run_dir):
            write_hydra_folder(run_dir, config)
        pipeline.run(run_dir, settings, plan, node=node)
        if not in_sweep and node.number == 0:
            show_comparison([run_dir])
    except StageStopped as stopped:
        log.warning("%s", stopped)
        raise SystemExit(STOPPED) from None
    except BiasInterveneError as error:
        forget_hydra_folder(run_dir)
        raise UserError(str(error)) from None
    except OSError as error:
        forget_hydra_folder(run_dir)
        raise UserError(f"{error.filename or run_dir}: {error.strerror or error}") from None


def this_node(settings: Settings) -> Node:
    """The machine this is. Raises `PlanError` where several would each make a run directory of their own."""
    node = nodes.this_node(settings.train.rendezvous, settings.train.num_nodes, os.environ)
    given = {override.split("=")[0] for override in HydraConfig.get().overrides.hydra}
    if node.count > 1 and not {"hydra.run.dir", "hydra.sweep.dir"} & given:
        raise PlanError(
            f"train.num_nodes={node.count}: give hydra.run.dir=... (a sweep: hydra.sweep.dir=...), one that all "
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
    Console().print(tables.comparison(comparison))


# --- callbacks -------------------------------------------------------------------------------------------------


class Doorman(Callback):
    """Before a run or sweep: can its directory be written? After a sweep: the comparison.

    Hydra turns exceptions of callbacks into warnings, so a refusal ends the process itself.
    """

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Checks hydra.run.dir."""
        check_writable(Path(str(config.hydra.run.dir)))

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Checks hydra.sweep.dir."""
        check_writable(Path(str(config.hydra.sweep.dir)))

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Prints the comparison of the sweep and writes it into its directory."""
        folder = Path(str(config.hydra.sweep.dir))
        if config.get("dry_run"):
            return
        try:
            show_comparison([folder], output=folder)
        except RunDirectoryError as error:
            print(error, file=sys.stderr)


def check_writable(folder: Path) -> None:
    """Ends the process with a message where the directory cannot be made or written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        refuse(
            f"{folder}: the output directory cannot be made or written ({error.strerror}); choose another with "
            "hydra.run.dir or hydra.sweep.dir"
        )
