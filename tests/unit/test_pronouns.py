"""Where pronouns stand in a text: every spelling, and what only looks like one."""

import pytest

from bias_intervene.pronouns import GENDER, places, with_case


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He saw HER; \u201cshe'll\u201d hurt herself.", ["He", "HER", "she", "herself"]),
        ("(his) his, 'his'\nHis", ["his", "his", "his", "His"]),
        ("history, there, she2, hers_x, _he, h\u00e9, he\u0301, hE", []),
        ("_him_ and __him__", ["him"]),
        ("he/she, he-man, obj.his", ["he", "she", "he", "his"]),
    ],
)
def test_pronouns_are_whole_words_in_any_spelling(text: str, expected: list[str]):
    assert [match[0] for match in places(text)] == expected


def test_eight_forms_have_a_gender():
    assert sorted(GENDER) == ["he", "her", "hers", "herself", "him", "himself", "his", "she"]


def test_the_case_is_kept():
    assert [with_case("she", model) for model in ("he", "He", "HE")] == ["she", "She", "SHE"]
