"""The row format, and files that are not of it."""

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bias_intervene.data.indexed import HEADER, Index, Layout, Part, Rows, token_dtype, write_rows
from bias_intervene.errors import DataError


def written(tmp_path: Path, dtype=np.uint16) -> Path:
    prefix = tmp_path / "rows"
    assert write_rows(prefix, (np.arange(3) + i for i in range(4)), row_tokens=3, dtype=dtype) == 4
    return prefix


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_rows_come_back(tmp_path: Path, dtype):
    rows = Rows.open(written(tmp_path, dtype))
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
        Rows.open(prefix)


def test_a_truncated_index_is_refused(tmp_path: Path):
    prefix = written(tmp_path)
    path = prefix.with_suffix(".idx")
    path.write_bytes(path.read_bytes()[: HEADER.size + 6])
    with pytest.raises(DataError, match="truncated"):
        Rows.open(prefix)


def test_other_files_are_refused(tmp_path: Path):
    prefix = written(tmp_path)
    prefix.with_suffix(".idx").write_bytes(b"something else, long enough to be a header")
    with pytest.raises(DataError, match="does not begin with MMIDIDX"):
        Rows.open(prefix)
    with pytest.raises(DataError, match="no such file"):
        Rows.open(tmp_path / "absent")


def test_the_smallest_type_that_holds_every_id():
    assert token_dtype(65_536) is np.uint16
    assert token_dtype(65_537) is np.int32


# --- parts -----------------------------------------------------------------------------------------------------


@given(st.data(), st.integers(1, 9), st.integers(1, 7), st.sampled_from(["uint16", "int32"]))
def test_rows_do_not_depend_on_where_the_stream_was_cut(tmp_path_factory, data, num_rows, row_tokens, dtype):
    stored = np.arange(num_rows * row_tokens, dtype=dtype).reshape(num_rows, row_tokens)
    stream = stored.tobytes()
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=5)))
    offset = data.draw(st.integers(0, 3))
    folder = tmp_path_factory.mktemp("parts")
    parts = []
    for first, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        path = folder / str(first)
        path.write_bytes(b"x" * offset + stream[first:end])
        parts.append(Part(path, first, end, offset))
    rows = Rows(Layout(tuple(reversed(parts)), row_tokens, dtype, num_rows))
    assert (rows.stack(range(num_rows)) == stored).all()


SPARSE = """
import re, sys
from pathlib import Path
import numpy as np
from bias_intervene.data.indexed import Layout, Part, Rows
path, num_rows = Path(sys.argv[1]), 10_240_000
rows = Rows(Layout((Part(path, 0, num_rows * 4098),), 2049, "uint16", num_rows))
for first in range(0, num_rows, num_rows // 200):
    rows.stack(range(first, first + 1000))
assert rows[num_rows - 1][-1] == 7, rows[num_rows - 1]
# Not ru_maxrss, which remembers the process that forked this one.
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


def test_memory_stays_small_over_42_gigabytes(tmp_path: Path):
    """The size of the 7% window as a sparse file: 200,000 of its rows are read, 800 MB."""
    path = tmp_path / "sparse.bin"
    with path.open("wb") as file:
        file.seek(10_240_000 * 4098 - 2)
        file.write(np.uint16(7).tobytes())
    done = subprocess.run([sys.executable, "-c", SPARSE, str(path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 200


def test_rows_of_several_lengths_are_refused_with_their_numbers(tmp_path: Path):
    prefix = written(tmp_path)
    path = prefix.with_suffix(".idx")
    content = bytearray(path.read_bytes())
    content[HEADER.size + 8 : HEADER.size + 12] = struct.pack("<i", 5)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"row 0 has 3 tokens and row 2 has 5; .*data write"):
        Index.open(path).row_tokens()


# --- beside Megatron's own code --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_megatron_reads_what_we_write(tmp_path: Path, dtype):
    megatron = pytest.importorskip("megatron.core.datasets.indexed_dataset")
    theirs = megatron.IndexedDataset(str(written(tmp_path, dtype)))
    assert len(theirs) == 4
    assert [theirs[i].tolist() for i in range(4)] == [[i, i + 1, i + 2] for i in range(4)]
    assert theirs[0].dtype == dtype


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_we_read_what_megatron_writes(tmp_path: Path, dtype):
    megatron = pytest.importorskip("megatron.core.datasets.indexed_dataset")
    torch = pytest.importorskip("torch")
    builder = megatron.IndexedDatasetBuilder(str(tmp_path / "rows.bin"), dtype=dtype)
    for i in range(4):
        builder.add_item(torch.arange(i, i + 3))
        builder.end_document()
    builder.finalize(str(tmp_path / "rows.idx"))
    rows = Rows.open(tmp_path / "rows")
    assert rows.stack(range(4)).tolist() == [[i, i + 1, i + 2] for i in range(4)]
    assert rows.dtype == dtype
