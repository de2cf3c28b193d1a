"""The language of a place, told from tokens: never anything but what the text rule says."""

import numpy as np
import pytest

from bias_intervene.interventions.text import TextLanguage
from bias_intervene.interventions.tokens import language
from bias_intervene.interventions.tokens.classes import ScanFlag
from bias_intervene.interventions.tokens.language import LanguageDecision
from bias_intervene.interventions.tokens.language import languages as told
from bias_intervene.interventions.tokens.rule import ROW_GAP, TokenSwap
from tests.conftest import english, source_code, trained
from tests.unit.interventions.test_text import OTHER_LANGUAGES

TEXTS = {
    "english": " ".join(english())[:20_000],
    "code": "\n".join(source_code())[:20_000],
    "others": " ".join(OTHER_LANGUAGES) * 4,
    "mixed": " ".join(f"{other} He said that the dog was his." for other in OTHER_LANGUAGES) * 3,
    "short": "Kom her!",
    "characters": "漢字 hé न्यायपुर्ण he 𝔥𝔢 ça " * 30,
}


@pytest.mark.parametrize("kind", ["gpt2", "smollm2"])
@pytest.mark.parametrize("name", TEXTS)
def test_every_place_is_told_as_in_text(kind: str, name: str):
    tokenizer, text = trained(kind), TEXTS[name]
    encoding = tokenizer.encode(text, add_special_tokens=False)
    swap = TokenSwap(tokenizer, "both")
    flat = swap.flatten(np.array([encoding.ids]))
    places = [at for at, (start, end) in enumerate(encoding.offsets) if is_whole_word(text, start, end)]
    starts = np.array(places) + ROW_GAP
    answers = told(swap.classes, flat, starts, starts + 1, swap.forms.flags.take(flat))
    np.testing.assert_array_equal(told(swap.classes, flat, starts, starts + 1), answers)
    reference = TextLanguage(text)
    expected = [reference.is_other(*word_in(text, *encoding.offsets[at])) for at in places]
    for at, answer, is_other in zip(places, answers.tolist(), expected, strict=True):
        assert answer == LanguageDecision.UNDECIDED or answer == is_other, encoding.tokens[at]
    if name == "english":
        assert (answers == LanguageDecision.UNDECIDED).mean() < 0.35


def is_whole_word(text: str, start: int, end: int) -> bool:
    """Whether a token is a word, with the space before it or without."""
    word = text[start:end].strip()
    before, after = text[start - 1 : start], text[end : end + 1]
    return word.isalpha() and (text[start] == " " or not before.isalpha()) and not after.isalpha()


def word_in(text: str, start: int, end: int) -> tuple[int, int]:
    """The place of a token's word, its leading space aside."""
    return (start + 1 if text[start] == " " else start), end


def test_few_places_are_told_as_many_are():
    """What is summed near the places alone is what is summed everywhere."""
    random = np.random.default_rng(5)
    for share in (0.1, 0.5):  # Of common words: few places are sure, or most.
        flags = np.where(random.random(5000) < share, ScanFlag.FUNCTION_WORD, 0).astype(np.uint8)
        flags |= np.where(random.random(5000) < 0.1, ScanFlag.JOINS, 0).astype(np.uint8)
        flags |= np.where(random.random(5000) < 0.02, ScanFlag.UNCLEAR, 0).astype(np.uint8)
        flags[:ROW_GAP] = flags[-ROW_GAP:] = ScanFlag.UNCLEAR
        start = np.sort(random.choice(np.arange(ROW_GAP, 5000 - ROW_GAP - 3), 200, replace=False))
        end = start + random.integers(1, 4, 200)
        found = [
            language.not_surely_english(*where).tolist()
            for where in ((flags, start, end), language.surroundings(flags, start, end))
        ]
        assert found[0] == found[1]
        assert 0 < len(found[0]) < 200
