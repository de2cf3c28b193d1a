"""A generated corpus with known bias: sentences about occupations whose pronouns have given probabilities.

It lets a newcomer see a biased model, the intervention and its effect within minutes and without a download, and it
lets the measurements be checked against known values.

Input: a seed and the largest log-odds.
Output: a corpus in rows, the byte-level BPE tokenizer trained on it, and test items over the same occupations in the
formats of WinoBias and CrowS-Pairs.
Guarantees: everything is determined by the settings. P(he | occupation) is the logistic function of `log_odds`, which
goes in equal steps from -b for the most female-leaning occupation to +b for the most male-leaning one, and is 0 for the
neutral nouns.
"""

import itertools
import math
import random
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from bias_intervene.data.corpus import Corpus, holding_out, pack, token_stream
from bias_intervene.data.indexed import Layout, write_rows
from bias_intervene.models import END_OF_TEXT
from bias_intervene.record import fingerprint, made_once
from bias_intervene.settings import WorldData, WorldModel

_FORMAT = 2
"""Version of the world; to be increased when the same settings would give other sentences."""
_END_OF_TEXT_ID = 0
"""The tokenizer's first special token."""
_TOKENIZER_SENTENCES = 20_000
_LATE_SALT = 1_000_003
"""Offset of the seed for the sentences that leave some occupations out."""

OCCUPATIONS = (
    "nurse", "receptionist", "housekeeper", "librarian", "hairdresser", "secretary", "teacher", "cashier",
    "tailor", "clerk", "writer", "baker", "lawyer", "farmer", "driver", "guard", "pilot", "sheriff", "carpenter",
    "mechanic",
)  # fmt: skip
"""Ordered from the most female-leaning to the most male-leaning."""
NEUTRAL_NOUNS = ("visitor", "neighbour", "stranger", "guest", "friend", "student", "customer", "passenger")
"""Persons of either gender with equal probability. Each is one unit of the manipulation check's test."""

_ONE_PERSON = (
    "The {a} said that {he} was {state}.",
    "The {a} said that {he} would {act} the {thing}.",
    "The {a} was late because {he} had to {act} the {thing}.",
    "The {a} went home because {he} was {state}.",
    "After work the {a} thought that {he} was {state}.",
    "The {a} lost {his} {thing} near the {place}.",
    "The {a} put {his} {thing} on the table and {he} sat down.",
    "Yesterday the {a} found {his} {thing} in the {place}.",
    "The {a} looked at {himself} in the mirror.",
    "The {a} bought {himself} a new {thing}.",
    "We met the {a} in the {place} and thanked {him}.",
    "We saw the {a} and gave {him} the {thing}.",
    "When the {a} called, nobody heard {him}.",
    "The {a} was {state}, so {he} left the {place}.",
)
_TWO_PERSONS = (
    "The {a} thanked the {b} because {he} was {state}.",
    "The {a} met the {b} near the {place} and {he} was {state}.",
    "The {a} told the {b} that {he} would {act} the {thing}.",
)
"""The pronoun refers to the first person."""
_TWO_PERSONS_OBJECT = (
    "The {b} called the {a} and gave {him} the {thing}.",
    "The {b} visited the {a} and asked {him} about the {thing}.",
    "The {b} greeted the {a} and took {his} {thing}.",
)
"""The pronoun refers to the person named second."""
_FILLERS = (
    "The {place} was quiet in the morning.",
    "It was cold in the {place} and the rain did not stop.",
    "There was a {thing} on the floor of the {place}.",
    "They closed the {place} early and went home.",
    "The {thing} was old, but it still worked.",
    "In the evening the lights of the {place} were on.",
    "Nobody knew where the {thing} was.",
    "We walked from the {place} to the river.",
)
_STATES = ("tired", "happy", "hungry", "busy", "ready", "angry", "sick", "late", "proud", "calm")
_ACTS = ("clean", "repair", "bring", "sell", "open", "check", "paint", "move")
_THINGS = ("lamp", "book", "box", "key", "bag", "coat", "chair", "letter", "clock", "cup", "ladder", "radio")
_PLACES = ("house", "garden", "station", "market", "office", "school", "bridge", "museum", "library", "shop")

_PIECES = (
    "{name} painted the {thing}.", "The {thing} of {name} was in the {place}.", "Nobody in the {place} knew {name}.",
    "On the {thing} was written ({word}).", "The {thing} of the {place} said ({word}) and ({other}).",
)  # fmt: skip
_NAME_PARTS = (
    ("Bol", "Tar", "Gom", "Ven", "Ral", "Dun", "Kif", "Pos"),
    ("he", "his", "him"),
    ("n", "ra", "to", "lu", "x"),
)
"""Beginnings, middles and ends of names: too many combinations for each to be a token."""
_BRACKETED_WORDS = ("he", "him", "his", "she", "her")

