"""The token form against the text rule, at length: `python -m tests.measurements.parity [--rows N] [--text PATH...]`.

For every row of 2,049 tokens that survives decode and encode, in every direction: are the ids those of
encode(swap_text(decode(row))), and are swaps and reasons counted alike? The rows are prose (../shared/data/prose),
code and help pages (this Python's), whatever --text adds (files or folders), and all of these a second time with
pronouns strewn in at random places. N rows go through GPT-NeoX's tokenizer (../shared/data/tokenizer), a tenth of them
through each of three trained on the spot (as GPT-2, GPT-NeoX and SmolLM2 split text). Prints a table; exit status 1
where anything differs.
"""

import argparse
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer

from bias_intervene.interventions.lexicon import DIRECTIONS
from bias_intervene.interventions.possessive.fit import fit
from bias_intervene.interventions.tokens import TokenSwap
from tests.conftest import SHARED, english, trained
from tests.helpers.parity import differences, rows_of, strewn, surviving
from tests.measurements.swap import code

SIZE = 2049


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--text", type=Path, nargs="*", default=[], help="files or folders of UTF-8 text")
    asked = parser.parse_args(argv)
    sources = {
        "prose": list(files([SHARED / "prose"])), "code": code(), "help pages": english(),
        **{path.name: list(files([path])) for path in asked.text},
    }  # fmt: skip
    sources = {name: texts for name, texts in sources.items() if texts}
    possessives = fit(text for texts in sources.values() for text in texts)
    tokenizers = {kind: (trained(kind, 8000), asked.rows // 10) for kind in ("gpt2", "neox", "smollm2")}
    found = SHARED / "tokenizer" / "20B_tokenizer.json"
    if found.is_file():
        tokenizers = {"GPT-NeoX-20B": (Tokenizer.from_file(str(found)), asked.rows), **tokenizers}
    table = Table("tokenizer", "direction", "rows compared", "rows that differ")
    total = 0
    for name, (tokenizer, limit) in tokenizers.items():
        rows = spread(tokenizer, sources, limit)
        texts = surviving(tokenizer, rows)
        for turn, direction in enumerate(DIRECTIONS):
            swap = TokenSwap(tokenizer, direction, possessives)
            told = list(differences(swap, rows, texts, is_cut=turn % 2 == 0))
            for line in told[:3]:
                print(line, file=sys.stderr)
            total += len(told)
            table.add_row(name, direction, f"{len(texts):,} of {len(rows):,}", f"{len(told):,}")
    Console(width=100).print(table)
    return int(total > 0)


def files(paths: Iterable[Path]) -> Iterator[str]:
    """Texts of files and folders that are UTF-8, in NFC as GPT-NeoX's tokenizer has it."""
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            try:
                yield unicodedata.normalize("NFC", file.read_text(encoding="utf8"))
            except (OSError, UnicodeDecodeError):
                continue


def spread(tokenizer: Tokenizer, sources: dict[str, list[str]], limit: int) -> np.ndarray:
    """Rows of all sources in equal parts, as far as each has text; half of them strewn with pronouns."""
    parts = [
        rows_of(tokenizer, kind, SIZE, limit)
        for at, texts in enumerate(sources.values())
        for kind in (texts, (strewn(text[:100_000], seed=at) for text in texts))
    ]
    kept: list[np.ndarray] = []
    for number, part in enumerate(sorted(parts, key=len)):
        share = (limit - sum(map(len, kept))) // (len(parts) - number)
        kept.append(part[:share])
    return np.concatenate(kept)


if __name__ == "__main__":
    sys.exit(main())
