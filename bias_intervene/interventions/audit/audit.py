"""What an intervention changed: counts by form, pronouns left alone by reason, and samples before and after.

Input: what was done to each row. Output: the content of audit.json and audit_samples.jsonl, and of audit.html by
`page`. Guarantees: the counts of several ranks, and of a run that was stopped and continued, add up to those of one
uninterrupted rank, because an audit is a sum and is saved and loaded with each checkpoint; the samples are those of the
lowest row numbers, whichever rank read them.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypedDict

from bias_intervene.interventions.text import Swap, Swapped, apply

_MAX_SAMPLES = 100
"""Changed rows of which an excerpt around the first swap is kept."""
_MAX_ROWS = 20
"""Changed rows that are kept whole: those with the most swaps."""
_SAMPLE_CHARS = 60
"""Characters of context kept on either side of a sampled swap."""


class ChangedRow(TypedDict):
    """A row of the corpus and what was changed in it."""

    row: int
    text: str
    swaps: list[tuple[int, int, str]]
    """(start, end, after) in characters of `text`."""


@dataclass
class Audit:
    """Counts over the rows seen so far."""

    rows: int = 0
    rows_changed: int = 0
    rows_padded: int = 0
    """Rows that became shorter and were padded; padding is masked from the loss."""
    rows_cut: int = 0
    """Rows that became longer and were cut at the end."""
    swaps_at_row_end: int = 0
    """Swaps of a row's last token, which may have been the beginning of a longer word."""
    swaps_in_words: int = 0
    """Swaps that were no pronouns but pieces of other words, as a map over token ids makes them."""
    swaps: Counter[str] = field(default_factory=Counter[str])
    skipped: Counter[str] = field(default_factory=Counter[str])
    samples: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    most_changed: list[ChangedRow] = field(default_factory=list[ChangedRow])

    def add(self, row: int, text: str, swapped: Swapped) -> None:
        """Counts one row of text. row: its number in the corpus; text: what it was."""
        swaps = Counter(swap.form for swap in swapped.swaps)
        self.count(rows=1, rows_changed=int(bool(swaps)), swaps=swaps, skipped=swapped.skipped)
        if swaps and self.wants(row, len(swapped.swaps)):
            self.keep(row, text, swapped.swaps)

    def count(
        self, *, rows: int, rows_changed: int, swaps: Counter[str], skipped: Counter[str], swaps_at_row_end: int = 0
    ) -> None:
        """Counts rows that need not have been decoded."""
        self.rows += rows
        self.rows_changed += rows_changed
        self.swaps_at_row_end += swaps_at_row_end
        self.swaps.update(swaps)
        self.skipped.update(skipped)

    def wants(self, row: int, num_swaps: int) -> bool:
        """Whether `keep` would keep this changed row, so that others need not be decoded."""
        is_early = len(self.samples) < _MAX_SAMPLES or row < self.samples[-1]["row"]
        if is_early or len(self.most_changed) < _MAX_ROWS:
            return True
        least = self.most_changed[-1]
        return (-num_swaps, row) < (-len(least["swaps"]), least["row"])

    def keep(self, row: int, text: str, swaps: list[Swap]) -> None:
        """Keeps a changed row's text, with its first swap as a sample. swaps: ascending, one or more."""
        first = swaps[0]
        low, high = max(0, first.start - _SAMPLE_CHARS), first.end + _SAMPLE_CHARS
        near = [swap for swap in swaps if swap.end <= high]
        moved = [Swap(swap.start - low, swap.end - low, swap.before, swap.after) for swap in near]
        before = text[low:high]
        self.samples.append(
            {"row": row, "swaps": len(swaps), "form": first.form, "before": before, "after": apply(before, moved)}
        )
        places = [(swap.start, swap.end, swap.after) for swap in swaps]
        self.most_changed.append({"row": row, "text": text, "swaps": places})
        self._trim()

    def _trim(self) -> None:
        """Keeps the samples of the lowest row numbers, and the rows with most swaps."""
        self.samples = sorted(self.samples, key=lambda sample: sample["row"])[:_MAX_SAMPLES]
        self.most_changed = sorted(self.most_changed, key=lambda row: (-len(row["swaps"]), row["row"]))[:_MAX_ROWS]

    def copy(self) -> Self:
        """The audit as it stands: what is counted later is not counted in the copy."""
        return replace(
            self,
            swaps=self.swaps.copy(),
            skipped=self.skipped.copy(),
            samples=self.samples.copy(),
            most_changed=self.most_changed.copy(),
        )

    def merge(self, other: Self) -> None:
        """Adds the counts of another rank."""
        self.rows += other.rows
        self.rows_changed += other.rows_changed
        self.rows_padded += other.rows_padded
        self.rows_cut += other.rows_cut
        self.swaps_at_row_end += other.swaps_at_row_end
        self.swaps_in_words += other.swaps_in_words
        self.swaps += other.swaps
        self.skipped += other.skipped
        self.samples += other.samples
        self.most_changed += other.most_changed
        self._trim()

    def counts(self) -> dict[str, Any]:
        """What audit.json holds."""
        return {
            "rows": self.rows,
            "rows_changed": self.rows_changed,
            "rows_padded": self.rows_padded,
            "rows_cut": self.rows_cut,
            "swaps_at_row_end": self.swaps_at_row_end,
            "swaps_in_words": self.swaps_in_words,
            "num_swaps": sum(self.swaps.values()),
            "dose": self.dose(),
            "swaps": dict(sorted(self.swaps.items())),
            "skipped": dict(sorted(self.skipped.items())),
        }

    def dose(self) -> float | None:
        """Share of the pronouns in question that were swapped; all that stand in the rows. None: there were none."""
        swapped, left = sum(self.swaps.values()) - self.swaps_in_words, sum(self.skipped.values())
        return swapped / (swapped + left) if swapped + left else None

    def to_json(self) -> dict[str, Any]:
        """Counts and samples, to be saved with a checkpoint."""
        return {**self.counts(), "samples": self.samples, "most_changed": self.most_changed}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The audit back from `to_json`."""
        return cls(
            rows=values["rows"],
            rows_changed=values["rows_changed"],
            rows_padded=values["rows_padded"],
            rows_cut=values["rows_cut"],
            swaps_at_row_end=values["swaps_at_row_end"],
            swaps_in_words=values.get("swaps_in_words", 0),  # Audits of earlier versions have none.
            swaps=Counter(values["swaps"]),
            skipped=Counter(values["skipped"]),
            samples=list(values["samples"]),
            # JSON has no tuples.
            most_changed=[
                ChangedRow(row=row["row"], text=row["text"], swaps=[tuple(swap) for swap in row["swaps"]])
                for row in values["most_changed"]
            ],
        )
