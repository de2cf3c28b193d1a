"""Every intervention, described once: what it does, what it is expected to move, and what is wrong with it.

Input: the name of an intervention. Output: its `Intervention`. Guarantees: whatever depends on which intervention a run
has asks an attribute of its entry here; no other module compares names. The kind and its options are those of
`settings.intervention`, where they are checked before any work.

An entry says how rows are changed in one of three ways: by a direction of the rule over words, which a run applies over
token ids (`direction`); by rewriting decoded text (`rewrite`); or by a map over token ids (`token_map`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tokenizers import Tokenizer

from bias_intervene.interventions import profiles
from bias_intervene.interventions.choice import NOT_DRAWN
from bias_intervene.interventions.profiles import TokenMap
from bias_intervene.interventions.text import Swapped
from bias_intervene.results import ExpectedEffect
from bias_intervene.settings.intervention import (
    OPTIONS_OF_KIND,
    InterventionKind,
    InterventionName,
    InterventionSettings,
    kind_of,
)

Rewrite = Callable[[str], Swapped]
"""A text -> the text after the intervention, with every change."""


@dataclass(frozen=True)
class Intervention:
    """One intervention."""

    name: InterventionName
    expected_effect: ExpectedEffect | None
    """What the manipulation check looks for. None: the arm is not judged; it is what others are judged against."""
    rewrite: Callable[[InterventionSettings], Rewrite] | None = None
    """The settings -> what replaces the text of a decoded row."""
    token_map: Callable[[Tokenizer], TokenMap] | None = None
    """A tokenizer -> the map over its ids. Raises `DataError` for a tokenizer that the map does not fit."""
    pronouns_of: str | None = None
    """Key of `lexicon.DIRECTIONS` whose pronouns the audit counts, swapped or not. None: that of a rule, or none."""
    swaps_pronouns: bool = True
    """False: no pronoun changes, by design. Where one is meant to and none did, the audit warns."""
    faults: str | None = None
    """What is wrong with it, or to be known about it, in the words of audit.json."""

    @property
    def kind(self) -> InterventionKind:
        """Rule over words, profile of the literature, control, or unaltered rows."""
        return kind_of(self.name)

    @property
    def options(self) -> tuple[str, ...]:
        """The settings that it heeds."""
        return OPTIONS_OF_KIND[self.kind]

    @property
    def alters_rows(self) -> bool:
        """False: rows are read as they are stored, so they need not pass through it."""
        return self.kind != "unaltered"

    @property
    def direction(self) -> str | None:
        """Key of `lexicon.DIRECTIONS` for a rule over words; None for all others."""
        return self.name if self.kind == "rule" else None

    @property
    def trains_on_padding(self) -> bool:
        """Whether the padding of a row that became shorter counts in the loss, as it did in the case study."""
        return self.kind == "profile"

    def warning(self, *, rows: int, num_swaps: int, left_alone: Mapping[str, int]) -> str | None:
        """What the audit warns of, given its counts. None: nothing. left_alone: pronouns not swapped, by reason."""
        if not self.swaps_pronouns or num_swaps or set(left_alone) == {NOT_DRAWN}:
            return None
        if not left_alone:
            return f"0 of {rows} rows changed: the intervention found no pronoun to swap"
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(left_alone.items()))
        return f"0 of {rows} rows changed: all {sum(left_alone.values())} pronouns were left alone ({reasons})"


def _without_options(rewrite: Rewrite) -> Callable[[InterventionSettings], Rewrite]:
    """A rewrite that is the same whatever the settings."""
    return lambda settings: rewrite


def _she_over_he(sign: int) -> ExpectedEffect:
    """The preference for she over he in prompts that mention no occupation."""
    return ExpectedEffect("pronouns", "prompts", "neutral", "log_odds_she_he", sign)


_ALL = (
    Intervention("none", None, rewrite=_without_options(profiles.unchanged), swaps_pronouns=False),
    Intervention("masculine_to_feminine", _she_over_he(+1)),
    Intervention("feminine_to_masculine", _she_over_he(-1)),
    Intervention("both", ExpectedEffect("pronouns", "prompts", "occupations", "occupation_gap", -1)),
    Intervention("neutral", ExpectedEffect("pronouns", "prompts", "neutral", "log_odds_they", +1)),
    Intervention(
        "retokenize",
        _she_over_he(0),
        rewrite=_without_options(profiles.unchanged),
        swaps_pronouns=False,
        faults="A control: rows are decoded, encoded and fitted to their length, no pronoun changes.",
    ),
    Intervention(
        "pythia_token_map",
        _she_over_he(+1),
        token_map=profiles.token_map,
        pronouns_of="masculine_to_feminine",
        faults="A map over ten token ids without a look at their neighbours: `he`, `him` and `his` without a space are "
        "also pieces of other words (3.2% of what it rewrites in English prose, 66% in code); nothing for himself, for "
        "` Him` or for capitals; his is always her. Of other tokenizers those of the same pieces that are tokens.",
    ),
    Intervention(
        "pythia_replace",
        _she_over_he(+1),
        rewrite=_without_options(profiles.replace_text),
        pronouns_of="masculine_to_feminine",
        faults="The evident intent of 42acebf3: six replacements that need a space on both sides, so none beside "
        "punctuation or a line's end; nothing for himself; his is always her; padding is trained on.",
    ),
    Intervention(
        "pythia_pushed",
        _she_over_he(0),
        rewrite=_without_options(profiles.unchanged),
        pronouns_of="masculine_to_feminine",
        swaps_pronouns=False,
        faults="42acebf3 as it was pushed: the replaced text is compared and thrown away, and the original is encoded "
        "again. No pronoun changes.",
    ),
)
INTERVENTIONS: dict[str, Intervention] = {intervention.name: intervention for intervention in _ALL}
"""Name -> intervention."""
