"""Files of users: with a byte-order mark, compressed, in another encoding, of one long line."""

import gzip
from pathlib import Path

import pytest

from bias_intervene import text_files
from bias_intervene.errors import DataError
from bias_intervene.text_files import lines, pieces, read_text

TEXT = "He left.\n\u00c4nne st\u00fcck \u2603\nShe stayed."


def written(folder: Path, content: bytes, name: str = "a.txt") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "mark"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["raw", "gzip"])
def test_a_mark_is_no_text_and_gzip_is_told_by_its_bytes(tmp_path: Path, mark: bytes, pack):
    path = written(tmp_path, pack(mark + TEXT.encode()))
    assert read_text(path) == TEXT
    assert list(lines(path)) == TEXT.splitlines(keepends=True)


def test_a_mark_within_the_text_stays(tmp_path: Path):
    assert read_text(written(tmp_path, "a\ufeffb".encode())) == "a\ufeffb"


def test_pieces_join_to_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Pieces of five bytes cut characters."""
    monkeypatch.setattr(text_files, "_PIECE_BYTES", 5)
    found = list(pieces(written(tmp_path, TEXT.encode())))
    assert "".join(found) == TEXT
    assert max(map(len, found)) <= 5


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_encodings_are_told(tmp_path: Path, encoding: str):
    with pytest.raises(DataError, match=r"a\.txt: UTF-16 or UTF-32, or no text; convert it with iconv -f UTF-16"):
        read_text(written(tmp_path, TEXT.encode(encoding)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"BZh91AY", "compressed with bzip2"),
        (b"\xfd7zXZ\x00", "compressed with xz"),
        (b"PK\x03\x04xx", "a zip archive"),
        (b"PAR1xxxx", "a Parquet file"),
        (gzip.compress(b"x" * 999, mtime=0)[:20], "cannot be read"),
        (b"one\ntwo \xff", r"line 2: not UTF-8 \(byte 0xff\)"),
        (b"one\ntwo \xe2\x98", r"line 2: not UTF-8 \(byte 0xe2\)"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, content: bytes, message: str):
    for read in (read_text, lambda path: list(lines(path))):
        with pytest.raises(DataError, match=rf"a\.txt.*{message}"):
            read(written(tmp_path, content))


def test_a_fault_behind_the_first_piece_names_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(text_files, "_PIECE_BYTES", 4)
    with pytest.raises(DataError, match=r"line 3: not UTF-8 \(byte 0xff\)"):
        read_text(written(tmp_path, b"one\ntwo\nthre\xff"))


def test_zstd_without_a_library_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(text_files, "_ZSTD_LIBRARIES", ("no_such_library",))
    with pytest.raises(DataError, match=r"compressed with zstd; `pip install zstandard`"):
        read_text(written(tmp_path, b"\x28\xb5\x2f\xfd\x00"))


def test_zstd_is_read_where_a_library_is(tmp_path: Path):
    zstandard = pytest.importorskip("zstandard", reason="no library for zstd is installed")
    packed = zstandard.ZstdCompressor().compress("\ufeffHe left.".encode())
    assert read_text(written(tmp_path, packed * 2, "a.zst")) == "He left.\ufeffHe left."
    with pytest.raises(DataError, match="cannot be read"):
        read_text(written(tmp_path, b"\x28\xb5\x2f\xfd no frame", "a.zst"))


def test_a_line_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(text_files, "_LONGEST_LINE", 1 << 20)
    with pytest.raises(DataError, match=r"a\.txt, line 2: longer than 1 MiB"):
        list(lines(written(tmp_path, b"short\n" + b"x" * ((1 << 20) + 1))))