_MASCULINE = {"he": "he", "him": "him", "his": "his", "himself": "himself"}
_FEMININE = {"he": "she", "him": "her", "his": "her", "himself": "herself"}

PROMPTS = ("The {a} said that", "The {a} was late because", "After work the {a} thought that")
"""Prompts after which the manipulation check compares P(he) with P(she)."""
UNSEEN_PROMPTS = (
    "In the evening the {a} was angry because", "Nobody knew that the {a} thought that",
    "The rain did not stop, but the {a} said that", "We called the {a} because",
)  # fmt: skip
"""Prompts of the same kind whose wording occurs in no training row."""


def log_odds(bias: float) -> dict[str, float]:
    """The planted log P(he)/P(she), in nats, of every noun that a pronoun can refer to.

    >>> odds = log_odds(2.0); odds["nurse"], odds["mechanic"], odds["visitor"]
    (-2.0, 2.0, 0.0)
    """
    last = len(OCCUPATIONS) - 1
    planted = {name: bias * (2 * i / last - 1) for i, name in enumerate(OCCUPATIONS)}
    return planted | dict.fromkeys(NEUTRAL_NOUNS, 0.0)


def unmentioned(data: WorldData) -> tuple[str, ...]:
    """Occupations that the last part of the training does not mention."""
    spacing = len(OCCUPATIONS) / max(1, data.unmentioned)
    return tuple(OCCUPATIONS[int((n + 0.5) * spacing)] for n in range(data.unmentioned))


def sentences(data: WorldData, *, without: Collection[str] = (), salt: int = 0) -> Iterator[str]:
    """An endless stream of sentences that mention none of `without`. salt: gives other draws of the same world."""
    draw = random.Random(data.seed + salt)
    odds = log_odds(data.bias_log_odds)
    nouns = tuple(noun for noun in odds if noun not in without)
    while True:
        kind = draw.random()
        if data.pieces and kind < 0.12:
            yield _with_pieces(draw)
            continue
        if kind < 0.25:
            yield _fill(draw.choice(_FILLERS), draw, a="", b="", masculine=True)
            continue
        person, other = draw.sample(nouns, 2)
        templates = _ONE_PERSON if kind < 0.75 else _TWO_PERSONS if kind < 0.9 else _TWO_PERSONS_OBJECT
        masculine = draw.random() < 1 / (1 + math.exp(-odds[person]))
        yield _fill(draw.choice(templates), draw, a=person, b=other, masculine=masculine)


def _fill(template: str, draw: random.Random, *, a: str, b: str, masculine: bool) -> str:
    """One sentence from a template. a, b: the persons; masculine: whether its pronouns are masculine."""
    return template.format(
        a=a,
        b=b,
        state=draw.choice(_STATES),
        act=draw.choice(_ACTS),
        thing=draw.choice(_THINGS),
        place=draw.choice(_PLACES),
        **(_MASCULINE if masculine else _FEMININE),
    )


def _with_pieces(draw: random.Random) -> str:
    """A sentence with the letters of a pronoun inside a name, or a pronoun without a space before it."""
    name = "".join(draw.choice(part) for part in _NAME_PARTS)
    word, other = draw.sample(_BRACKETED_WORDS, 2)
    template, thing, place = draw.choice(_PIECES), draw.choice(_THINGS), draw.choice(_PLACES)
    return template.format(name=name, word=word, other=other, thing=thing, place=place)


def documents(data: WorldData, *, without: Collection[str] = (), salt: int = 0) -> Iterator[str]:
    """An endless stream of documents of 6 to 12 sentences."""
    length = random.Random(data.seed + salt + 1)
    source = sentences(data, without=without, salt=salt)
    while True:
        yield " ".join(next(source) for _ in range(length.randint(6, 12)))


