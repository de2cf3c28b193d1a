"""The tokens of a byte-level BPE tokenizer as the bytes they stand for.

Input: a tokenizer.
Output: the bytes of every id, the ids of a word, and the strings that end a document.
Guarantees: any byte-level BPE tokenizer that splits words from punctuation (GPT-2, GPT-NeoX, SmolLM2, one trained here)
is supported, and any other is refused with the reason: under another splitting, a pronoun could share a token with a
punctuation mark, and replacing it would change the neighbouring ids.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from tokenizers import Tokenizer
from tokenizers.models import BPE

from bias_intervene.errors import DataError

_PROBE = "a he \"he (he _he —he.he/he he's\nhe"
"""Each `he` in this text must be a piece of its own, together with the space before it if there is one."""


def _byte_alphabet() -> dict[str, int]:
    """Character -> byte: byte-level tokenizers write printable bytes as themselves, the others from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + at): byte for at, byte in enumerate(others)}


_BYTE_OF = _byte_alphabet()
SPACE = next(character for character, byte in _BYTE_OF.items() if byte == 0x20)


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a tokenizer, by id."""

    tokenizer: Tokenizer
    bytes_of: list[bytes | None]
    """id -> its bytes; None: no token has the id, or one that ends a document."""
    marks: tuple[str, ...]
    """Strings of the special tokens, which end a document."""
    ids_of_words: dict[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    """Cache of `word_ids`."""

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> "Vocabulary":
        """Reads a tokenizer. Raises `DataError` if it is not byte-level BPE that splits words from marks."""
        check(tokenizer)
        added = tokenizer.get_added_tokens_decoder()
        pieces = {index: piece for piece, index in tokenizer.get_vocab(with_added_tokens=False).items()}
        size = 1 + max([*pieces, *added])
        bytes_of: list[bytes | None] = [None] * size
        for index, piece in pieces.items():
            if index in added:
                continue
            try:
                bytes_of[index] = bytes(_BYTE_OF[character] for character in piece)
            except KeyError as error:
                raise _refusal(f"its token {piece!r} holds {error}, which stands for no byte") from None
        for index, token in added.items():
            bytes_of[index] = None if token.special else token.content.encode()
        marks = tuple(token.content for token in added.values() if token.special)
        return cls(tokenizer=tokenizer, bytes_of=bytes_of, marks=marks)

    @property
    def size(self) -> int:
        """One more than the highest id."""
        return len(self.bytes_of)

    @cached_property
    def pieces(self) -> list[bytes]:
        """id -> its bytes; empty if there is no token."""
        return [piece or b"" for piece in self.bytes_of]

    def word_ids(self, word: str) -> tuple[int, ...]:
        """Ids of a word, with or without a leading space, that the tokenizer splits off from its surroundings."""
        if word not in self.ids_of_words:
            pieces = self.tokenizer.model.tokenize(word.replace(" ", SPACE))
            self.ids_of_words[word] = tuple(piece.id for piece in pieces)
        return self.ids_of_words[word]

    def text(self, ids: Iterable[int]) -> str:
        """The text of tokens within one document; bytes that are not a whole character become U+FFFD."""
        return b"".join(map(self.pieces.__getitem__, ids)).decode("utf8", errors="replace")


def fingerprint_of(tokenizer: Tokenizer) -> str:
    """sha256 of the tokenizer's serialized form, which determines what it does."""
    return hashlib.sha256(tokenizer.to_str().encode()).hexdigest()


def check(tokenizer: Tokenizer) -> None:
    """Raises `DataError` for a tokenizer that is not byte-level BPE, or does not split words from punctuation marks."""
    if not isinstance(tokenizer.model, BPE):
        raise _refusal(f"its model is {type(tokenizer.model).__name__}")
    if tokenizer.pre_tokenizer is None:
        raise _refusal("it does not split text into words")
    pieces = tokenizer.pre_tokenizer.pre_tokenize_str(_PROBE)
    with_he = [piece for piece, _ in pieces if "he" in piece]
    expected = [f"{SPACE}he", *["he"] * (_PROBE.count("he") - 3), f"{SPACE}he", "he"]
    if with_he != expected:
        unexpected = next((piece for piece in with_he if piece not in ("he", f"{SPACE}he")), with_he)
        raise _refusal(f"it splits {_PROBE!r} so that {unexpected!r} is one piece")


def _refusal(reason: str) -> DataError:
    """The error for a tokenizer that cannot be used."""
    return DataError(
        f"tokenizer: the swap over token ids needs byte-level BPE that splits words from marks, as GPT-2, GPT-NeoX and "
        f"SmolLM2 have it, and {reason}; take a model with such a tokenizer (conf/model), or swap the text before it "
        "is packed (python -m bias_intervene.preview) and train on that with intervention=none"
    )
