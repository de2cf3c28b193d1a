"""`python -m bias_intervene.preview intervention=NAME [KEY=VALUE...] [FILE...]`: shows an intervention on text.

Input: files or standard input, and an intervention's options by the keys of a run. Output: the altered text on standard
output and the counts on standard error; with `--audit` the counts alone. Guarantees: nothing between two paragraphs is
lost; each paragraph is read, altered and written before the next one, so a file larger than memory works.

A paragraph takes the place that a row has in a run: it is all that the rule sees at once. With `tokenizer=FILE` each
paragraph goes through the token ids of that tokenizer, as rows do, which shows what a run would leave out for length.
"""

import codecs
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import yaml
from rich import box
from rich.table import Table
from tokenizers import Tokenizer

from bias_intervene.console import console, discard_output
from bias_intervene.errors import BiasInterveneError, DataError, SettingsError, did_you_mean
from bias_intervene.interventions import INTERVENTIONS
from bias_intervene.interventions.audit import Audit
from bias_intervene.interventions.possessive import WORD_LISTS, Possessives
from bias_intervene.interventions.possessive.fit import fit
from bias_intervene.interventions.row_swap import RowSwap, TextSwap
from bias_intervene.settings import InterventionSettings, read_intervention
from bias_intervene.settings.intervention import OPTIONS

MAX_CHARS = 1 << 16
"""A paragraph longer than this is cut, at the end of a line or word if there is one."""
_FIT_CHARS = 1 << 23
"""Characters read ahead to fit the tables for her and his on."""
_PARAGRAPH_END = re.compile(r"\n[^\S\n]*\n")
_USAGE = """usage: python -m bias_intervene.preview intervention=NAME [KEY=VALUE...] [--audit] [FILE...]

NAME: a file of conf/intervention. Keys, as in a run: intervention.probability, intervention.unit,
intervention.length, intervention.possessives, intervention.margin, seed; and tokenizer=FILE (a tokenizer.json), which
intervention.length and pythia_token_map need. --audit: counts only. Without FILE, standard input is read."""


@dataclass(frozen=True)
class PreviewOptions:
    """The options of the command line."""

    intervention: InterventionSettings
    seed: int
    tokenizer: Tokenizer | None
    """None: the rule over words is applied to text."""
    audit_only: bool
    files: list[Path]
    """Empty: standard input."""


class _Outcome(NamedTuple):
    """The counts over all text that was read."""

    audit: Audit
    num_words: int
    notices: tuple[str, ...]
    """Reasons why a table for her or his was not fitted."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0, or 1 with a message."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if not arguments or {"-h", "--help"} & set(arguments):
        print(_USAGE)
        return 0 if arguments else 1
    try:
        options = parse(arguments)
        outcome = _alter_paragraphs(_paragraphs(options.files), options)
    except BiasInterveneError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        discard_output()
        return 0
    _print_counts(outcome, audit_only=options.audit_only)
    return 0


# --- the command line ------------------------------------------------------------------------------------------


def parse(arguments: Sequence[str]) -> PreviewOptions:
    """The options of a command line. Raises `SettingsError` with every fault."""
    values = dict(word.split("=", 1) for word in arguments if "=" in word)
    flags = [word for word in arguments if word.startswith("--") and "=" not in word]
    files = [Path(word) for word in arguments if "=" not in word and not word.startswith("--")]
    allowed = ["intervention", "seed", "tokenizer", *(f"intervention.{option}" for option in OPTIONS)]
    faults = [f"{key}: no such key; {did_you_mean(key, allowed)}" for key in values if key not in allowed]
    faults += [f"{flag}: no such flag; allowed: --audit, --help" for flag in flags if flag != "--audit"]
    faults += [f"{path}: no such file" for path in files if not path.is_file()]
    seed = yaml.safe_load(values.get("seed", "1"))
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        faults.append(f"seed: found {values['seed']!r}; allowed: 0, 1, 2, ..., {2**32 - 1}")
    name, intervention, tokenizer = values.get("intervention", ""), None, None
    try:
        intervention = read_intervention(name, _options(values))
        tokenizer = _read_tokenizer(values.get("tokenizer"))
    except SettingsError as error:
        faults += error.faults
    if "tokenizer" not in values:
        faults += [
            f"{key}={values[key]} is about token ids: give tokenizer=FILE, a tokenizer.json"
            for key in _keys_about_token_ids(name)
            if key in values
        ]
    if faults or intervention is None:
        raise SettingsError(faults)
    return PreviewOptions(intervention, seed, tokenizer, audit_only=bool(flags), files=files)


def _options(values: dict[str, str]) -> dict[str, Any]:
    """The intervention's options that were given; those that are numbers are shares or nats."""
    options: dict[str, Any] = {}
    for option in OPTIONS:
        key = f"intervention.{option}"
        if key in values:
            options[option] = values[key] if option == "possessives" else _value(values[key])
    return options


def _value(word: str) -> float | Any:
    """The number that a run reads in a word (1, .5, 5e-1), or what YAML reads."""
    try:
        return float(word)
    except ValueError:
        return yaml.safe_load(word)


def _keys_about_token_ids(name: str) -> list[str]:
    """The keys that mean nothing without a tokenizer."""
    acts_on_ids_alone = name in INTERVENTIONS and INTERVENTIONS[name].token_map is not None
    return ["intervention", "intervention.length"] if acts_on_ids_alone else ["intervention.length"]


