"""Sources that several benchmarks read their items from: data sets of the hub, and the generated world's folder."""

from pathlib import Path
from typing import Any

from bias_intervene.data.corpus import load_dataset
from bias_intervene.errors import DataError, HubError, first_line


def hub_rows(repository: str, config: str | None, split: str, *, remedy: str) -> list[dict[str, Any]]:
    """All rows of a split of a data set. Raises `HubError`; remedy: the local alternative that its message gives."""
    part = ", ".join(filter(None, [config, split]))
    try:
        return [dict(row) for row in load_dataset(repository, config, split=split)]
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise HubError(
            f"data set {repository} ({part}) cannot be fetched from the hub: {first_line(error)}. "
            f"Without a hub give a local copy: {remedy}, or switch it off"
        ) from None


def need_world(folder: Path | None, key: str) -> Path:
    """The generated world's folder. key: the benchmark's, for messages. Raises `DataError` if there is no world."""
    if folder is None:
        raise DataError(f"{key}.source=world: this run has no generated world; use hub, or give {key}.path")
    return folder


def fields(row: dict[str, Any], *names: str, place: str) -> list[Any]:
    """The values of the named fields of a row. place: for messages. Raises `DataError` if one is missing."""
    missing = [name for name in names if row.get(name) is None]
    if missing:
        found = ", ".join(row) or "nothing"
        raise DataError(f"{place}: no {', '.join(missing)}; found {found}, expected {', '.join(names)}")
    return [row[name] for name in names]
