"""Reads the files of items: one row per item and protocol, with a column per metric.

Input: a parquet file.
Output: its rows, by protocol and subset.
Guarantees: a column that is missing or of another type raises `RunDirectoryError`, which names the file, the column,
what was found and what is allowed.
"""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bias_intervene.analysis.clusters import cluster_labels
from bias_intervene.errors import RunDirectoryError

_ITEM_FILES_IN_MEMORY = 32
"""Enough for the files of an arm, of its control and of the checkpoints that they started from."""
_KINDS_OF_NUMBERS = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean, pa.types.is_null)


def _is_name(type_: pa.DataType) -> bool:
    """Whether a column of this type holds names."""
    return pa.types.is_string(type_) or pa.types.is_large_string(type_)


def _is_list_of_names(type_: pa.DataType) -> bool:
    """Whether a column of this type holds lists of names."""
    return (pa.types.is_list(type_) or pa.types.is_large_list(type_)) and _is_name(type_.value_type)


_ALLOWED = {
    "item": (_is_name, "names"), "protocol": (_is_name, "names"), "subsets": (_is_list_of_names, "lists of names"),
}  # fmt: skip
"""Column that every file has -> whether a type is allowed, and the name of those that are."""


class ItemTable:
    """The scored items of one parquet file: one row per item and protocol.

    Rows are selected by array operations, because a comparison of a thousand runs reads millions of them.
    """

    def __init__(self, table: pa.Table, place: str = "items"):
        """place: the file, for messages. Raises `RunDirectoryError` for columns of other types than ours."""
        _check_columns(table)
        self._place = place
        self.table = table
        self.ids = np.array(table["item"].to_pylist(), dtype=object)
        self.protocols = np.array(table["protocol"].to_pylist(), dtype=object)
        has_clusters = "cluster" in table.column_names
        self.clusters = cluster_labels(table["cluster"].to_pylist()) if has_clusters else None
        subsets = table["subsets"].combine_chunks()
        lengths = np.diff(subsets.offsets.to_numpy())
        self._subset_names = np.array(subsets.flatten().to_pylist(), dtype=object)
        self._subset_rows = np.repeat(np.arange(table.num_rows), lengths)
        self._columns: dict[str, np.ndarray] = {}

    def has(self, metric: str) -> bool:
        """Whether the file has a column of this metric."""
        return metric in self.table.column_names

    def column(self, metric: str) -> np.ndarray:
        """float64 (rows,): the metric's value of every row, NaN where it does not apply to the item."""
        if metric not in self._columns:
            try:
                self._columns[metric] = _numbers(self.table, metric)
            except RunDirectoryError as error:
                raise RunDirectoryError(f"{self._place}: {error}") from None
        return self._columns[metric]

    def rows_of(self, protocol: str, subset: str, metric: str) -> np.ndarray:
        """int64 (n,): numbers of the rows of a protocol and subset to which the metric applies."""
        rows = self._subset_rows[self._subset_names == subset]
        rows = rows[self.protocols[rows] == protocol]
        return rows[~np.isnan(self.column(metric)[rows])]


def _check_columns(table: pa.Table) -> None:
    """Raises `RunDirectoryError` if a column that every file has is missing, empty in a row, or of another type."""
    for name, (is_allowed, allowed) in _ALLOWED.items():
        if name not in table.column_names:
            raise RunDirectoryError(f"column {name}: missing; {allowed} are allowed")
        found, num_empty = table.schema.field(name).type, table[name].null_count
        if not is_allowed(found):
            raise RunDirectoryError(f"column {name}: found {found}; {allowed} are allowed")
        if num_empty:
            raise RunDirectoryError(f"column {name}: found {num_empty} empty rows; {allowed} are allowed")


def _numbers(table: pa.Table, metric: str) -> np.ndarray:
    """float64 (rows,): the column of a metric, NaN where it is empty."""
    if metric not in table.column_names:
        raise RunDirectoryError(f"column {metric}: missing, though the record names the metric")
    column = table[metric]
    if not any(is_kind(column.type) for is_kind in _KINDS_OF_NUMBERS):
        raise RunDirectoryError(f"column {metric}: found {column.type}; numbers are allowed")
    return column.cast(pa.float64()).to_numpy(zero_copy_only=False)


_items_in_memory: "OrderedDict[Path, ItemTable]" = OrderedDict()


def read_items(path: Path) -> ItemTable:
    """The items of a file; the last few files stay in memory. Raises `RunDirectoryError` if it is missing or broken."""
    if path not in _items_in_memory:
        if not path.is_file():
            raise RunDirectoryError(f"{path}: missing, though the record names its metrics")
        try:
            _items_in_memory[path] = ItemTable(pq.read_table(path), str(path))
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            raise RunDirectoryError(f"{path}: no items of ours ({error})") from None
        except RunDirectoryError as error:
            raise RunDirectoryError(f"{path}: {error}") from None
        if len(_items_in_memory) > _ITEM_FILES_IN_MEMORY:
            _items_in_memory.popitem(last=False)
    _items_in_memory.move_to_end(path)
    return _items_in_memory[path]
