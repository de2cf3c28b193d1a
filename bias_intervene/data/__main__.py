"""`python -m bias_intervene.data`: shows, checks and writes rows.

    info SOURCE                     what a corpus holds: files, rows, tokens, Pythia's steps
    show --step N [SOURCE]          rows of a step of Pythia's training, decoded; before and after an intervention
    verify SOURCE                   every size, every index entry, every token id
    write FILE... --output PREFIX   text or JSON lines -> rows of one length in .bin/.idx, for data=indexed

SOURCE is a folder with a .bin or its shards, a .bin, or a prefix; `show` reads the hub if none is given.

Input: a corpus, or text and a tokenizer.
Output: text on the terminal; `write` makes a folder with rows.bin and rows.idx.
Guarantees: nothing but `write` writes, and `show` downloads only the rows it shows.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.text import Text
from tokenizers import Tokenizer
from tqdm import tqdm

from bias_intervene.console import console, discard_output
from bias_intervene.data.corpus import documents, pack
from bias_intervene.data.encoding import Document, token_stream
from bias_intervene.data.indexed import Index, Layout, Rows, check_ids, token_dtype, write_rows
from bias_intervene.data.pile import EXPECTED, fetch_rows
from bias_intervene.data.shards import bins, local_layout
from bias_intervene.errors import BiasInterveneError, DataError
from bias_intervene.interventions.audit import Audit
from bias_intervene.interventions.row_swap import RowSwap
from bias_intervene.plan import pile_rows
from bias_intervene.record import whole_folder
from bias_intervene.settings import JsonlData, TextData, read_intervention

_VERIFIED_ROWS = 1024
"""Rows that `verify` reads at a time."""
_TOKENIZER_REPOSITORY = "EleutherAI/pythia-14m-deduped"
"""All models of the Pythia suite have the same tokenizer; this is the smallest one."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0, or 1 with a message."""
    parser = parsers()
    arguments = parser.parse_args(argv)
    try:
        arguments.run(arguments)
    except BiasInterveneError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        discard_output()
        return 0
    return 0