def _read_tokenizer(path: str | None) -> Tokenizer | None:
    """The tokenizer of a file. Raises `SettingsError`."""
    if path is None:
        return None
    try:
        return Tokenizer.from_file(path)
    except Exception as error:  # The library raises bare exceptions.
        raise SettingsError([f"tokenizer: {path} cannot be read ({error}); give a tokenizer.json"]) from None


# --- paragraphs ------------------------------------------------------------------------------------------------


def _paragraphs(files: Sequence[Path]) -> Iterator[str]:
    """Paragraphs of the files or of standard input, one by one, nothing lost between them.

    Raises `DataError` naming the line that is not UTF-8.
    """
    if not files:
        yield from pieces(sys.stdin.buffer, "standard input")
    for path in files:
        with path.open("rb") as file:
            yield from pieces(file, str(path))


def pieces(source: BinaryIO, name: str) -> Iterator[str]:
    """The paragraphs of one source, each with the blank line that ends it. name: used in errors."""
    decode = codecs.getincrementaldecoder("utf-8-sig")().decode
    unfinished, line = "", 1
    while True:
        chunk = source.read(MAX_CHARS)
        try:
            text = decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            line += error.object[: error.start].count(b"\n")
            raise DataError(f"{name}, line {line}: not UTF-8") from None
        line += text.count("\n")
        unfinished += text
        while end := _end_of_paragraph(unfinished):
            yield unfinished[:end]
            unfinished = unfinished[end:]
        if not chunk:
            break
    if unfinished:
        yield unfinished


def _end_of_paragraph(text: str) -> int:
    """Where the first paragraph ends; 0: it is not complete yet."""
    blank_line = _PARAGRAPH_END.search(text, 0, MAX_CHARS)
    if blank_line is not None:
        return blank_line.end()
    if len(text) < MAX_CHARS:
        return 0
    cuts = (text.rfind(mark, 0, MAX_CHARS) for mark in "\n ")
    return next((cut + 1 for cut in cuts if cut > 0), MAX_CHARS)


# --- altering them ---------------------------------------------------------------------------------------------


def _alter_paragraphs(paragraphs: Iterator[str], options: PreviewOptions) -> _Outcome:
    """Writes the altered paragraphs to standard output, unless only counts are wanted."""
    possessives, read_ahead = _possessives(options.intervention, paragraphs)
    audit = Audit()
    alter = _alter_function(options, possessives, audit)
    num_words = 0
    for number, text in enumerate(chain(read_ahead, paragraphs)):
        num_words += len(text.split())
        altered = alter(number, text)
        if not options.audit_only:
            sys.stdout.write(altered)
    sys.stdout.flush()
    return _Outcome(audit, num_words, possessives.notices)


def _possessives(intervention: InterventionSettings, paragraphs: Iterator[str]) -> tuple[Possessives, list[str]]:
    """(the tables or lists for her and his; the paragraphs that were read ahead to fit them)."""
    is_rule = INTERVENTIONS[intervention.name].direction is not None
    if not is_rule or intervention.possessives == "words":
        return WORD_LISTS, []
    if intervention.possessives != "fit":
        return Possessives.load(Path(intervention.possessives)), []
    read_ahead: list[str] = []
    num_chars = 0
    for text in paragraphs:
        read_ahead.append(text)
        num_chars += len(text)
        if num_chars >= _FIT_CHARS:
            break
    return fit(read_ahead), read_ahead


def _alter_function(options: PreviewOptions, possessives: Possessives, audit: Audit) -> Callable[[int, str], str]:
    """(number of a paragraph, its text) -> its altered text; what changes is counted in `audit`."""
    settings, tokenizer = options.intervention, options.tokenizer
    if tokenizer is None or not INTERVENTIONS[settings.name].alters_rows:
        text_swap = TextSwap(settings, seed=options.seed, possessives=possessives)

        def alter_text(number: int, text: str) -> str:
            swapped = text_swap(number, text)
            audit.add(number, text, swapped)
            return swapped.text

        return alter_text
    row_swap = RowSwap(settings, tokenizer, seed=options.seed, padding_id=0, possessives=possessives, is_cut=False)
    row_swap.audit = audit

    def alter_ids(number: int, text: str) -> str:
        ids = np.array([tokenizer.encode(text, add_special_tokens=False).ids], dtype=np.int64)
        altered, num_tokens = row_swap([number], ids)
        return tokenizer.decode(altered[0, : num_tokens[0]].tolist(), skip_special_tokens=False)

    return alter_ids


# --- the counts ------------------------------------------------------------------------------------------------


def _print_counts(outcome: _Outcome, *, audit_only: bool) -> None:
    """Prints the counts to standard error; to standard output where no text was written to it."""
    audit, out = outcome.audit, console(stderr=not audit_only)
    if not audit_only:
        out.print("")  # A text may not end with a line's end.
    swaps = f"{sum(audit.swaps.values()):,} swaps in {outcome.num_words:,} words"
    out.print(f"{swaps}, {audit.rows_changed:,} of {audit.rows:,} paragraphs", _count_table(audit), sep="\n")
    for notice in outcome.notices:
        out.print(notice, highlight=False, style="dim")


def _count_table(audit: Audit) -> Table:
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
