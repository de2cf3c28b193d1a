"""The token form against the text rule: what the tests and the benchmark of parity share."""

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
from tokenizers import Tokenizer

from bias_intervene.interventions.possessive import SLOTS, WORD_LISTS, Possessives, Table
from bias_intervene.interventions.text import swap_text
from bias_intervene.interventions.tokens import TokenSwap, TokenSwaps

FORMS = (
    "he him his himself she her hers herself He His Him Himself She Her Hers HE HIS HIM HERSELF HER hE hers' "
    "he's she'd've his/her she/he"
).split()
GLUE = (
    "", "", " ", "-", "--", "/", "'", '"', "_", "__", ".", "..", " or ", "\n", "\n\n", "\r\n", "\n    ", "  ", " he ",
    "(s)", "s/", "’s", "=", "@", "(", ' "', "\n'", "é", "\u0301", "1", "²", ",", "\u00a0", "—", " own", " OF ",
    "<|endoftext|>", "ß", "न", "漢", "\u200d", "�",
)  # fmt: skip


def strewn(text: str, *, seed: int, share: float = 0.06) -> str:
    """`text` with pronouns, glued to all kinds of neighbours, at random places: the corners of the rule."""
    rng = random.Random(seed)
    words = re.split(r"( )", text)
    for at in range(0, len(words), 2):
        if rng.random() < share:
            words[at] += rng.choice(GLUE) + rng.choice(FORMS) + rng.choice(GLUE)
    return "".join(words)


def rows_of(tokenizer: Tokenizer, texts: Iterable[str], size: int, limit: int) -> np.ndarray:
    """Up to `limit` rows (rows, size) packed from texts with an end mark after each."""
    ids: list[int] = []
    for text in texts:
        ids += tokenizer.encode(f"{text}<|endoftext|>", add_special_tokens=False).ids
        if len(ids) >= limit * size:
            break
    count = min(limit, len(ids) // size)
    return np.array(ids[: count * size], dtype=np.uint16).reshape(count, size)


def laid_anew(row: np.ndarray, swaps: TokenSwaps) -> list[int]:
    """The ids of a row with all its swaps, whatever their lengths."""
    ids: list[int] = []
    at = 0
    for number in range(len(swaps)):
        ids += row[at : swaps.start[number]].tolist()
        ids += swaps.pieces.get(number, (int(swaps.new[number]),))
        at = int(swaps.start[number] + swaps.width[number])
    return ids + row[at:].tolist()


def surviving(tokenizer: Tokenizer, rows: np.ndarray) -> list[tuple[int, str]]:
    """(number, text) of the rows that survive decode and encode: for these the two forms must agree."""
    texts = [tokenizer.decode(row.tolist(), skip_special_tokens=False) for row in rows]
    encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
    return [(at, text) for at, text in enumerate(texts) if encoded[at].ids == rows[at].tolist()]


def differences(
    swap: TokenSwap, rows: np.ndarray, texts: list[tuple[int, str]], *, is_cut: bool = False
) -> Iterator[str]:
    """What the token form does otherwise than encode(swap_text(decode(row))), ids, counts and reasons."""
    tokenizer, direction = swap.vocabulary.tokenizer, swap.direction
    found, _ = swap.find(rows, is_cut=is_cut)
    for number, text in texts:
        expected = swap_text(text, direction, swap.possessives, is_cut=is_cut, marks=swap.vocabulary.marks)
        own, skipped = swap.find(rows[number], is_cut=is_cut)
        mine = laid_anew(rows[number], found.only(found.row == number))
        if mine != laid_anew(rows[number], own):
            yield f"row {number}: alone and among others"
        wanted = tokenizer.encode(expected.text, add_special_tokens=False).ids
        if mine != wanted:
            at = next((i for i, (a, b) in enumerate(zip(mine, wanted, strict=False)) if a != b), 0)
            here, there = (tokenizer.decode(ids[max(0, at - 8) : at + 8]) for ids in (mine, wanted))
            yield f"row {number}, {direction}: {here!r}, and the text rule has {there!r}"
        if skipped != expected.skipped:
            yield f"row {number}, {direction}: left alone {skipped}, and the text rule has {expected.skipped}"
        forms = Counter(swap.names[name] for name in own.name.tolist())
        if forms != Counter(swapped.form for swapped in expected.swaps):
            yield f"row {number}, {direction}: forms {forms}"


def random_possessives(words: Iterable[str], *, seed: int, margin: float = 0.2) -> Possessives:
    """Tables with a weight of chance for every word: what they say is nonsense, and must be the same nonsense."""
    rng = random.Random(seed)
    keys = list(dict.fromkeys([*words, *(f"{space}{mark}" for space in ("", " ") for mark in ".,;:'\"-(_*’—")]))
    tables = {
        word: Table(
            bias=rng.gauss(0, 1),
            entries={slot: {**prior.entries[slot], **{key: rng.gauss(0, 1) for key in keys}} for slot in SLOTS},
        )
        for word, prior in WORD_LISTS.tables.items()
    }
    return Possessives(tables=tables, num_contexts={"her": 1, "his": 1}, margin=margin)
