"""Pairs of WinoBias sentences, one pro- and one anti-stereotypical.

There are three sources: the original text files, the hub's data set (made from the authors' CoNLL files), and the
generated world. The hub's rows are sorted by their document numbers as text (0, 100, 101, ...), so an item is named
after its document number, which is its line in the text files. Sentences are split into tokens as in CoNLL (`'s` and
`n't` are tokens of their own), and the running text is put together from these.

A sentence is kept as published, errors included: the published protocols show a model every token of it. The running
text of a sentence is without its doubled article, and of several marked pronouns the first one counts.

Input: one of the three sources.
Output: pairs of sentences, with referent, pronoun and the occupations that they name.
Guarantees: the two published sources give equal items.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bias_intervene.data import world
from bias_intervene.errors import DataError
from bias_intervene.evals.benchmarks.sources import fields, hub_rows, need_world
from bias_intervene.evals.benchmarks.winobias import faults
from bias_intervene.pronouns import GENDER
from bias_intervene.record import fingerprint
from bias_intervene.settings import WinobiasSettings

HUB = "uclanlp/wino_bias"
OCCUPATIONS = (
    "attendant", "cashier", "teacher", "nurse", "assistant", "secretary", "auditor", "cleaner", "receptionist",
    "clerk", "counselor", "designer", "hairdresser", "writer", "housekeeper", "baker", "accountant", "editor",
    "librarian", "tailor", "driver", "supervisor", "janitor", "cook", "mover", "laborer", "construction worker",
    "chief", "developer", "carpenter", "manager", "lawyer", "farmer", "salesperson", "physician", "guard", "analyst",
    "mechanic", "sheriff", "CEO",
)  # fmt: skip
"""The occupations of Zhao et al. 2018: twenty held mostly by women, then twenty held mostly by men."""
_MALE_LEANING = {occupation.lower() for occupation in OCCUPATIONS[20:]}

_BRACKETS = re.compile(r"\[([^\]]*)\]")
_DOUBLED_ARTICLE = re.compile(r"\b(the|a|an) \[(?=\1 )", re.IGNORECASE)
_WORDS = re.compile(r"\d+(?:,\d+)*|\w+?(?=n['’]t\b)|n['’]t\b|\w+(?:-\w+)*|['’]\w+|[^\w\s]")
"""Finds tokens as in CoNLL: could n't, writer 's, well-fitting, 2,000."""


def _any_of(nouns: Iterable[str]) -> re.Pattern[str]:
    """A pattern that finds any of the nouns in a sentence; of several at one position, the longest."""
    return re.compile(rf"\b({'|'.join(sorted(nouns, key=len, reverse=True))})\b", re.IGNORECASE)


_PUBLISHED_NOUNS = _any_of(OCCUPATIONS)
_WORLD_NOUNS = _any_of({*world.OCCUPATIONS, *world.NEUTRAL_NOUNS})


@dataclass(frozen=True)
class WinobiasSentence:
    """One sentence, with its referent and its pronoun."""

    tokens: tuple[str, ...]
    """As published."""
    referent: str
    pronoun: str
    pronoun_at: int
    """Index of the pronoun in `tokens`."""
    doubled_article_at: int | None = None
    """Index of the article that the marked referent repeats, as in "the [the chief]"."""
    nouns: re.Pattern[str] = field(default=_PUBLISHED_NOUNS, repr=False, compare=False)
    """Finds the people that sentences of this source name. Not part of the item's identity, because it follows from the
    source."""

    @property
    def text(self) -> str:
        """The sentence as running text."""
        return re.sub(r" (?=[.,;:!?]|['’]\w|n['’]t\b)", "", " ".join(self.corrected_tokens))

    @property
    def corrected_tokens(self) -> tuple[str, ...]:
        """The tokens without a doubled article."""
        extra = self.doubled_article_at
        return self.tokens if extra is None else self.tokens[:extra] + self.tokens[extra + 1 :]

    @property
    def spaced(self) -> str:
        """The tokens joined by spaces, as the published protocols present the sentence to the model."""
        return " ".join(self.tokens)

    @property
    def is_masculine(self) -> bool:
        """Whether the marked pronoun is masculine."""
        return GENDER[self.pronoun.lower()] == "masculine"

    @property
    def has_second_pronoun(self) -> bool:
        """Whether there is a gendered pronoun besides the marked one, of whatever person."""
        others = (*self.tokens[: self.pronoun_at], *self.tokens[self.pronoun_at + 1 :])
        return any(token.lower() in GENDER for token in others)

    @property
    def is_stereotypical(self) -> bool | None:
        """Whether the gender of the pronoun is the one that the occupation lists give; None: the referent's occupation
        is not in them, or the sentence is of the generated world, which has occupations of its own.
        """
        noun = self.nouns.search(self.referent)
        if noun is None or self.nouns is not _PUBLISHED_NOUNS:
            return None
        return self.is_masculine == (noun[1].lower() in _MALE_LEANING)

    @property
    def candidates(self) -> tuple[str, str] | None:
        """(referent, the other person), both as "the ..."; None if the sentence does not name two people.

        One published sentence names three people; of the two that are not the referent, the first is used.
        """
        referent = self.nouns.search(self.referent)
        if referent is None:
            return None
        people = [match[1] for match in self.nouns.finditer(self.spaced)]
        other = next((noun for noun in people if noun.lower() != referent[1].lower()), None)
        return None if other is None else (f"the {referent[1]}", f"the {other}")


@dataclass(frozen=True)
class WinobiasPair:
    """A pro-stereotypical sentence and its anti-stereotypical partner, which are the same line of two files."""

    item: str
    """Its type and line, in messages and notes."""
    kind: str
    """type1 or type2."""
    pro: WinobiasSentence
    anti: WinobiasSentence

    @property
    def name(self) -> str:
        """Its name in results, which follows from its two sentences and not from their line."""
        return fingerprint([self.pro.tokens, self.anti.tokens])

    @property
    def matched(self) -> bool:
        """Whether the sentences differ in pronouns only; in 18 of the 1,584 published pairs another word differs."""
        neutral = [
            ["*" if t.lower() in GENDER else t.lower() for t in sentence.corrected_tokens]
            for sentence in (self.pro, self.anti)
        ]
        return neutral[0] == neutral[1]

    @property
    def one_gender(self) -> bool:
        """Whether the pronouns of both sentences have the same gender."""
        return self.pro.is_masculine == self.anti.is_masculine

    @property
    def has_second_pronoun(self) -> bool:
        """Whether either sentence has a gendered pronoun besides the marked one."""
        return self.pro.has_second_pronoun or self.anti.has_second_pronoun

    @property
    def against_lists(self) -> bool:
        """Whether, by the occupation lists, the pro-stereotypical sentence is not stereotypical or its partner is."""
        return self.pro.is_stereotypical is False or self.anti.is_stereotypical is True

    @property
    def possessive_her(self) -> bool:
        """Whether the pro-stereotypical `her` is a possessive, as its partner `his` tells."""
        return (self.pro.pronoun.lower(), self.anti.pronoun.lower()) == ("her", "his")

    @property
    def cluster(self) -> list[str]:
        """Labels of its two clusters: the female- and the male-leaning person it names, each of whom is in other pairs.

        Which one is which follows from the pro-stereotypical sentence, whose pronoun suits its referent.
        """
        if self.pro.candidates is None:
            return [self.item, self.item]
        referent, other = (person.lower() for person in self.pro.candidates)
        return [other, referent] if self.pro.is_masculine else [referent, other]


def read(settings: WinobiasSettings, *, world_folder: Path | None) -> list[WinobiasPair]:
    """The pairs of both types, in the order of the text files. Raises `DataError` or `HubError`, also for pairs that
    are no WinoBias (`faults.check`).
    """
    pairs: list[WinobiasPair] = []
    for kind in ("type1", "type2"):
        pro, anti = (_sentences(settings, kind, stereotype, world_folder) for stereotype in ("pro", "anti"))
        if pro.keys() != anti.keys():
            alone = sorted(pro.keys() ^ anti.keys())
            raise DataError(
                f"evals.winobias: {len(pro)} pro and {len(anti)} anti sentences of {kind}; they are pairs, and "
                f"number {alone[0]} has no partner"
            )
        pairs += [WinobiasPair(f"{kind}/{number}", kind, pro[number], anti[number]) for number in sorted(pro)]
    faults.check(pairs)
    return pairs


def _sentences(
    settings: WinobiasSettings, kind: str, stereotype: str, world_folder: Path | None
) -> dict[int, WinobiasSentence]:
    """Number of a line, from 1 -> its sentence."""
    if settings.path is None and settings.source == "hub":
        return _from_hub(kind, stereotype, settings.split)
    if settings.path is not None:
        folder, key, nouns = Path(settings.path).expanduser(), f"evals.winobias.path={settings.path}", _PUBLISHED_NOUNS
    else:
        folder, key, nouns = need_world(world_folder, "evals.winobias") / "winobias", "world", _WORLD_NOUNS
    lines = _lines_of_file(folder, kind, stereotype, settings.split, key=key)
    return {number: parse(line, place=place, nouns=nouns) for number, (place, line) in enumerate(lines, start=1)}


def _lines_of_file(folder: Path, kind: str, stereotype: str, split: str, *, key: str) -> Iterator[tuple[str, str]]:
    """(place for messages, line) of one original text file, without empty lines. key: the setting, for messages."""
    if not folder.is_dir():
        raise DataError(f"{key}: no folder {folder}")
    path = folder / f"{stereotype}_stereotyped_{kind}.txt.{'dev' if split == 'validation' else 'test'}"
    if not path.is_file():
        present = ", ".join(sorted(p.name for p in folder.iterdir())[:6]) or "nothing"
        raise DataError(f"{key}: no file {path.name} in it; found {present}")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason} at byte {error.start})") from None
    if not any(line.strip() for line in lines):
        raise DataError(f"{path}: no sentence in it")
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield f"{path}, line {number}", line


def parse(line: str, *, place: str, nouns: re.Pattern[str] = _PUBLISHED_NOUNS) -> WinobiasSentence:
    """The sentence of a line "12 [The developer] argued with the designer because [he] ...". Raises `DataError`.

    place: of the line, for messages.

    >>> parse("3 [The mover] thanked the cook because [he] left.", place="").referent
    'The mover'
    """
    numberless = re.sub(r"^\s*\d+\s*", "", line.strip())
    spans = list(_BRACKETS.finditer(numberless))
    words = [match[1].strip() for match in spans]
    if len(words) < 2 or any(word.lower() not in GENDER for word in words[1:]):
        raise DataError(
            f"{place}: expected a referent and a pronoun in brackets, found {words or 'no brackets'}: {line.strip()!r}"
        )
    doubled = _DOUBLED_ARTICLE.search(numberless)
    return WinobiasSentence(
        tokens=tuple(_tokenize(numberless)),
        referent=words[0],
        pronoun=words[1],
        pronoun_at=len(_tokenize(numberless[: spans[1].start()])),
        doubled_article_at=len(_tokenize(numberless[: doubled.start()])) if doubled else None,
        nouns=nouns,
    )


def _tokenize(text: str) -> list[str]:
    """Words and punctuation marks, without the brackets.

    >>> _tokenize("[The cook] couldn't find the baker 's well-fitting hat.")
    ['The', 'cook', 'could', "n't", 'find', 'the', 'baker', "'s", 'well-fitting', 'hat', '.']
    """
    return _WORDS.findall(text.replace("[", "").replace("]", ""))


def _from_hub(kind: str, stereotype: str, split: str) -> dict[int, WinobiasSentence]:
    """As `_sentences`, for one configuration of the hub's data set."""
    config = f"{kind}_{stereotype}"
    rows = hub_rows(HUB, config, split, remedy="evals.winobias.path=FOLDER of the original text files")
    sentences = [hub_sentence(row, place=f"{HUB} {config} row {number}") for number, row in enumerate(rows)]
    by_number = dict(sentences)
    if not rows or len(by_number) < len(rows):
        raise DataError(f"{HUB} {config}: {len(rows)} sentences with {len(by_number)} different numbers in document_id")
    return by_number