def parsers() -> argparse.ArgumentParser:
    """The parser, with one subparser per command."""
    parser = argparse.ArgumentParser(
        prog="python -m bias_intervene.data", description="Look at rows, check them, write them."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    info_ = commands.add_parser("info", help="what a corpus holds")
    info_.add_argument("source", type=Path)
    info_.set_defaults(run=_info)

    show_ = commands.add_parser("show", help="rows of a step of Pythia's training, decoded")
    show_.add_argument("source", type=Path, nargs="?", help="default: the hub")
    show_.add_argument("--step", type=int, required=True)
    show_.add_argument("--first", type=int, default=0, help="first row shown, counted within the step")
    show_.add_argument("--rows", type=int, default=4, help="how many (default 4)")
    show_.add_argument("--batch-rows", type=int, default=pile_rows.BATCH_ROWS, help="rows a step (default Pythia's)")
    show_.add_argument("--standard", action="store_true", help="the hub's rows of the Pile that was not deduplicated")
    show_.add_argument("--tokenizer", help="tokenizer.json, or a folder that holds one (default: Pythia's of the hub)")
    show_.add_argument("--intervention", help="shows what it changes")
    show_.add_argument("--characters", type=int, default=600, help="of each row (default 600; 0: all)")
    show_.add_argument("--ids", action="store_true", help="token ids in place of text")
    show_.set_defaults(run=_show)

    verify_ = commands.add_parser("verify", help="every size, every index entry, every token id")
    verify_.add_argument("source", type=Path)
    verify_.add_argument("--vocabulary", type=int, help="ids the model knows (default: not checked)")
    verify_.set_defaults(run=_verify)

    write_ = commands.add_parser("write", help="text or JSON lines -> rows of one length in .bin/.idx")
    write_.add_argument("files", type=Path, nargs="+", help=".txt, .jsonl, also .gz or .zst, or folders of them")
    write_.add_argument("--output", type=Path, required=True, help="folder to make: it will hold rows.bin, rows.idx")
    write_.add_argument("--tokenizer", required=True, help="tokenizer.json, or a folder that holds one")
    write_.add_argument("--sequence-length", type=int, default=pile_rows.SEQUENCE_LENGTH, help="default 2048")
    write_.add_argument("--end-of-text", default="<|endoftext|>", help="token between documents")
    write_.add_argument("--field", default="text", help="key that holds the text of a JSON line")
    write_.set_defaults(run=_write)
    return parser


# --- info ------------------------------------------------------------------------------------------------------


def _info(arguments: argparse.Namespace) -> None:
    """Prints what a corpus holds."""
    rows = Rows(_layout_of(arguments.source, whole=False))
    layout = rows.layout
    print(f"{len(rows):,} rows of {rows.row_tokens:,} {layout.dtype} tokens: {len(rows) * rows.row_tokens:,} tokens")
    for part in layout.parts:
        first, end = -(-part.first // rows.row_bytes), part.end // rows.row_bytes
        line = f"{part.path.name}: {part.end - part.first:,} bytes, rows {first:,} to {end - 1:,}"
        if len(rows) == EXPECTED.num_rows:
            line += f" (Pythia's steps {first // pile_rows.BATCH_ROWS:,} to {(end - 1) // pile_rows.BATCH_ROWS:,})"
        print(line)


def _layout_of(source: Path, *, whole: bool, rows: range | None = None) -> Layout:
    """The layout of a folder, `.bin` or prefix. whole: every row must be there."""
    return local_layout(
        source.expanduser(), expected=EXPECTED, key=str(source), rows=rows if rows or whole else range(0)
    )


# --- show ------------------------------------------------------------------------------------------------------


def _show(arguments: argparse.Namespace) -> None:
    """Prints rows of a step."""
    first = arguments.step * arguments.batch_rows + arguments.first
    numbers = range(first, first + min(arguments.rows, arguments.batch_rows - arguments.first))
    if arguments.step < 0 or arguments.first < 0 or not numbers:
        raise DataError(
            f"--step {arguments.step} --first {arguments.first} --rows {arguments.rows}: no such rows; a step has "
            f"{arguments.batch_rows} rows, 0 to {arguments.batch_rows - 1}"
        )
    if arguments.source is None:
        cache = Path(os.environ.get("BIAS_INTERVENE_CACHE", "~/.cache/bias_intervene")).expanduser()
        repository = pile_rows.STANDARD_REPOSITORY if arguments.standard else pile_rows.DEDUPED_REPOSITORY
        layout = fetch_rows(repository, numbers, whole_shards=False, cache=cache)
    else:
        layout = _layout_of(arguments.source, whole=False, rows=numbers)
    stored = Rows(layout).stack(numbers)
    out = console(highlight=False)
    if arguments.ids:
        for number, row in zip(numbers, stored, strict=True):
            out.print(_title(number, arguments.batch_rows, row), style="bold")
            print(" ".join(str(token) for token in row.tolist()))
        return
    tokenizer = _read_tokenizer(arguments.tokenizer)
    check_ids(stored, numbers, vocabulary_size=max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1)
    swap = None
    if arguments.intervention is not None:
        swap = RowSwap(read_intervention(arguments.intervention, {}), tokenizer, seed=1, padding_id=0)
    for number, row in zip(numbers, stored, strict=True):
        out.print(_title(number, arguments.batch_rows, row), style="bold")
        out.print(_shown_text(number, row, tokenizer, swap, arguments.characters), soft_wrap=True)


def _title(number: int, batch_rows: int, row: np.ndarray) -> str:
    """The heading of a row: its position in the corpus and in its step."""
    return f"row {number:,}: step {number // batch_rows:,}, row {number % batch_rows} of it, {row.size:,} tokens"


def _shown_text(number: int, row: np.ndarray, tokenizer: Tokenizer, swap: RowSwap | None, characters: int) -> Text:
    """The text of a row, with what an intervention changes in it shown as before -> after."""
    text, swaps = tokenizer.decode(row.tolist(), skip_special_tokens=False), []
    if swap is not None:
        swap.audit = Audit()
        swap([number], row[None])
        if swap.audit.most_changed:
            text, swaps = swap.audit.most_changed[0]["text"], swap.audit.most_changed[0]["swaps"]
    end = characters or len(text)
    out, at = Text(), 0
    for start, stop, after in swaps:
        if start >= end:
            break
        out.append(text[at:start])
        out.append(f"[{text[start:stop]}", style="red")
        out.append(f" -> {after}]", style="green")
        at = stop
    out.append(text[at : max(at, end)])
    return out.append(" ..." if end < len(text) else "")


def _read_tokenizer(place: str | None) -> Tokenizer:
    """The tokenizer of a file or folder; Pythia's from the hub if none is given."""
    if place is None:
        from huggingface_hub import hf_hub_download

        try:
            return Tokenizer.from_file(hf_hub_download(_TOKENIZER_REPOSITORY, "tokenizer.json"))
        except Exception:
            raise DataError(
                f"the tokenizer of {_TOKENIZER_REPOSITORY} cannot be reached; give --tokenizer FILE (a "
                "tokenizer.json), or --ids"
            ) from None
    path = Path(place).expanduser()
    path = path / "tokenizer.json" if path.is_dir() else path
    if not path.is_file():
        raise DataError(f"--tokenizer {place}: no such file")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # The library raises bare exceptions.
        raise DataError(f"--tokenizer {place}: not a tokenizer.json ({error})") from None


# --- verify ----------------------------------------------------------------------------------------------------


def _verify(arguments: argparse.Namespace) -> None:
    """Reads everything and says that it is consistent. Raises `DataError` naming the first fault."""
    stem, _ = bins(arguments.source.expanduser(), key=str(arguments.source))
    index_path = stem.with_name(stem.name + ".idx")
    if index_path.is_file():
        Index.open(index_path).row_tokens()
    rows = Rows(_layout_of(arguments.source, whole=True))
    highest = 0
    bar = tqdm(total=len(rows), unit="row", mininterval=2, desc="verify")
    with bar:
        for first in range(0, len(rows), _VERIFIED_ROWS):
            numbers = range(first, min(len(rows), first + _VERIFIED_ROWS))
            stored = rows.stack(numbers)
            if arguments.vocabulary is not None:
                check_ids(stored, numbers, vocabulary_size=arguments.vocabulary)
            highest = max(highest, int(stored.max()))
            bar.update(len(numbers))
    print(f"{len(rows):,} rows of {rows.row_tokens:,} tokens: sizes fit, highest id {highest:,}")


# --- write -----------------------------------------------------------------------------------------------------


def _write(arguments: argparse.Namespace) -> None:
    """Packs text into rows."""
    tokenizer = _read_tokenizer(arguments.tokenizer)
    end_of_text_id = tokenizer.token_to_id(arguments.end_of_text)
    if end_of_text_id is None:
        raise DataError(f"--end-of-text {arguments.end_of_text}: the tokenizer has no such token")
    if arguments.sequence_length < 1:
        raise DataError(f"--sequence-length {arguments.sequence_length}: allowed: 1 and more")
    output = arguments.output.expanduser()
    if output.exists():
        raise DataError(f"--output {output}: exists; choose another folder")
    dtype = token_dtype(tokenizer.get_vocab_size(with_added_tokens=True))
    bar = tqdm(unit="document", mininterval=2, desc="write")
    with bar, whole_folder(output) as partial:
        tokens = token_stream(_documents_of(arguments.files, arguments.field, bar), tokenizer, end_of_text_id)
        num_rows = write_rows(
            partial / "rows",
            pack(tokens, arguments.sequence_length),
            row_tokens=arguments.sequence_length + 1,
            dtype=dtype,
        )
        if not num_rows:
            raise DataError(f"fewer than {arguments.sequence_length + 1} tokens, not one row; give more text")
    print(f"{num_rows:,} rows of {arguments.sequence_length + 1:,} tokens in {output}; read them with data=indexed")


def _documents_of(files: Sequence[Path], field: str, bar: "tqdm[Any]") -> Iterator[Document]:
    """The documents, by the kind of each file."""
    options = {"shuffle": False, "allow_repeats": False, "heldout_rows": 0}
    for path in files:
        is_jsonl = ".jsonl" in path.suffixes or ".json" in path.suffixes or (path.is_dir() and any(_jsonl_in(path)))
        kind = JsonlData(kind="jsonl", path=str(path), field=field, **options) if is_jsonl else None
        for document in documents(kind or TextData(kind="text", path=str(path), **options)):
            bar.update()
            yield document


def _jsonl_in(folder: Path) -> Iterator[Path]:
    """JSON lines below a folder. Raises `DataError` where it holds plain text besides."""
    jsonl_files = [path for path in folder.rglob("*") if ".jsonl" in path.suffixes or ".json" in path.suffixes]
    if jsonl_files and any(".txt" in path.suffixes for path in folder.rglob("*")):
        raise DataError(f"{folder}: holds .txt and .jsonl; give the files of one kind, or two folders")
    return iter(jsonl_files)


if __name__ == "__main__":
    sys.exit(main())
