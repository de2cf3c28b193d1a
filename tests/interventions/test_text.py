"""The rule over words: cases of the specification, and what must hold for any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bias_intervene.interventions.text import swap_text

M2F, F2M = "masculine_to_feminine", "feminine_to_masculine"

TO_FEMININE = {
    "he left early.": "she left early.",
    "HE LEFT WITH HIS COAT.": "SHE LEFT WITH HER COAT.",
    "hE and hIs are typos.": "hE and hIs are typos.",
    "His boat sank.": "Her boat sank.",
    "The boat is his.": "The boat is hers.",
    "The boats were his, not mine.": "The boats were hers, not mine.",
    "his and hers": "her and hers",
    "Himself a sailor, he knew ropes.": "Herself a sailor, she knew ropes.",
    "He did it on his own.": "She did it on her own.",
    "he's late and he'll say he'd waited.": "she's late and she'll say she'd waited.",
    "He’s late; I know he’ll come.": "She’s late; I know she’ll come.",
    "'he ran' was the clue": "'she ran' was the clue",
    "“He ran,” she said.": "“She ran,” she said.",
    "Who said it?--he did--and his dog knew.": "Who said it?--she did--and her dog knew.",
    "The end—he thought—was near…he wept.": "The end—she thought—was near…she wept.",
    "<b>He</b> ran; *he* fell.": "<b>She</b> ran; *she* fell.",
    "_he_ fell, and _his_ dog": "_she_ fell, and _her_ dog",
    "\n\n    he said\n\the said\u00a0he said": "\n\n    she said\n\tshe said\u00a0she said",
    "end of one.<|endoftext|>he said": "end of one.<|endoftext|>she said",
    "down-on-his-luck": "down-on-her-luck",
}
TO_MASCULINE = {
    "I saw her yesterday.": "I saw him yesterday.",
    "Give her her keys.": "Give him his keys.",
    "I told her mother the truth.": "I told his mother the truth.",
    "She packed her two bags.": "He packed his two bags.",
    "We went to her home at noon.": "We went to his home at noon.",
    "She kept looking behind her.": "He kept looking behind him.",
    "“He ran,” she said.": "“He ran,” he said.",
    "The boat is hers; she built it herself.": "The boat is his; he built it himself.",
    "SHE LEFT HER COAT.": "HE LEFT HIS COAT.",
}
UNCHANGED = (
    "The history of the heathen hero: cherish this sheer chimera, Hermes.",
    "his_var = his2 + the_he3; hé; he\u0301",
    "Her2, HER2 and HER-2 are receptor names.",
    "a he-man, a she-wolf and a he-goat",
    "s/he or (s)he may apply",
    "Each user must enter his or her name.",
    "He/she must sign his/her form.",
    "see https://example.org/he/his-story?x=her",
    "The HIS vendor replaced the old HIS with a new one.",
    "A He-Ne laser, He-4 and 3He were used.",
    "",
)


@pytest.mark.parametrize(("before", "after"), TO_FEMININE.items())
def test_masculine_to_feminine(before: str, after: str):
    assert swap_text(before, M2F).text == after


@pytest.mark.parametrize(("before", "after"), TO_MASCULINE.items())
def test_feminine_to_masculine(before: str, after: str):
    assert swap_text(before, F2M).text == after


@pytest.mark.parametrize("direction", [M2F, F2M])
@pytest.mark.parametrize("text", UNCHANGED)
def test_unchanged(text: str, direction: str):
    assert swap_text(text, direction).text == text


def test_swaps_and_skips_are_counted():
    found = swap_text("He gave him his coat; he/she, HIS, a he-goat, hE.", M2F)
    assert [swap.form for swap in found.swaps] == ["he -> she", "him -> her", "his -> her"]
    assert found.skipped == {
        "coordination or address": 1, "lone upper case": 1, "hyphen compound": 1, "mixed case": 1,
    }  # fmt: skip


WORDS = st.sampled_from(
    [
        "he",
        "him",
        "his",
        "himself",
        "she",
        "her",
        "hers",
        "herself",
        "He",
        "HER",
        "the",
        "ran",
        "or",
        "-",
        "/",
        "'s",
        "_",
        ".",
        " ",
        "\n",
    ]
)


@given(st.lists(WORDS, max_size=30).map("".join) | st.text(max_size=60), st.sampled_from([M2F, F2M]))
def test_only_the_listed_swaps_change_the_text(text: str, direction: str):
    found = swap_text(text, direction)
    at, rebuilt = 0, ""
    for swap in found.swaps:
        assert text[swap.start : swap.end] == swap.before
        rebuilt += text[at : swap.start] + swap.after
        at = swap.end
    assert rebuilt + text[at:] == found.text


@given(st.lists(WORDS, max_size=30).map(" ".join))
def test_a_second_pass_finds_nothing_to_swap(text: str):
    assert swap_text(swap_text(text, M2F).text, M2F).swaps == []
