"""What is printed, to any terminal and to any reader."""

import io
import os
import subprocess
import sys

import pytest
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from bias_intervene.console import console, one_line

PRINTING = """
from bias_intervene.console import console, prepare
prepare()
console(highlight=False).print("±… ü", "x" * 20_000)
print("plain", "y" * 200_000)
"""


def test_a_reader_that_goes_away_ends_what_is_printed_and_not_the_program():
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run([sys.executable, "-c", PRINTING], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_character_that_the_encoding_lacks_is_replaced():
    ended = subprocess.run(
        [sys.executable, "-c", PRINTING],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout.startswith(b"+-... ? ")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")  # noqa: PTH110
def test_a_full_disk_is_still_an_error():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        ended = subprocess.run([sys.executable, "-c", PRINTING], stdout=full, stderr=subprocess.PIPE, check=False)
    assert ended.returncode != 0


def test_names_are_printed_as_they_are():
    names = ["[gender]", "[/x]", "[bold]b[/bold]", ":smile:"]
    table = Table(title=names[0])
    table.add_column(names[1])
    table.add_row(names[2])
    out = console()
    out.file = io.StringIO()
    out.print(table, Rule(names[3]), Text(names[1]), *names)
    printed = out.file.getvalue()
    assert [name for name in names if printed.count(name) < 2] == []


def test_a_name_is_on_one_line_and_commands_no_terminal():
    assert one_line("a\nb\t c\x1b]0;title\x07\u202ed\udc80") == "a b c ]0;title d"