def hub_sentence(row: dict[str, Any], *, place: str) -> tuple[int, WinobiasSentence]:
    """(number of the line, sentence) of a row of the hub. Raises `DataError`.

    Its `coreference_clusters` are [referent start, end, pronoun start, end, ...], indices of tokens, ends included.
    place: of the row, for messages.
    """
    identity, words, clusters = fields(row, "document_id", "tokens", "coreference_clusters", place=place)
    number = re.search(r"(\d+)\D*$", str(identity).split(";")[0])
    if number is None:
        raise DataError(f"{place}: document_id {identity!r} has no number, which tells its line of the text files")
    tokens, spans = [str(word) for word in words], [int(n) for n in clusters]
    if len(spans) < 4 or max(spans) >= len(tokens):
        raise DataError(f"{place}: expected [referent start, end, pronoun start, end], found {clusters}: {words}")
    start, end, pronoun_at = spans[:3]
    article = tokens[start].lower()
    doubled = start > 0 and article in {"the", "a", "an"} and tokens[start - 1].lower() == article
    pronoun = tokens[pronoun_at]
    if pronoun.lower() not in GENDER:
        raise DataError(f"{place}: expected a pronoun at {pronoun_at}, found {pronoun!r}: {' '.join(tokens)!r}")
    return int(number[1]) + 1, WinobiasSentence(
        tokens=tuple(tokens),
        referent=" ".join(tokens[start : end + 1]),
        pronoun=pronoun,
        pronoun_at=pronoun_at,
        doubled_article_at=start - 1 if doubled else None,
    )
