"""Finds the pronouns in rows of token ids: by the words of the decoded row, not by single ids.

A pronoun may be written with a capital, without a space before it, in a contraction, and in several tokens (`Hers`
`elf`, or `'s` `he` for 'she), so a list of ids misses some. The row is decoded token by token, the words are found in
the text, and their characters are traced back to the tokens.

Input: a row of token ids and the tokenizer.
Output: the pronouns of the row, each with its tokens and with the tokens that another form would have in its place.
Guarantees: every pronoun as `bias_intervene.pronouns` defines it is found, once. No intervention is involved.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from tokenizers.decoders import DecodeStream

from bias_intervene import pronouns
from bias_intervene.models import TextTokenizer

_UNDECODABLE = "\ufffd"
"""Stands for bytes that are no whole character."""


@dataclass(frozen=True)
class PronounInRow:
    """A pronoun in a row."""

    word: str
    """As it is written."""
    first: int
    """Position of its first token."""
    end: int
    """Position after its last token."""
    before: str
    """Text before it in its first token, or in the token before that if its first token begins with it."""
    after: str
    """Text after it in its last token; hardly ever any."""
    text_first: int
    """Position of the token that `before` begins with."""

    @property
    def can_be_scored(self) -> bool:
        """Whether a model can be asked for it: something precedes it, and its tokens are whole characters."""
        return self.text_first > 0 and _UNDECODABLE not in self.before + self.after

    def written_as(self, word: str, tokenizer: TextTokenizer) -> list[int]:
        """The ids from `text_first` on if `word` stood in its place, in the same case."""
        return tokenizer.encode(self.before + pronouns.with_case(word, self.word) + self.after)


@dataclass(frozen=True)
class _Piece:
    """The least number of tokens that decode to whole characters."""

    first: int
    end: int
    text: str
    start: int
    """Where its text begins in the text of the row."""


def pronouns_of(row: Sequence[int], tokenizer: TextTokenizer) -> list[PronounInRow]:
    """The pronouns of a row, in their order."""
    pieces = list(_pieces(row, tokenizer))
    text = "".join(piece.text for piece in pieces)
    piece_of = [number for number, piece in enumerate(pieces) for _ in piece.text]
    found: list[PronounInRow] = []
    for match in pronouns.places(text):
        low, high = piece_of[match.start()], piece_of[match.end() - 1]
        # How a word without a space before it is tokenized depends on what it follows.
        text_low = low - 1 if pieces[low].start == match.start() and low else low
        stop = pieces[high].start + len(pieces[high].text)
        found.append(
            PronounInRow(
                word=match[0],
                first=pieces[low].first,
                end=pieces[high].end,
                before=text[pieces[text_low].start : match.start()],
                after=text[match.end() : stop],
                text_first=pieces[text_low].first,
            )
        )
    return found


def _pieces(row: Sequence[int], tokenizer: TextTokenizer) -> Iterator[_Piece]:
    """The row in pieces of whole characters; a character that its end cuts off is no piece."""
    stream = DecodeStream(skip_special_tokens=False)
    first, start = 0, 0
    for position, token in enumerate(row):
        text = stream.step(tokenizer.backend, int(token))
        if text is not None:
            yield _Piece(first, position + 1, text, start)
            first, start = position + 1, start + len(text)


def common_beginning(alternatives: Sequence[list[int]]) -> int:
    """The number of ids with which all alternatives begin, at least one id of each left over.

    >>> common_beginning([[5, 6, 7], [5, 6], [5, 6, 8]])
    1
    """
    columns = zip(*(ids[:-1] for ids in alternatives), strict=False)
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))
