"""An intervention as it is set, applied to texts: the rule or a profile, and the share that is drawn.

Enters: texts and their numbers. Leaves: the swaps that are made, the others counted as not drawn. Promised: what is
made of a text depends on it, its number and the settings alone.
"""

from collections import Counter
from dataclasses import replace

from bias_intervene.interventions import profiles
from bias_intervene.interventions.choice import chosen
from bias_intervene.interventions.possessive import WORD_LISTS, Possessives
from bias_intervene.interventions.text import Swapped, apply, swap_text
from bias_intervene.settings import InterventionSettings

UNCHANGING = frozenset({"none", "retokenize", "pythia_pushed"})
"""Interventions that change no pronoun."""


class TextSwap:
    """One intervention for many texts. seed: of the run, for the share of texts or pronouns that is altered."""

    def __init__(self, settings: InterventionSettings, *, seed: int, possessives: Possessives = WORD_LISTS):
        self.settings, self.seed = settings, seed
        self.possessives = replace(possessives, margin=settings.margin)

    def __call__(self, number: int, text: str) -> Swapped:
        """What is made of a text. number: its own, e.g. its row's."""
        swapped = self.whole(text)
        if self.settings.probability >= 1 or not swapped.swaps:
            return swapped
        keep = self.chosen(number, len(swapped.swaps))
        kept = [swap for swap, drawn in zip(swapped.swaps, keep, strict=True) if drawn]
        skipped = swapped.skipped + Counter({"not drawn": len(swapped.swaps) - len(kept)})
        return Swapped(text=apply(text, kept), swaps=kept, skipped=skipped)

    def chosen(self, number: int, count: int) -> list[bool]:
        """Which of the `count` pronouns of a text are altered."""
        asked = self.settings
        return chosen(seed=self.seed, row=number, count=count, probability=asked.probability, unit=asked.unit)

    def whole(self, text: str) -> Swapped:
        """What is made of a text that is drawn whole."""
        if self.settings.name in UNCHANGING:
            return profiles.unchanged(text)
        if self.settings.name == "pythia_replace":
            return profiles.replace_text(text)
        return swap_text(text, self.settings.name, self.possessives)
