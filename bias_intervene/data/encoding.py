"""Token ids of documents of any length, in bounded memory.

The tokenizers library needs about 150 bytes of memory for a byte of text. Short documents are tokenized many at a time.
A long one is divided, and the ids are those of the whole all the same. Why:

- A tokenizer first splits text into words from left to right, and each split depends on the characters around it. From
  the beginning of a word on, a text is split as it would be by itself. The last tokens of a part, where what follows
  could still have changed the split, are never used: the next part begins with them.
- Parts are divided where a word begins after a character of another class (space, letter or digit, other), so within no
  run of spaces, digits or letters, and before no combining mark.
- A tokenizer that splits no words (SentencePiece) merges pieces across the whole text, but not over the beginning of a
  word if none of its tokens holds a space behind another character. If one does, a text is not divided there.
- Each time, the text behind the division is tokenized by itself, and must give the tokens that it has in the part, with
  or without its first space: some tokenizers put one before every text.

Input: documents, each a text or an iterator of its pieces; a tokenizer.
Output: the token ids of each document, and the end-of-text token behind it.
Guarantees: the ids are those of tokenizing each document whole. A document that cannot be divided so is refused.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from tokenizers import Encoding, Tokenizer

from bias_intervene.errors import DataError

Document = str | Iterator[str]
"""Its text, or the pieces of it in their order."""

PART_CHARS = 1 << 19
"""Characters tokenized at once: one document, or several short ones."""
_BATCH_DOCUMENTS = 256
"""Documents tokenized at once; the tokenizers library spreads them over the cores."""
_MOST_CHARS = 1 << 20
"""Length up to which a part without a place to divide it grows."""
_MARGIN_TOKENS = 128
"""Tokens at the end of a part that are read again in the next."""
_SEARCHED_TOKENS, _ATTEMPTS = 4096, 16
"""Tokens before these among which a place is searched, and places that are tried."""
_SPACE_WITHIN = re.compile(r"[^\s▁Ġ][ ▁Ġ]")


def token_stream(documents: Iterable[Document], tokenizer: Tokenizer, end_of_text_id: int) -> Iterator[np.ndarray]:
    """Token ids of each document, in one array or several, followed by the end-of-text token."""
    batch: list[str] = []
    for document in documents:
        if isinstance(document, str) and len(document) <= PART_CHARS:
            batch.append(document)
            if len(batch) == _BATCH_DOCUMENTS or sum(map(len, batch)) > PART_CHARS:
                yield from _encoded(batch, tokenizer, end_of_text_id)
                batch = []
            continue
        yield from _encoded(batch, tokenizer, end_of_text_id)
        batch = []
        yield from encode_in_parts(document, tokenizer, part_chars=PART_CHARS)
        yield np.array([end_of_text_id], dtype=np.int64)
    yield from _encoded(batch, tokenizer, end_of_text_id)


def _encoded(texts: list[str], tokenizer: Tokenizer, end_of_text_id: int) -> Iterator[np.ndarray]:
    """The ids of short documents, each with the end-of-text token."""
    for encoding in tokenizer.encode_batch(texts, add_special_tokens=False):
        yield np.asarray([*encoding.ids, end_of_text_id], dtype=np.int64)


def encode_in_parts(
    document: Document,
    tokenizer: Tokenizer,
    *,
    part_chars: int,
    most_chars: int = _MOST_CHARS,
    margin_tokens: int = _MARGIN_TOKENS,
) -> Iterator[np.ndarray]:
    """The ids of one document, tokenized a part at a time. Raises `DataError` where it cannot be divided."""
    pieces = _slices(document, part_chars) if isinstance(document, str) else document
    words_are_apart = not any(_SPACE_WITHIN.search(token) for token in tokenizer.get_vocab(with_added_tokens=True))
    part, wanted, is_last = "", part_chars, False
    while not is_last:
        while len(part) < wanted and not is_last:
            piece = next(pieces, None)
            part, is_last = part + (piece or ""), piece is None
        encoding = tokenizer.encode(part, add_special_tokens=False)
        if is_last:
            yield np.array(encoding.ids, dtype=np.int64)
            return
        division = _division(part, encoding, tokenizer, margin_tokens, words_are_apart=words_are_apart)
        if division is not None:
            yield np.array(encoding.ids[: division.num_tokens], dtype=np.int64)
            part, wanted = part[division.resume_at :], part_chars
        elif wanted < most_chars:
            wanted *= 2
        else:
            raise DataError(
                f"a document of more than {len(part):,} characters cannot be tokenized in parts: its tokenizer divides "
                f"it nowhere near {part[-40:]!r}; give it as several documents"
            )


def _slices(text: str, length: int) -> Iterator[str]:
    """A text in slices."""
    return (text[at : at + length] for at in range(0, len(text), length))


class _Division(NamedTuple):
    """Where a part ends."""

    num_tokens: int
    """Its tokens."""
    resume_at: int
    """The character that the next part begins with."""


def _division(
    part: str, encoding: Encoding, tokenizer: Tokenizer, margin_tokens: int, *, words_are_apart: bool
) -> _Division | None:
    """The last place where a part can be divided; None: there is none near its end.

    words_are_apart: whether no token holds a space behind another character.
    """
    ids = encoding.ids
    last = len(ids) - margin_tokens
    attempts = 0
    for begins_with_space in (True, False):
        for token in range(last, max(0, last - _SEARCHED_TOKENS), -1):
            span = encoding.token_to_chars(token)
            is_new_word = encoding.token_to_word(token) != encoding.token_to_word(token - 1)
            if span is None or not _is_place(part, span[0], begins_with_space=begins_with_space):
                continue
            if not (is_new_word or (words_are_apart and begins_with_space)):
                continue
            for at in (span[0], span[0] + 1) if begins_with_space else (span[0],):
                if tokenizer.encode(part[at:], add_special_tokens=False).ids == ids[token:]:
                    return _Division(token, at)
            attempts += 1
            if attempts == _ATTEMPTS:
                return None
    return None


def _is_place(text: str, at: int, *, begins_with_space: bool) -> bool:
    """Whether `at` stands between characters of two classes, and before no combining mark.

    begins_with_space: whether the character there must be a space.
    """
    if at == 0 or unicodedata.category(text[at]).startswith("M") or (begins_with_space and text[at] != " "):
        return False
    return _class_of(text[at - 1]) != _class_of(text[at])


def _class_of(character: str) -> str:
    """Space, letter or digit, or other."""
    return "space" if character.isspace() else "word" if character.isalnum() else "other"
