"""Prompts for the manipulation check, after each of which a pronoun of a certain form is natural.

There are prompts in plain English, and prompts about the people of the generated world."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bias_intervene.data import world
from bias_intervene.errors import DataError
from bias_intervene.settings import PronounsSettings, WorldData

FORMS = {"she_he": ("she", "he"), "her_him": ("her", "him"), "her_his": ("her", "his"),
         "herself_himself": ("herself", "himself")}  # fmt: skip
"""Form -> (feminine pronoun, masculine pronoun)."""
_NEUTRAL = {
    "she_he": (
        "When the phone rang,", "The person at the door said that", "Someone in the crowd shouted that",
        "My best friend told me that", "The child was crying because", "After a long day,",
        "The visitor looked around, and then", "The author wrote that", "Nobody knew where",
        "The student failed the exam because", "The stranger smiled as", "The patient was worried that",
        "The neighbour came over because", "The winner said that",
    ),
    "her_him": (
        "The visitor was lost, so we helped", "The child was crying, so I went to", "My best friend called and I met",
        "The stranger came in and everyone looked at", "The patient is here; the doctor will see",
        "The student asked, and the professor answered", "The author is famous, but I have never met",
        "The neighbour was ill, so we visited",
    ),
    "her_his": (
        "The visitor took off", "The child lost", "My best friend forgot", "The stranger opened", "The patient took",
        "The student handed in", "The author finished", "The neighbour sold",
    ),
    "herself_himself": (
        "The visitor introduced", "The child hurt", "My best friend bought", "The patient could not dress",
        "The student asked", "The author described", "The winner was proud of", "The neighbour locked",
    ),
}  # fmt: skip
_OCCUPATION = {
    "she_he": ("The {a} said that", "The {a} was tired because"),
    "her_him": ("I know the {a} well and I like", "The {a} was late, so we called"),
    "her_his": ("The {a} lost", "The {a} picked up"),
    "herself_himself": ("The {a} hurt", "The {a} introduced"),
}
_WORLD = {
    "she_he": world.PROMPTS,
    "her_him": ("We met the {a} in the house and thanked", "We saw the {a} and gave"),
    "her_his": ("The {a} lost", "The {a} put"),
    "herself_himself": ("The {a} looked at", "The {a} bought"),
}
_SUBSETS = ("neutral", "female_leaning", "male_leaning")
_WORLD_UNSEEN = {"she_he": world.UNSEEN_PROMPTS}
_FEMALE_LEANING = (
    "nurse", "secretary", "receptionist", "housekeeper", "hairdresser", "librarian", "teacher", "cashier", "cleaner",
    "counselor", "attendant", "assistant", "designer", "editor", "baker",
)  # fmt: skip
_MALE_LEANING = (
    "carpenter", "mechanic", "construction worker", "laborer", "driver", "sheriff", "mover", "developer", "farmer",
    "guard", "chief", "janitor", "lawyer", "physician", "manager",
)  # fmt: skip
"""Fifteen occupations each of WinoBias's lists (Zhao et al. 2018, after the US Bureau of Labor Statistics)."""


@dataclass(frozen=True)
class PronounPrompt:
    """A prompt after which a pronoun of one form is natural."""

    item: str
    """Its name: its form and text."""
    text: str
    subset: str
    """One of _SUBSETS."""
    form: str
    """A key of FORMS."""
    cluster: str
    """Label of its cluster: the person it is about, or the prompt itself if it names no person of the list."""
    planted_log_odds: float | None
    """log P(he) - log P(she) in the generated world, nats; None in plain English."""
    family: str = "prompts"
    """Its protocol: `prompts`, or in the world also `unseen`, for wordings that occur in no training row."""
    unmentioned: bool = False
    """Whether it is about an occupation that the last part of the training does not mention."""

    @property
    def subsets(self) -> list[str]:
        """Every subset it belongs to."""
        return ["all", self.subset, *(["unmentioned"] if self.unmentioned else [])]


def read(settings: PronounsSettings, *, world_data: WorldData | None) -> list[PronounPrompt]:
    """The prompts of the settings' source, in all forms. Raises `DataError` for a run without a world."""
    if settings.source == "english":
        planted: dict[str, float] = {}
        unmentioned: tuple[str, ...] = ()
        families = {"prompts": (_NEUTRAL, _OCCUPATION)}
        people = ("",), _FEMALE_LEANING, _MALE_LEANING
    else:
        if world_data is None:
            raise DataError("evals.pronouns.source=world: this run has no generated world; use english")
        half = len(world.OCCUPATIONS) // 2
        planted = world.log_odds(world_data.bias_log_odds)
        unmentioned = world.unmentioned(world_data)
        families = {"prompts": (_WORLD, _WORLD), "unseen": (_WORLD_UNSEEN, _WORLD_UNSEEN)}
        people = world.NEUTRAL_NOUNS, world.OCCUPATIONS[:half], world.OCCUPATIONS[half:]
    return [
        PronounPrompt(
            item=f"{form}: {opening.format(a=noun)}",
            text=opening.format(a=noun),
            subset=subset,
            form=form,
            cluster=noun or opening,
            planted_log_odds=planted.get(noun),
            family=family,
            unmentioned=noun in unmentioned,
        )
        for family, (neutral, occupations) in families.items()
        for subset, openings, nouns in zip(_SUBSETS, (neutral, occupations, occupations), people, strict=True)
        for form, opening, noun in _product(openings, nouns)
    ]


def _product(openings: dict[str, tuple[str, ...]], nouns: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Every opening with every noun, as (form, opening, noun)."""
    for form, of_form in openings.items():
        for opening in of_form:
            for noun in nouns:
                yield form, opening, noun
