"""The rule over words: cases of the specification, and what must hold for any text."""

from pathlib import Path

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
    "A cousin of his called, and a friend of hers wrote.": "A cousin of hers called, and a friend of hers wrote.",
    "A member of his family wrote.": "A member of her family wrote.",
    "The farm was his to keep, and his only hope.": "The farm was hers to keep, and her only hope.",
    "He left.The next day he came back.": "She left.The next day she came back.",
    "Is this his?": "Is this hers?",
    "a photo of his that I kept, and a friend of his from school": "a photo of hers that I kept, and a friend of hers "
    "from school",
    "some of his best friends, and one of his in-laws": "some of her best friends, and one of her in-laws",
    "His was the better plan; what's his is mine.": "Hers was the better plan; what's hers is mine.",
    "“Him?” ‘he’ «he» [he] {he} <he> (he) *he* **he**": "“Her?” ‘she’ «she» [she] {she} <she> (she) *she* **she**",
    'HE SAID "HIS" TWICE. HE\'S HERE.': 'SHE SAID "HER" TWICE. SHE\'S HERE.',
    "he'd've gone; mother-he-said": "she'd've gone; mother-she-said",
}
TO_MASCULINE = {
    "I saw her yesterday.": "I saw him yesterday.",
    "Give her her keys.": "Give him his keys.",
    "They made her laugh at dinner.": "They made him laugh at dinner.",
    "They sent her home at noon.": "They sent him home at noon.",
    "I told her mother the truth.": "I told his mother the truth.",
    "She packed her two bags.": "He packed his two bags.",
    "We went to her home at noon.": "We went to his home at noon.",
    "She kept looking behind her.": "He kept looking behind him.",
    "“He ran,” she said.": "“He ran,” he said.",
    "The boat is hers; she built it herself.": "The boat is his; he built it himself.",
    "SHE LEFT HER COAT.": "HE LEFT HIS COAT.",
    "I told her everything; they found her asleep.": "I told him everything; they found him asleep.",
    "Ask her yourself, or her own sister.": "Ask him yourself, or his own sister.",
    "He kissed her passionately on her hand.": "He kissed him passionately on his hand.",
    "Poor her! A friend of hers has her mother's eyes.": "Poor him! A friend of his has his mother's eyes.",
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
    "obj.his(1), his.name, $her, @he, #his, C:\\he",
    "The HIS vendor replaced the old HIS with a new one.",
    "A He-Ne laser, He-4 and 3He were used.",
    "he/him, he/she/they, him or her, she or he, HE OR SHE, (s)he, S/he",
    "he@example.com, he_, __he__, his(), self.his, x=he, he=x, hiſ, ſhe",
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
    found = swap_text("He gave him his coat; he/she, he or she, obj.his, HIS, a he-goat, hE.", M2F)
    assert [swap.form for swap in found.swaps] == ["he -> she", "him -> her", "his -> her"]
    assert found.skipped == {
        "coordination": 2, "lone upper case": 1, "hyphen compound": 1, "code or path": 1,
    }  # fmt: skip


def test_the_neighbour_of_upper_case_is_on_its_line():
    assert swap_text("STOP. HE said so.", M2F).text == "STOP. SHE said so."
    assert swap_text("STOP.\nHE said so.", M2F).skipped == {"lone upper case": 1}
    assert swap_text("HE\nSTOPPED.", M2F).skipped == {"lone upper case": 1}


BOTH = "He said his book is his and hers is hers; she saw her."


def test_both_and_neutral():
    assert swap_text(BOTH, "both").text == "She said her book is hers and his is his; he saw him."
    assert swap_text(BOTH, "neutral").text == "They said their book is theirs and theirs is theirs; they saw them."
    assert swap_text("He or she hurt herself. HE LEFT.", "both").text == "She or he hurt himself. SHE LEFT."
    assert swap_text("He hurt himself; SHE LEFT.", "neutral").text == "They hurt themselves; THEY LEFT."


OTHER_LANGUAGES = (
    "Cuando llegamos a la casa he visto que la puerta estaba abierta y he pensado que tal vez mi hermano se había "
    "olvidado de cerrarla antes de salir por la mañana temprano con los niños y el perro.",
    "Jeg bor her i byen sammen med min familie, og vi er meget glade for at være her, fordi der er mange butikker og "
    "restauranter tæt på vores hus, og hans kontor ligger lige om hjørnet ved parken.",
    "Er kam her und sagte, dass er nicht mehr lange bleiben würde, weil die Arbeit in der Fabrik zu schwer geworden "
    "war und die Familie auf ihn wartete; es ging lange hin und her.",
)


@pytest.mark.parametrize("direction", [M2F, F2M, "both", "neutral"])
@pytest.mark.parametrize("text", OTHER_LANGUAGES)
def test_other_languages_stay(text: str, direction: str):
    assert swap_text(text, direction).text == text


def test_english_prose_is_taken_as_english(shared: Path):
    for path in sorted((shared / "prose").glob("*.txt")):
        found = swap_text(path.read_text(encoding="utf8"), "both")
        assert len(found.swaps) > 4_000
        assert found.skipped["other language"] <= 0.002 * len(found.swaps)


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


@given(st.lists(WORDS, max_size=30).map("".join) | st.text(max_size=60), st.sampled_from([M2F, F2M, "both", "neutral"]))
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
