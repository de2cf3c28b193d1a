"""What the sources of items have in common: rows of the hub, the world's folder."""

from pathlib import Path
from typing import Any

from bias_intervene.data.corpus import load_dataset
from bias_intervene.errors import DataError, HubError, first_line


def hub_rows(repository: str, config: str | None, split: str, *, remedy: str) -> list[dict[str, Any]]:
    """Rows of a data set on the hub. Raises `HubError` with the local alternative."""
    asked = ", ".join(filter(None, [config, split]))
    try:
        return [dict(row) for row in load_dataset(repository, config, split=split)]
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise HubError(
            f"data set {repository} ({asked}) cannot be fetched from the hub: {first_line(error)}. "
            f"Without a hub give a local copy: {remedy}, or switch it off"
        ) from None


def need_world(folder: Path | None, key: str) -> Path:
    """The generated world's folder, where the run has one."""
    if folder is None:
        raise DataError(f"{key}.source=world: this run has no generated world; use hub, or give {key}.path")
    return folder


def fields(row: dict[str, Any], *names: str, place: str) -> list[Any]:
    """The named fields of a row. Raises `DataError` where one is missing."""
    missing = [name for name in names if row.get(name) is None]
    if missing:
        found = ", ".join(row) or "nothing"
        raise DataError(f"{place}: no {', '.join(missing)}; found {found}, expected {', '.join(names)}")
    return [row[name] for name in names]
