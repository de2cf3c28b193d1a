"""Reads text files of users, whatever program wrote them.

Input: a file in UTF-8, also compressed with gzip or zstd.
Output: its text, whole, in lines, or in pieces of bounded length.
Guarantees: a byte-order mark is no part of the text. UTF-16 and compressed files are told by their first bytes, and
never taken for text. What cannot be read raises a `DataError` that names the file and the line. Pieces and lines of a
file of any size take bounded memory.
"""

import codecs
import contextlib
import gzip
import importlib
import io
import lzma
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from bias_intervene.errors import DataError

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_REFUSED = {
    b"BZh": "compressed with bzip2; unpack it with bunzip2",
    b"\xfd7zXZ": "compressed with xz; unpack it with unxz",
    b"PK\x03\x04": "a zip archive; unpack it",
    b"PAR1": "a Parquet file; it is read with data=hub and data.repository=FOLDER",
}
"""First bytes of a file -> what it is, and what to do."""
_ZSTD_LIBRARIES = ("compression.zstd", "backports.zstd", "zstandard")
"""The first is part of Python from 3.14 on."""
_PIECE_BYTES = 1 << 18
_LONGEST_LINE = 1 << 26
"""Bytes of a line: 64 MiB. A line is read whole, and takes several times its size in memory."""


def read_text(path: Path) -> str:
    """The text of a file. Raises `DataError`."""
    return "".join(pieces(path))


def pieces(path: Path) -> Iterator[str]:
    """The text of a file in pieces of bounded length. Raises `DataError`."""
    decoder, num_lines = codecs.getincrementaldecoder("utf8")(), 0
    with _opened(path) as file:
        while True:
            content = file.read(_PIECE_BYTES)
            try:
                text = decoder.decode(content, final=not content)
            except UnicodeDecodeError as error:
                # The decoder's object begins with the bytes of a character that the last piece cut.
                raise _not_utf8(path, num_lines, error) from None
            num_lines += text.count("\n")
            if text:
                yield text
            if not content:
                return


def lines(path: Path) -> Iterator[str]:
    """The lines of a file, with their ends. Raises `DataError`."""
    with _opened(path) as file:
        number = 0
        while line := file.readline(_LONGEST_LINE + 1):
            number += 1
            if len(line) > _LONGEST_LINE:
                raise DataError(f"{path}, line {number}: longer than {_LONGEST_LINE >> 20} MiB; divide it")
            try:
                yield line.decode("utf8")
            except UnicodeDecodeError as error:
                raise _not_utf8(path, number - 1, error) from None


def _not_utf8(path: Path, num_lines: int, error: UnicodeDecodeError) -> DataError:
    """The error for bytes that are not UTF-8. num_lines: lines before the bytes that were decoded."""
    line = num_lines + error.object.count(b"\n", 0, error.start) + 1
    return DataError(
        f"{path}, line {line}: not UTF-8 (byte 0x{error.object[error.start]:02x}); convert it, e.g. with "
        "iconv -f latin1 -t utf8"
    )


@contextlib.contextmanager
def _opened(path: Path) -> Generator[BinaryIO]:
    """The file, unpacked, after its byte-order mark. Raises `DataError` for what is no text and cannot be unpacked."""
    try:
        with path.open("rb") as raw:
            first = raw.read(8)
            raw.seek(0)
            for magic, what in _REFUSED.items():
                if first.startswith(magic):
                    raise DataError(f"{path}: {what}")
            if first.startswith(_GZIP) or path.suffix == ".gz":
                unpacked: Any = gzip.GzipFile(fileobj=raw)
            elif first.startswith(_ZSTD) or path.suffix == ".zst":
                unpacked = _unpack_zstd(raw, path)
            else:
                unpacked = raw
            file = io.BufferedReader(unpacked) if unpacked is not raw else raw
            _skip_mark(file, path)
            yield cast(BinaryIO, file)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    except Exception as error:
        if type(error).__name__ not in {"ZstdError", "ZstdCompressionError"}:
            raise
        raise DataError(f"{path}: cannot be read ({error})") from None


def _skip_mark(file: io.BufferedReader, path: Path) -> None:
    """Reads over the byte-order mark of UTF-8. Raises `DataError` for text of another encoding."""
    first = file.peek(4)[:4]
    if first.startswith(codecs.BOM_UTF8):
        file.read(len(codecs.BOM_UTF8))
    # Letters of most languages have a zero byte in UTF-16 and UTF-32, and none in UTF-8.
    elif first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in first:
        raise DataError(f"{path}: UTF-16 or UTF-32, or no text; convert it with iconv -f UTF-16 -t UTF-8")


def _unpack_zstd(raw: BinaryIO, path: Path) -> Any:
    """A stream of the unpacked bytes. Raises `DataError` where no library can unpack them."""
    for name in _ZSTD_LIBRARIES:
        try:
            library: Any = importlib.import_module(name)
        except ImportError:
            continue
        if name == "zstandard":
            return library.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        return library.open(raw, "rb")
    raise DataError(f"{path}: compressed with zstd; `pip install zstandard` to read it so, or unpack it with unzstd")
