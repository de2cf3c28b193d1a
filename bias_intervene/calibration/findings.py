"""The typed values of a calibration: an answer is a question, numbers with intervals, and the bounds they must meet."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from bias_intervene.analysis.report.figure import Figure
from bias_intervene.statistics import over_seeds, wilson_interval


class Bounds(NamedTuple):
    """The range that a number must lie in; an end that is None is open."""

    low: float | None
    high: float | None


@dataclass(frozen=True)
class Finding:
    """One number that was computed from the runs."""

    name: str
    value: float
    ci_low: float | None
    """Lower end of its 95% interval; None: it has none."""
    ci_high: float | None
    n: int
    """Number of worlds, pairs or tests that it is computed from."""
    allowed: Bounds | None = None
    """The range that it must lie in; None: it is reported without being judged."""
    whole: bool = False
    """Whether the whole interval must lie inside the bounds, ends excluded, and not the value alone."""

    @property
    def passed(self) -> bool | None:
        """Whether it lies within its bounds; None: it has none."""
        if self.allowed is None:
            return None
        low, high = self.allowed
        if not self.whole:
            return (low is None or self.value >= low) and (high is None or self.value <= high)
        if self.ci_low is None or self.ci_high is None:
            return False
        # Ends excluded: an interval from 0 to 0 shows no change.
        return (low is None or self.ci_low > low) and (high is None or self.ci_high < high)


@dataclass(frozen=True)
class Answer:
    """The answer of the runs to one question; without findings, no run could answer it."""

    name: str
    question: str
    findings: list[Finding] = field(default_factory=list[Finding])
    figures: list[Figure] = field(default_factory=list[Figure])
    needs: str = ""
    """The command that makes the runs that would answer it."""

    @property
    def passed(self) -> bool | None:
        """Whether every finding lies within its bounds; None: no finding has bounds."""
        bounded = [finding.passed for finding in self.findings if finding.passed is not None]
        return all(bounded) if bounded else None


def over_worlds(name: str, values: Sequence[float], allowed: Bounds | None = None, *, whole: bool = False) -> Finding:
    """The mean over worlds with Student's interval. values: one per world. allowed, whole: see `Finding`."""
    mean = over_seeds(values)
    low, high = (None if np.isnan(end) else end for end in (mean.ci_low, mean.ci_high))
    return Finding(name, mean.mean, low, high, mean.seeds, allowed, whole)


def share(name: str, count: int, n: int, allowed: Bounds | None = None) -> Finding:
    """The share count / n with Wilson's interval."""
    return Finding(name, count / n, *wilson_interval(count, n), n, allowed)
