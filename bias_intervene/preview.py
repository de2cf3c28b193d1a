"""`python -m bias_intervene.preview intervention=NAME [KEY=VALUE...] [FILE...]`: the swap, before anything is trained.

Reads files or standard input, writes the altered text to standard output and the counts to standard error; with
`--audit` the counts alone. The keys are those of a run. A paragraph is what the rule sees at once, as a row is in a
run; it is read, altered and written before the next, so a file larger than memory works. With `tokenizer=FILE` each
paragraph goes through the token ids of that tokenizer, as rows do, and shows what a run would leave out for length.
"""

import codecs
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import yaml
from rich import box
from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer

from bias_intervene.errors import BiasInterveneError, DataError, SettingsError, did_you_mean
from bias_intervene.interventions.audit import Audit
from bias_intervene.interventions.lexicon import DIRECTIONS
from bias_intervene.interventions.possessive import WORD_LISTS, Possessives
from bias_intervene.interventions.possessive_fit import fit
from bias_intervene.interventions.row_swap import RowSwap
from bias_intervene.interventions.text_swap import TextSwap
from bias_intervene.settings import InterventionSettings, read_intervention

MAX_CHARS = 1 << 16
"""A paragraph longer than this is cut, at the end of a line or word if there is one."""
FIT_CHARS = 1 << 23
"""Characters read ahead to fit the role of her and his on."""
PARAGRAPH_END = re.compile(r"\n[^\S\n]*\n")
OPTIONS = ("probability", "unit", "length", "possessives", "margin")
USAGE = """usage: python -m bias_intervene.preview intervention=NAME [KEY=VALUE...] [--audit] [FILE...]

NAME: a file of conf/intervention. Keys, as in a run: intervention.probability, intervention.unit,
intervention.length, intervention.possessives, intervention.margin, seed; and tokenizer=FILE (a tokenizer.json), which
intervention.length and pythia_token_map need. --audit: counts only. Without FILE, standard input is read."""


@dataclass(frozen=True)
class Asked:
    """What the command line asks for."""

    intervention: InterventionSettings
    seed: int
    tokenizer: Tokenizer | None
    audit_only: bool
    files: list[Path]


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0, or 1 with a message."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if not arguments or {"-h", "--help"} & set(arguments):
        print(USAGE)
        return 0 if arguments else 1
    try:
        asked = parse(arguments)
        audit, words, notices = stream(paragraphs(asked.files), asked)
    except BiasInterveneError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 0
    console = Console(stderr=not asked.audit_only)
    if not asked.audit_only:
        # Text without a line's end leaves the terminal in the middle of one.
        console.print("")
    told = f"{sum(audit.swaps.values()):,} swaps in {words:,} words"
    told += f", {audit.rows_changed:,} of {audit.rows:,} paragraphs"
    console.print(told, count_table(audit), sep="\n")
    for notice in notices:
        console.print(notice, markup=False, highlight=False, style="dim")
    return 0


# --- what is asked ---------------------------------------------------------------------------------------------


def parse(arguments: Sequence[str]) -> Asked:
    """Raises `SettingsError` with every fault."""
    values = dict(word.split("=", 1) for word in arguments if "=" in word)
    flags = [word for word in arguments if word.startswith("--") and "=" not in word]
    files = [Path(word) for word in arguments if "=" not in word and not word.startswith("--")]
    allowed = ["intervention", "seed", "tokenizer", *(f"intervention.{option}" for option in OPTIONS)]
    faults = [f"{key}: no such key; {did_you_mean(key, allowed)}" for key in values if key not in allowed]
    faults += [f"{flag}: no such flag; allowed: --audit, --help" for flag in flags if flag != "--audit"]
    faults += [f"{path}: no such file" for path in files if not path.is_file()]
    seed = yaml.safe_load(values.get("seed", "1"))
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        faults.append(f"seed: found {values['seed']!r}; allowed: 0, 1, 2, ...")
    options = {key: typed(key, values[f"intervention.{key}"]) for key in OPTIONS if f"intervention.{key}" in values}
    intervention, tokenizer = None, None
    try:
        intervention = read_intervention(values.get("intervention", ""), options)
        tokenizer = read_tokenizer(values.get("tokenizer"))
    except SettingsError as error:
        faults += error.faults
    about_ids = {
        "intervention": values.get("intervention") == "pythia_token_map",
        "intervention.length": "length" in options,
    }
    if "tokenizer" not in values:
        faults += [
            f"{key}={values[key]} is about token ids: give tokenizer=FILE, a tokenizer.json"
            for key, is_asked in about_ids.items()
            if is_asked
        ]
    if faults or intervention is None:
        raise SettingsError(faults)
    return Asked(intervention, seed, tokenizer, bool(flags), files)


