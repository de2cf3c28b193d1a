"""Standard output and standard error, as every command of this package uses them.

Input: texts and tables, whose names may come from anywhere (a model's name, a task's, a folder's).
Output: what a terminal, a file or a pipe gets.
Guarantees: a name is printed as it is, whatever markup it seems to hold (`[red]`, `[/x]`, `:smile:`). A character that
the encoding lacks is replaced and no error. A reader that goes away (`| head`) ends what is printed, never the program,
so that a complete run is a complete run; a full disk is still an error.
"""

import codecs
import io
import os
import sys
from typing import Any

from rich.console import Console

_IN_ASCII = {"±": "+-", "…": "...", "–": "-", "—": "-", "’": "'", "“": '"', "”": '"', "×": "x", "→": "->"}
"""Characters of our own texts -> what is printed where the encoding lacks them."""
_REPLACING = "bias_intervene.replacing"


def _replace(error: UnicodeError) -> tuple[str, int]:
    """A handler of encoding errors (`codecs.register_error`): a stand-in for each character, ? for unknown ones."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_IN_ASCII.get(character, "?") for character in lacking), error.end


codecs.register_error(_REPLACING, _replace)


class _Pipe(io.FileIO):
    """The file behind a stream: what nobody reads any more is dropped."""

    def write(self, b: Any, /) -> int:
        """Writes; the number of bytes taken."""
        try:
            return super().write(b)
        except BrokenPipeError:
            return len(b)


def prepare() -> None:
    """Makes both streams of this process safe to print to. To be called first; a captured stream stays as it is."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper) or stream is not getattr(sys, f"__{name}__"):
            continue
        stream.flush()
        file = _Pipe(stream.fileno(), "w", closefd=False)
        errors = _REPLACING if stream.errors == "strict" else stream.errors
        buffered = io.TextIOWrapper(
            io.BufferedWriter(file), encoding=stream.encoding, errors=errors, line_buffering=stream.line_buffering
        )
        setattr(sys, name, buffered)


class _Console(Console):
    """A console that leaves it to the program what the end of its reader means; rich would exit with status 1."""

    def on_broken_pipe(self) -> None:
        """Raises the error on."""
        raise BrokenPipeError


def console(*, stderr: bool = False, highlight: bool = True) -> Console:
    """A console that prints texts as they are. highlight: whether numbers and the like are coloured."""
    return _Console(stderr=stderr, markup=False, emoji=False, highlight=highlight)


def discard_output() -> None:
    """What is still to be printed goes nowhere: for a program that ends early because its reader has gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def one_line(text: str) -> str:
    """A text on one line: control characters, which a terminal would obey, and white space become single spaces.

    >>> one_line("a\\nb\\x1b[31m")
    'a b [31m'
    """
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())
