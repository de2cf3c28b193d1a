"""Checks plain values and returns settings, or one error that lists every fault.

Input: values as Hydra composed them, as a settings.json holds them, or as they were given to the preview.
Output: frozen settings.
Guarantees: every fault is listed by its dotted key, with the value found and the values allowed, all in one error.
"""

import types
import typing
from functools import cache
from pathlib import Path
from typing import Any, cast

import pydantic
import yaml
from pydantic import BaseModel

from bias_intervene.errors import SettingsError, did_you_mean
from bias_intervene.settings.claims import Claim
from bias_intervene.settings.model import SuiteModel
from bias_intervene.settings.settings import InterventionSettings, Settings


def conf_dir() -> str:
    """Path of the YAML files: inside the package in an installed wheel, beside the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside, beside = package / "conf", package.parent / "conf"
    return str(inside if inside.is_dir() else beside)


def read_settings(values: dict[str, Any]) -> Settings:
    """The settings that composed values describe. Raises `SettingsError` with every fault by its dotted key."""
    try:
        return Settings.model_validate(in_current_form(values))
    except pydantic.ValidationError as error:
        raise SettingsError(line for fault in error.errors() for line in _describe(fault)) from None


def in_current_form(values: dict[str, Any]) -> dict[str, Any]:
    """Settings as this version writes them, of settings that an earlier version wrote into a settings.json.

    The first versions knew no claims. They knew one suite, and kept its facts in code: `model.kind` was pythia.
    """
    values = {"claims": [], **values}
    model: Any = values.get("model")
    if not isinstance(model, dict) or cast("dict[str, Any]", model).get("kind") != "pythia":
        return values
    return {**values, "model": {**option_values("model", "_pythia")["model"], **model, "kind": "suite"}}


def read_intervention(name: str, values: dict[str, Any]) -> InterventionSettings:
    """The intervention of that name in conf/, its defaults overridden by `values`. Raises `SettingsError`."""
    folder = Path(conf_dir()) / "intervention"
    names = sorted(path.stem for path in folder.glob("*.yaml") if not path.stem.startswith("_"))
    if name not in names:
        raise SettingsError([f'intervention: found "{name}"; {did_you_mean(name, names)}'])
    try:
        return InterventionSettings.model_validate({**option_values("intervention", name), **values})
    except pydantic.ValidationError as error:
        faults = [{**fault, "loc": ("intervention", *fault["loc"])} for fault in error.errors()]
        raise SettingsError(line for fault in faults for line in _describe(fault)) from None


def option_values(group: str, name: str) -> dict[str, Any]:
    """The values of conf/GROUP/NAME.yaml, composed with the shared bodies (`_NAME.yaml`) its defaults list names.

    For options of plain values, without interpolations; Hydra is not needed for them. What an option overrides in other
    groups is not part of its values.
    """
    body = yaml.safe_load((Path(conf_dir()) / group / f"{name}.yaml").read_text(encoding="utf8"))
    values: dict[str, Any] = {}
    entries = [entry for entry in body.pop("defaults", []) if isinstance(entry, str)]
    for entry in entries if "_self_" in entries else [*entries, "_self_"]:
        values |= body if entry == "_self_" else option_values(group, entry)
    return values


@cache
def _suite_options() -> frozenset[str]:
    """Keys of `model` that the facts of some suite list: deduped, seed, ..."""
    bodies: list[dict[str, Any]] = [
        yaml.safe_load(path.read_text(encoding="utf8")) for path in (Path(conf_dir()) / "model").glob("*.yaml")
    ]
    suites: list[dict[str, Any]] = [body.get("model", {}).get("facts", {}) for body in bodies]
    return frozenset(option for facts in suites for option in facts.get("options", ()))


def _describe(fault: Any) -> list[str]:
    """The lines of one pydantic error, one a fault: the dotted key, the value found, the values allowed."""
    if fault["type"] == "suite_options":
        return fault["msg"].splitlines()
    tags = {tag for _, tag in _walk_keys(Settings, "")}
    parts = [str(part) for part in fault["loc"]]
    # pydantic puts the discriminator of a union into the path: model.world.step is what the user calls model.step.
    variant = parts.pop(1) if len(parts) > 2 and parts[0] in {"model", "data"} and parts[1] in tags else None
    key = ".".join(parts)
    if fault["type"] == "extra_forbidden":
        kind = f" for {parts[0]}.kind={variant}" if variant else ""
        siblings = known_keys(parts[0], variant) if len(parts) > 1 else known_keys()
        prefix = ".".join(parts[:-1]) + "." if len(parts) > 1 else ""
        allowed = [name.removeprefix(prefix) for name in siblings if name.startswith(prefix)]
        if parts[0] == "claims":  # An entry of a list, whose keys are no keys of the configuration.
            allowed = list(Claim.model_fields)
        return [f"{key}: no such key{kind}; {did_you_mean(parts[-1], allowed)}"]
    if fault["type"] == "missing":
        return [f"{key}: missing"]
    message = fault["msg"].removeprefix("Value error, ")
    return [f"{key}: found {fault['input']!r}; {message[0].lower()}{message[1:]}"]


def known_keys(group: str | None = None, variant: str | None = None) -> list[str]:
    """Dotted names of all keys, of the keys of one group, or of those of one variant of a group."""
    keys = [
        key
        for key, tag in _walk_keys(Settings, "")
        if (group is None or key.split(".")[0] == group) and (variant is None or tag in {None, variant})
    ]
    return sorted(set(keys))


def _walk_keys(model: type[BaseModel], prefix: str, tag: str | None = None) -> list[tuple[str, str | None]]:
    """(dotted key, value of `kind` that it belongs to, or None) of every leaf below `model`."""
    keys: list[tuple[str, str | None]] = []
    for name, field in model.model_fields.items():
        variants = [t for t in alternatives(field.annotation) if issubclass(t, BaseModel)]
        if not variants:
            keys.append((prefix + name, tag))
        for variant in variants:
            kind = variant.model_fields.get("kind") if len(variants) > 1 else None
            value = typing.get_args(kind.annotation)[0] if kind else tag
            keys += _walk_keys(variant, f"{prefix}{name}.", value)
            if variant is SuiteModel:
                keys += [(f"{prefix}{name}.{option}", value) for option in sorted(_suite_options())]
    return keys


def alternatives(annotation: Any) -> list[type]:
    """The classes that an annotation allows: the members of a union, or the one class."""
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        return [t for part in typing.get_args(annotation) for t in alternatives(part)]
    return [annotation] if isinstance(annotation, type) else []