def typed(key: str, value: str) -> Any:
    """A value as YAML has it; whole numbers where shares are meant are shares."""
    read = value if key == "possessives" else yaml.safe_load(value)
    return float(read) if isinstance(read, int) and not isinstance(read, bool) else read


def read_tokenizer(path: str | None) -> Tokenizer | None:
    """The tokenizer of a file. Raises `SettingsError`."""
    if path is None:
        return None
    try:
        return Tokenizer.from_file(path)
    except Exception as error:  # The library raises bare exceptions.
        raise SettingsError([f"tokenizer: {path} cannot be read ({error}); give a tokenizer.json"]) from None


# --- text ------------------------------------------------------------------------------------------------------


def paragraphs(files: Sequence[Path]) -> Iterator[str]:
    """Paragraphs of the files or of standard input, one by one, nothing lost between them.

    Raises `DataError` naming the line that is not UTF-8.
    """
    if not files:
        yield from pieces(sys.stdin.buffer, "standard input")
    for path in files:
        with path.open("rb") as file:
            yield from pieces(file, str(path))


def pieces(source: BinaryIO, name: str) -> Iterator[str]:
    """Text up to and with each blank line."""
    decode = codecs.getincrementaldecoder("utf8")().decode
    held, lines = "", 1
    while True:
        chunk = source.read(MAX_CHARS)
        try:
            text = decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            line = lines + error.object[: error.start].count(b"\n")
            raise DataError(f"{name}, line {line}: not UTF-8") from None
        lines += text.count("\n")
        held += text
        while end := end_of_paragraph(held):
            yield held[:end]
            held = held[end:]
        if not chunk:
            break
    if held:
        yield held


def end_of_paragraph(text: str) -> int:
    """Where the first paragraph ends; 0: not yet."""
    found = PARAGRAPH_END.search(text, 0, MAX_CHARS)
    if found is not None:
        return found.end()
    if len(text) < MAX_CHARS:
        return 0
    cuts = (text.rfind(mark, 0, MAX_CHARS) for mark in "\n ")
    return next((cut + 1 for cut in cuts if cut > 0), MAX_CHARS)


def stream(source: Iterator[str], asked: Asked) -> tuple[Audit, int, tuple[str, ...]]:
    """Writes the altered texts to standard output; returns (audit, words read, notices)."""
    possessives, ahead = possessives_of(asked.intervention, source)
    alter, audit = altering(asked, possessives)
    words = 0
    for number, text in enumerate(chain(ahead, source)):
        words += len(text.split())
        altered = alter(number, text)
        if not asked.audit_only:
            sys.stdout.write(altered)
    sys.stdout.flush()
    return audit, words, possessives.notices


def possessives_of(intervention: InterventionSettings, source: Iterator[str]) -> tuple[Possessives, list[str]]:
    """(what decides between her and hers, his and him; the paragraphs that were read for it)."""
    if intervention.name not in DIRECTIONS or intervention.possessives == "words":
        return WORD_LISTS, []
    if intervention.possessives != "fit":
        return Possessives.load(Path(intervention.possessives)), []
    ahead: list[str] = []
    size = 0
    for text in source:
        ahead.append(text)
        size += len(text)
        if size >= FIT_CHARS:
            break
    return fit(ahead), ahead


def altering(asked: Asked, possessives: Possessives) -> tuple[Callable[[int, str], str], Audit]:
    """(what makes the altered text of a numbered one, the audit it counts in)."""
    settings, tokenizer = asked.intervention, asked.tokenizer
    if tokenizer is None or settings.name == "none":
        audit = Audit()
        swap = TextSwap(settings, seed=asked.seed, possessives=possessives)

        def alter(number: int, text: str) -> str:
            swapped = swap(number, text)
            audit.add(number, text, swapped)
            return swapped.text

        return alter, audit
    rows = RowSwap(settings, tokenizer, seed=asked.seed, padding_id=0, possessives=possessives, is_cut=False)

    def alter_ids(number: int, text: str) -> str:
        ids = np.array([tokenizer.encode(text, add_special_tokens=False).ids], dtype=np.int64)
        altered, counts = rows([number], ids)
        return tokenizer.decode(altered[0, : counts[0]].tolist(), skip_special_tokens=False)

    return alter_ids, rows.audit


def count_table(audit: Audit) -> Table:
    """Counts by form and by reason."""
    dose = audit.dose()
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("form or reason")
    table.add_column("count", justify="right")
    for form, count in sorted(audit.swaps.items(), key=lambda item: -item[1]):
        table.add_row(form, f"{count:,}")
    for reason, count in sorted(audit.skipped.items()):
        table.add_row(f"left alone: {reason}", f"{count:,}")
    if dose is not None:
        table.add_row("dose (share swapped)", f"{dose:.1%}")
    return table


if __name__ == "__main__":
    sys.exit(main())