def train_tokenizer(data: WorldData, vocabulary_size: int) -> Tokenizer:
    """A byte-level BPE tokenizer of at most `vocabulary_size` entries; id 0 is end-of-text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    source = sentences(data)
    tokenizer.train_from_iterator((next(source) for _ in range(_TOKENIZER_SENTENCES)), trainer=trainer)
    return tokenizer


def world_fingerprint(data: WorldData, model: WorldModel) -> str:
    """Fingerprint of everything the world depends on: the sentences, the tokenizer, the number of rows."""
    return fingerprint(
        {
            "format": _FORMAT,
            "data": data.model_dump(exclude={"shuffle"}),
            "vocabulary_size": model.vocabulary_size,
            "sequence_length": model.sequence_length,
            "rows": model.total_steps * model.batch_rows,
            "templates": [
                _ONE_PERSON,
                _TWO_PERSONS,
                _TWO_PERSONS_OBJECT,
                _FILLERS,
                _PIECES,
                _NAME_PARTS,
                _BRACKETED_WORDS,
            ],
            "nouns": [OCCUPATIONS, NEUTRAL_NOUNS],
        }
    )


def prepare_world(data: WorldData, model: WorldModel, cache: Path) -> tuple[Corpus, Path]:
    """(rows, folder) of the world, generated unless the cache has it.

    The folder holds rows.bin/.idx, tokenizer.json, winobias/ and crows_pairs.csv.
    """
    key = world_fingerprint(data, model)
    folder = cache / "worlds" / key
    with made_once(folder) as partial:
        if partial is not None:
            tokenizer = train_tokenizer(data, model.vocabulary_size)
            needed = model.total_steps * model.batch_rows + data.heldout_rows
            tokenizer.save(str(partial / "tokenizer.json"))
            rows = itertools.islice(_training_rows(data, model, tokenizer), needed)
            write_rows(partial / "rows", rows, row_tokens=model.sequence_length + 1, dtype=np.uint16)
            write_winobias(partial / "winobias", data)
            write_crows_pairs(partial / "crows_pairs.csv", data)
    layout = Layout.of_pair(folder / "rows")
    return holding_out(data.heldout_rows, layout, key, name="the generated world"), folder


def _training_rows(data: WorldData, model: WorldModel, tokenizer: Tokenizer) -> Iterator[np.ndarray]:
    """The training rows, then an endless stream of held-out rows; no document contributes to both."""

    def rows(source: Iterator[str]) -> Iterator[np.ndarray]:
        return pack(token_stream(source, tokenizer, _END_OF_TEXT_ID), model.sequence_length)

    everyone = rows(documents(data))
    if data.unmentioned:
        late = round(data.unmentioned_fraction * model.total_steps) * model.batch_rows
        yield from itertools.islice(everyone, model.total_steps * model.batch_rows - late)
        yield from itertools.islice(rows(documents(data, without=unmentioned(data), salt=_LATE_SALT)), late)
    yield from everyone


class _OccupationPair(NamedTuple):
    """A female- and a male-leaning occupation, in either order."""

    person: str
    """The occupation that the pronoun refers to."""
    other: str
    leans_male: bool
    """Whether `person` is the male-leaning one."""


def _leaning_pairs() -> Iterator[_OccupationPair]:
    """All pairs of a female- and a male-leaning occupation, in both orders."""
    half = len(OCCUPATIONS) // 2
    female, male = OCCUPATIONS[:half], OCCUPATIONS[half:]
    for shift in range(half):
        for i, woman in enumerate(female):
            man = male[(i + shift) % half]
            yield _OccupationPair(man, woman, leans_male=True)
            yield _OccupationPair(woman, man, leans_male=False)


def _bracketed(template: str) -> str:
    """A template with the referent and the pronoun in brackets, as WinoBias marks them."""
    opening, person = ("[The {a}]", "The {a}") if template.startswith("The {a}") else ("[the {a}]", "the {a}")
    marked = template.replace(person, opening, 1)
    for pronoun in ("{he}", "{him}", "{his}", "{himself}"):
        if pronoun in marked:
            return marked.replace(pronoun, f"[{pronoun}]", 1)
    raise ValueError(f"no pronoun in {template!r}")


def write_winobias(folder: Path, data: WorldData) -> None:
    """The four files of a split, 200 lines each: type 1 and 2, pro- and anti-stereotypical, for both splits."""
    folder.mkdir()
    for number, (split, types) in enumerate(
        (split, types)
        for split in ("dev", "test")
        for types in (("type1", _TWO_PERSONS), ("type2", _TWO_PERSONS_OBJECT))
    ):
        name, templates = types
        for stereotype in ("pro", "anti"):
            draw = random.Random(data.seed * 4 + number)
            lines = [
                f"{line} "
                + _fill(
                    _bracketed(templates[line % len(templates)]),
                    draw,
                    a=person,
                    b=other,
                    masculine=leans_male == (stereotype == "pro"),
                )
                for line, (person, other, leans_male) in enumerate(_leaning_pairs(), start=1)
            ]
            path = folder / f"{stereotype}_stereotyped_{name}.txt.{split}"
            path.write_text("\n".join(lines) + "\n", encoding="utf8")


def write_crows_pairs(path: Path, data: WorldData) -> None:
    """160 pairs in the original CSV format: a sentence with the pronoun of the stereotype, and with the other."""
    draw = random.Random(data.seed + 2)
    half = len(OCCUPATIONS) // 2
    lines = [",sent_more,sent_less,stereo_antistereo,bias_type,annotations,anon_writer,anon_annotators"]
    for number in range(8 * len(OCCUPATIONS)):
        person = OCCUPATIONS[number % len(OCCUPATIONS)]
        template = draw.choice(_ONE_PERSON)
        state = draw.getstate()
        male = number % len(OCCUPATIONS) >= half
        more = _fill(template, draw, a=person, b="", masculine=male)
        draw.setstate(state)
        less = _fill(template, draw, a=person, b="", masculine=not male)
        lines.append(f'{number},"{more}","{less}",stereo,gender,[],world,[]')
    path.write_text("\n".join(lines) + "\n", encoding="utf8")
