"""What stands beside a pronoun, and how far is looked for it."""

import pytest

from bias_intervene.interventions.possessive import END, NUMBER, WORD, neighbours


def beside(text: str) -> tuple[str, str, str]:
    """Neighbours of the word between bars."""
    before, word, after = text.split("|")
    return tuple(neighbours(before + word + after, len(before), len(before + word)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("They sent |her| home, at noon.", ("sent", "home", ",")),
        ("|His|", (END, END, END)),
        ("is |his|.", ("is", ".", END)),
        ("said: |her| “No”", (":", " “", END)),
        ("It's |his| 2 dogs", ("s", NUMBER, "dogs")),
        ("the 3rd |her| 19th ball", (NUMBER, NUMBER, "ball")),
        ("saw |her|\nmother", ("saw", "mother", END)),
        ("saw |her|\n\nMother came", ("saw", END, END)),
        ("Ende.\n\n |her| Über alles", (END, WORD, "alles")),
        ("caf\u00e9 |her| na\u00efve x2y", (WORD, WORD, WORD)),
        ("--|her|--", ("-", "-", END)),
        ("HIS OR |HER| OWN-GOAL", ("or", "own", "-")),
    ],
)
def test_neighbours(text: str, expected: tuple[str, str, str]):
    assert beside(text) == expected


def test_neighbours_do_not_look_far():
    assert beside("x" + " " * 300 + "|her|" + " " * 300 + "x") == (END, END, END)
