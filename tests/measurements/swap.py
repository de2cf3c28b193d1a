"""How fast the swap over token ids is: `python -m tests.measurements.swap [--json] [--prose FILE...]`.

For prose, code and a mixed corpus it prints tokens a second, and two ratios of things measured in the same run: to the
path through text (decode, regular expression, encode, by the `tokenizers` library) and to `np.copyto` of the same
array; and the peak of extra memory. Every rule, guard and count is on, one thread. The rows are uint16, as stored,
2,049 tokens each, repeated to 64 MiB so that the copy goes through memory.

Prose: ../shared/data/prose, or --prose. Code: the standard library of this Python. Mixed: rows of both in turn, one of
prose to two of code and help pages. The tokenizer is GPT-NeoX's where ../shared is, else one trained on the spot.
"""

import argparse
import json
import os
import re
import sysconfig
import time
import tracemalloc
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer

from bias_intervene.interventions.possessive.fit import fit
from bias_intervene.interventions.tokens import TokenSwap
from tests.conftest import SHARED, english, trained
from tests.helpers.parity import rows_of

SIZE = 2049
TEXT_ROWS = 48
REPEATS = 5
WORDS = {"he": "she", "him": "her", "his": "her", "himself": "herself"}
WORDS |= {word.title(): other.title() for word, other in WORDS.items()}
PATTERN = re.compile(rf"\b(?:{'|'.join(WORDS)})\b")


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the table, or JSON."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--prose", nargs="+", type=Path, default=sorted((SHARED / "prose").glob("*.txt")))
    parser.add_argument("--mebibytes", type=int, default=64, help="size of the array")
    asked = parser.parse_args(argv)
    if not asked.prose:
        parser.error("no prose: ../shared/data/prose is not there; give --prose FILE...")
    found = SHARED / "tokenizer" / "20B_tokenizer.json"
    tokenizer = Tokenizer.from_file(str(found)) if found.is_file() else trained("gpt2", 8000)
    prose = [path.read_text(encoding="utf8") for path in asked.prose]
    possessives = fit(prose)
    prose_rows = rows_of(tokenizer, prose, SIZE, 2000)
    code_rows = rows_of(tokenizer, code(), SIZE, 1000)
    others = np.concatenate([code_rows, rows_of(tokenizer, english(), SIZE, 200)])
    np.random.default_rng(0).shuffle(others)
    count = min(len(prose_rows), len(others) // 2)
    mixed = np.concatenate([prose_rows[:count], others[: 2 * count]])
    corpora = {"prose": prose_rows, "code": code_rows, "mixed": mixed}
    swap = TokenSwap(tokenizer, "masculine_to_feminine", possessives)
    results = {name: measured(tokenizer, swap, rows, asked.mebibytes << 20) for name, rows in corpora.items()}
    if asked.json:
        print(json.dumps(results, indent=2))
        return
    table = Table(title=f"{tokenizer.get_vocab_size():,} tokens in the vocabulary", title_justify="left")
    for column in ("corpus", "pronouns, %", "tokens/s", "x text path", "x copy", "extra memory, MiB"):
        table.add_column(column, justify="left" if column == "corpus" else "right")
    for name, values in results.items():
        table.add_row(
            name,
            f"{100 * values['share_of_pronouns']:.2f}",
            f"{values['tokens_per_second'] / 1e6:,.0f} M",
            f"{values['ratio_to_text_path']:,.0f}",
            f"{values['ratio_to_copy']:.3f}",
            f"{values['peak_extra_memory_mib']:.0f}",
        )
    Console(width=100).print(table)


def code() -> list[str]:
    """Source files of the standard library, in a fixed order."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    paths = (path for path in sorted(folder.glob("**/*.py")) if "site-packages" not in path.parts)
    return [path.read_text(encoding="utf8", errors="ignore") for path in islice(paths, 800)]


def measured(tokenizer: Tokenizer, swap: TokenSwap, rows: np.ndarray, size: int) -> dict[str, float]:
    """The figures for one corpus. rows: uint16 (rows, SIZE), repeated to `size` bytes."""
    array = np.tile(rows, (-(-size // rows.nbytes), 1))
    out = np.zeros_like(array)  # Written once, so that no run pays for the first touch of a page.
    copy = best(lambda: np.copyto(out, array)) / array.size
    done = swap(array, out=out, is_cut=True)
    ours = best(lambda: swap(array, out=out, is_cut=True)) / array.size
    sample = rows[:: max(1, len(rows) // TEXT_ROWS)][:TEXT_ROWS]
    text = best(lambda: through_text(tokenizer, sample)) / sample.size
    swap.buffers.clear()
    tracemalloc.start()
    swap(array, out=out, is_cut=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {
        "share_of_pronouns": (done.swaps.total() + done.skipped.total()) / array.size,
        "tokens_per_second": 1 / ours,
        "ratio_to_text_path": text / ours,
        "ratio_to_copy": copy / ours,
        "peak_extra_memory_mib": peak / 2**20,
    }


def through_text(tokenizer: Tokenizer, rows: np.ndarray) -> None:
    """What one does without token tables; no boundary, case, context or language is looked at."""
    for row in rows:
        text = PATTERN.sub(lambda match: WORDS[match[0]], tokenizer.decode(row.tolist(), skip_special_tokens=False))
        tokenizer.encode(text, add_special_tokens=False)


def best(action: Callable[[], object]) -> float:
    """Seconds of the fastest of REPEATS runs."""
    times: list[float] = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()
