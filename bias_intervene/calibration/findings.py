"""The shape of an answer: a question, numbers with their intervals, and the bounds that these must lie in."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bias_intervene.analysis.report.figure import Figure
from bias_intervene.statistics import over_seeds, wilson_interval

Bounds = tuple[float | None, float | None]


@dataclass(frozen=True)
class Finding:
    """One number."""

    name: str
    value: float
    ci_low: float | None
    ci_high: float | None
    n: int
    """Worlds, pairs or tests behind it."""
    allowed: Bounds | None = None
    """Where it must lie; an end that is None is open. None: it is reported, without bounds."""
    whole: bool = False
    """The whole interval must lie there, not the value alone."""

    @property
    def passed(self) -> bool | None:
        """Whether it lies there."""
        if self.allowed is None:
            return None
        low, high = self.allowed
        if not self.whole:
            return (low is None or self.value >= low) and (high is None or self.value <= high)
        if self.ci_low is None or self.ci_high is None:
            return False
        # An end itself does not count: an interval from 0 to 0 is no change.
        return (low is None or self.ci_low > low) and (high is None or self.ci_high < high)


@dataclass(frozen=True)
class Answer:
    """The answer of the runs to one question."""

    name: str
    question: str
    findings: list[Finding] = field(default_factory=list[Finding])
    figures: list[Figure] = field(default_factory=list[Figure])
    needs: str = ""
    """The runs that would answer it, where there are none."""

    @property
    def passed(self) -> bool | None:
        """Whether every number lies where it must; None where nothing is known, or nothing has bounds."""
        bounded = [finding.passed for finding in self.findings if finding.passed is not None]
        return all(bounded) if bounded else None


def over_worlds(name: str, values: Sequence[float], allowed: Bounds | None = None, *, whole: bool = False) -> Finding:
    """The mean over worlds with Student's interval."""
    mean = over_seeds(values)
    low, high = (None if np.isnan(end) else end for end in (mean.ci_low, mean.ci_high))
    return Finding(name, mean.mean, low, high, mean.seeds, allowed, whole)


def share(name: str, count: int, n: int, allowed: Bounds | None = None) -> Finding:
    """A share of n with Wilson's interval."""
    return Finding(name, count / n, *wilson_interval(count, n), n, allowed)
