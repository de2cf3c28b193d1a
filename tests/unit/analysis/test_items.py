"""Files of items: their columns are those of ours, or are refused by file and column."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bias_intervene.analysis.items import read_items
from bias_intervene.errors import RunDirectoryError

COLUMNS: dict[str, list[Any]] = {"item": ["a"], "protocol": ["p"], "subsets": [["all"]], "share": [1.0]}


def written(folder: Path, columns: dict[str, Any]) -> Path:
    """A parquet file of these columns."""
    path = folder / "items.parquet"
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize(
    "values", [[1.0], [True], [1], pa.array([None], pa.null())], ids=["float", "bool", "int", "null"]
)
def test_numbers_are_read(tmp_path: Path, values: Any):
    items = read_items(written(tmp_path, COLUMNS | {"share": values}))
    assert items.column("share").tolist() == [1.0] or items.rows_of("p", "all", "share").size == 0


def test_large_types_and_no_rows_are_read(tmp_path: Path):
    large = {"item": pa.array(["a"], pa.large_string()), "subsets": pa.array([["all"]], pa.large_list(pa.string()))}
    assert read_items(written(tmp_path, COLUMNS | large)).rows_of("p", "all", "share").tolist() == [0]
    path = tmp_path / "none.parquet"
    pq.write_table(pa.table(COLUMNS).slice(0, 0), path)
    assert read_items(path).rows_of("p", "all", "share").size == 0


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"item": [1]}, "column item: found int64; names are allowed"),
        ({"item": pa.array([None], pa.string())}, "column item: found 1 empty rows; names are allowed"),
        ({"subsets": ["all"]}, "column subsets: found string; lists of names are allowed"),
        ({"subsets": [[1]]}, r"column subsets: found list<.*int64>; lists of names are allowed"),
        ({"protocol": None}, "column protocol: missing; names are allowed"),
        ({"share": ["x"]}, "column share: found string; numbers are allowed"),
        ({"share": [[1.0]]}, r"column share: found list<.*double>; numbers are allowed"),
        ({"share": None}, "column share: missing, though the record names the metric"),
    ],
)
def test_what_is_no_column_of_ours(tmp_path: Path, changed: dict[str, Any], said: str):
    columns = {name: values for name, values in {**COLUMNS, **changed}.items() if values is not None}
    with pytest.raises(RunDirectoryError, match=f"items.parquet: {said}"):
        read_items(written(tmp_path, columns)).column("share")
