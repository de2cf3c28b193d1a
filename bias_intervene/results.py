"""Typed values that the parts of the program hand on to each other."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ExpectedEffect:
    """The metric that an intervention is meant to move, and which way.

    The manipulation check judges an arm by this metric alone, before any bias metric is read.
    """

    benchmark: str
    protocol: str
    subset: str
    metric: str
    sign: int
    """+1: the metric rises against the control; -1: it falls; 0: nothing is meant to move."""
