"""The row format, and files that are not of it."""

import struct
from pathlib import Path

import numpy as np
import pytest

from bias_intervene.data.indexed import HEADER, Rows, token_dtype, write_rows
from bias_intervene.errors import DataError


def written(tmp_path: Path, dtype=np.uint16) -> Path:
    prefix = tmp_path / "rows"
    assert write_rows(prefix, (np.arange(3) + i for i in range(4)), row_tokens=3, dtype=dtype) == 4
    return prefix


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_rows_come_back(tmp_path: Path, dtype):
    rows = Rows(written(tmp_path, dtype))
    assert len(rows) == 4
    assert rows[2].tolist() == [2, 3, 4]
    assert rows[2].dtype == dtype
    assert not rows[2].flags.writeable


def test_the_index_is_megatrons(tmp_path: Path):
    content = written(tmp_path).with_suffix(".idx").read_bytes()
    assert content[:9] == b"MMIDIDX\x00\x00"
    assert struct.unpack_from("<QBQQ", content, 9) == (1, 8, 4, 5)
    assert np.frombuffer(content, "<i4", 4, HEADER.size).tolist() == [3, 3, 3, 3]
    assert np.frombuffer(content, "<i8", 4, HEADER.size + 16).tolist() == [0, 6, 12, 18]


def test_truncated_tokens_are_refused(tmp_path: Path):
    prefix = written(tmp_path)
    path = prefix.with_suffix(".bin")
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(DataError, match=r"rows\.bin: 22 bytes, and its index asks for 24"):
        Rows(prefix)


def test_a_truncated_index_is_refused(tmp_path: Path):
    prefix = written(tmp_path)
    path = prefix.with_suffix(".idx")
    path.write_bytes(path.read_bytes()[: HEADER.size + 6])
    with pytest.raises(DataError, match="truncated"):
        Rows(prefix)


def test_other_files_are_refused(tmp_path: Path):
    prefix = written(tmp_path)
    prefix.with_suffix(".idx").write_bytes(b"something else, long enough to be a header")
    with pytest.raises(DataError, match="does not begin with MMIDIDX"):
        Rows(prefix)
    with pytest.raises(DataError, match="no such file"):
        Rows(tmp_path / "absent")


def test_the_smallest_type_that_holds_every_id():
    assert token_dtype(65_536) is np.uint16
    assert token_dtype(65_537) is np.int32
