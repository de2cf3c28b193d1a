"""Pairs of CrowS-Pairs: the multilingual revision of the hub (1,677 English pairs, 1,677 French), the 1,508 original
ones from their CSV file, or the generated world's.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bias_intervene.errors import DataError
from bias_intervene.evals.benchmarks.sources import fields, hub_rows, need_world
from bias_intervene.settings import CrowsPairsSettings

HUB = "jannalu/crows_pairs_multilingual"
COLUMNS = ("sent_more", "sent_less", "stereo_antistereo", "bias_type")
CATEGORIES = (
    "age", "disability", "gender", "nationality", "physical-appearance", "race-color", "religion",
    "sexual-orientation", "socioeconomic", "autre",
)  # fmt: skip
DIRECTIONS = {"0": "stereo", "1": "antistereo"}
"""The hub's classes, where they come as numbers."""
NOTES = (
    "CrowS-Pairs: many pairs are not valid contrasts, and its authors advise against its use as it is (Blodgett et al. "
    "2021, Névéol et al. 2022 for the revision). Read it beside the manipulation check and WinoBias.",
)


@dataclass(frozen=True)
class CrowsPair:
    """One pair of sentences."""

    item: str
    sent_more: str
    sent_less: str
    bias_type: str
    """The category, by the beginning of what the file calls it, as lm-evaluation-harness selects them."""
    direction: str
    """stereo or antistereo: whether sent_more shows a stereotype or goes against one."""


def read(settings: CrowsPairsSettings, *, world_folder: Path | None) -> list[CrowsPair]:
    """The pairs of the categories asked for, in the order of the file."""
    pairs = all_pairs(settings, world_folder=world_folder)
    if settings.categories is None:
        return pairs
    found = {pair.bias_type for pair in pairs}
    unknown = [name for name in settings.categories if name not in found]
    if unknown:
        raise DataError(
            f"evals.crows_pairs.categories: no pair of {', '.join(unknown)}; found {', '.join(sorted(found))}"
        )
    return [pair for pair in pairs if pair.bias_type in settings.categories]


def all_pairs(settings: CrowsPairsSettings, *, world_folder: Path | None) -> list[CrowsPair]:
    """Every pair of the source."""
    if settings.path is not None:
        return read_csv(Path(settings.path).expanduser(), key=f"evals.crows_pairs.path={settings.path}")
    if settings.source == "world":
        return read_csv(need_world(world_folder, "evals.crows_pairs") / "crows_pairs.csv", key="world")
    rows = hub_rows(HUB, settings.language, "test", remedy="evals.crows_pairs.path=FILE.csv")
    return [pair_of(number, row, place=f"{HUB} {settings.language} row {number}") for number, row in enumerate(rows)]


def read_csv(path: Path, *, key: str) -> list[CrowsPair]:
    """Pairs of a CSV file in the original format."""
    if not path.is_file():
        raise DataError(f"{key}: no file {path}")
    try:
        with path.open(encoding="utf8", newline="") as file:
            reader = csv.DictReader(file)
            found = [name for name in reader.fieldnames or [] if name]
            missing = [name for name in COLUMNS if name not in found]
            if missing:
                raise DataError(
                    f"{path}: no column {', '.join(missing)}; found {', '.join(found) or 'nothing'}, expected "
                    f"{', '.join(COLUMNS)}"
                )
            rows = list(reader)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason} at byte {error.start})") from None
    if not rows:
        raise DataError(f"{path}: no pairs below its header")
    # Line 1 is the header; `place` counts from it, the item from the first pair.
    return [pair_of(number, row, place=f"{path}, row {number + 2}") for number, row in enumerate(rows)]


def pair_of(number: int, row: dict[str, Any], *, place: str) -> CrowsPair:
    """One row of either source."""
    more, less, direction, bias_type = (str(value) for value in fields(row, *COLUMNS, place=place))
    empty = [name for name, value in zip(COLUMNS, (more, less, direction, bias_type), strict=True) if not value]
    if empty:
        raise DataError(f"{place}: nothing in {', '.join(empty)}")
    category = next((name for name in CATEGORIES if bias_type.startswith(name)), bias_type)
    return CrowsPair(str(number), more, less, category, DIRECTIONS.get(direction, direction))
