"""`python -m bias_intervene.preview intervention=NAME [FILE...]`: the swap on text, before anything is trained.

Reads files or standard input, writes the swapped text to standard output and a count table to standard error. A
paragraph is what the rule sees at once, so a file larger than memory works and a line's end hides no neighbour.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from bias_intervene.errors import BiasInterveneError, DataError, SettingsError, did_you_mean
from bias_intervene.interventions import profiles
from bias_intervene.interventions.lexicon import DIRECTIONS
from bias_intervene.interventions.text import swap_text

MAX_CHARS = 1 << 16
"""A paragraph longer than this is cut at the end of a line."""
USAGE = "usage: python -m bias_intervene.preview intervention=NAME [FILE...]"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0, or 1 with a message."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if not arguments or {"-h", "--help"} & set(arguments):
        print(f"{USAGE}\nNAME: none, {', '.join(DIRECTIONS)}, pythia_replace. Without FILE, standard input is read.")
        return 0 if arguments else 1
    try:
        direction, files = parse(arguments)
        swaps, skipped, words = stream(paragraphs(lines(files)), direction)
    except BiasInterveneError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 0
    # A blank line first: text without a line's end leaves the terminal in the middle of one.
    Console(stderr=True).print("", count_table(swaps, skipped, words), sep="\n")
    return 0


def parse(arguments: Sequence[str]) -> tuple[str, list[Path]]:
    """(direction, files). Raises `SettingsError`."""
    values = dict(word.split("=", 1) for word in arguments if "=" in word)
    faults = [f"{key}: no such key; allowed: intervention" for key in values if key != "intervention"]
    direction = values.get("intervention")
    allowed = ("none", *DIRECTIONS, "pythia_replace")
    if direction is None:
        faults.append(f"intervention: missing; {did_you_mean('', allowed)}")
    elif direction not in allowed:
        faults.append(f'intervention: found "{direction}"; {did_you_mean(direction, allowed)}')
    files = [Path(word) for word in arguments if "=" not in word]
    faults += [f"{path}: no such file" for path in files if not path.is_file()]
    if faults:
        raise SettingsError(faults)
    return str(direction), files


def lines(files: Sequence[Path]) -> Iterator[str]:
    """Lines of the files or of standard input, ends kept. Raises `DataError` naming the line that is not UTF-8."""
    if not files:
        yield from decoded(sys.stdin.buffer, "standard input")
    for path in files:
        with path.open("rb") as file:
            yield from decoded(file, str(path))


def decoded(source: Iterable[bytes], name: str) -> Iterator[str]:
    """Lines as text."""
    for number, line in enumerate(source, start=1):
        try:
            yield line.decode("utf8")
        except UnicodeDecodeError as error:
            raise DataError(f"{name}, line {number}: not UTF-8 (position {error.start})") from None


def paragraphs(source: Iterable[str]) -> Iterator[str]:
    """Lines joined up to each blank one, or to MAX_CHARS."""
    held: list[str] = []
    size = 0
    for line in source:
        held.append(line)
        size += len(line)
        if not line.strip() or size >= MAX_CHARS:
            yield "".join(held)
            held, size = [], 0
    if held:
        yield "".join(held)


def stream(source: Iterable[str], direction: str) -> tuple[Counter[str], Counter[str], int]:
    """Writes the swapped texts to standard output; returns (swaps by form, skips by reason, words read)."""
    swaps: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    words = 0
    for text in source:
        words += len(text.split())
        if direction == "none":
            sys.stdout.write(text)
            continue
        swapped = profiles.replace_text(text) if direction == "pythia_replace" else swap_text(text, direction)
        swaps.update(swap.form for swap in swapped.swaps)
        skipped += swapped.skipped
        sys.stdout.write(swapped.text)
    sys.stdout.flush()
    return swaps, skipped, words


def count_table(swaps: Counter[str], skipped: Counter[str], words: int) -> Table:
    """Counts by form and by reason."""
    table = Table(box=box.SIMPLE_HEAD, title=f"{sum(swaps.values())} swaps in {words} words", title_justify="left")
    table.add_column("form or reason")
    table.add_column("count", justify="right")
    for form, count in sorted(swaps.items(), key=lambda item: -item[1]):
        table.add_row(form, str(count))
    for reason, count in sorted(skipped.items()):
        table.add_row(f"left alone: {reason}", str(count))
    return table


if __name__ == "__main__":
    sys.exit(main())
