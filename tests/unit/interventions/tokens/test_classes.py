"""What a token tells of the words it is part of."""

import string

import numpy as np

from bias_intervene.interventions.lexicon import FUNCTION_WORDS
from bias_intervene.interventions.tokens import TokenSwap
from bias_intervene.interventions.tokens.classes import ROW_GAP, letters_after
from bias_intervene.interventions.tokens.language import LanguageDecision, languages
from tests.conftest import trained


def letters(bits: int) -> str:
    return "".join(letter for bit, letter in enumerate(string.ascii_lowercase) if bits >> bit & 1)


def test_letters_with_which_a_common_word_goes_on():
    assert letters(letters_after("the")) == "imnrsy"  # their, them, then, there, these, they
    assert letters(letters_after("becaus")) == "e"
    assert letters(letters_after("because")) == letters(letters_after("x")) == ""
    for word in FUNCTION_WORDS:
        assert all(word[end] in letters(letters_after(word[:end])) for end in range(1, len(word)))


def test_words_of_several_tokens_need_no_text_to_be_told_from_common_ones():
    """Thirty words in capitals, each of several tokens; then the same with four that are common."""
    swap = TokenSwap(trained("gpt2"), "both")
    for extra, expected in (("", LanguageDecision.OTHER), (" THE WITH BECAUSE SHOULD", LanguageDecision.UNDECIDED)):
        ids = trained("gpt2").encode(" KQBZX" * 15 + extra + " he" + " KQBZX" * 15, add_special_tokens=False).ids
        flat = swap.flatten(np.array([ids]))
        place = np.flatnonzero(np.array(ids) == swap.vocabulary.word_ids(" he")[0]) + ROW_GAP
        assert languages(swap.classes, flat, place, place + 1).tolist() == [expected]
