"""The errors a user can meet.

Every message says which value is wrong, what was found, what is allowed and what to do. `app` alone turns them
into what Hydra prints without a traceback; the other commands print them and exit with status 1. Anything that is
not one of these is a fault of ours and keeps its traceback.
"""

import difflib
from collections.abc import Iterable


class BiasInterveneError(Exception):
    """Base of every error whose cause and remedy are the user's."""


class SettingsError(BiasInterveneError):
    """One or more settings are wrong. `faults` holds one line each, so that all are reported at once."""

    def __init__(self, faults: Iterable[str]):
        self.faults = list(faults)
        count = len(self.faults)
        head = "1 setting is wrong:" if count == 1 else f"{count} settings are wrong:"
        super().__init__("\n".join([head, *(f"  {fault}" for fault in self.faults)]))


class PlanError(BiasInterveneError):
    """The settings are well formed but ask for a run that cannot be."""


class DataError(BiasInterveneError):
    """A corpus or an evaluation file is missing, empty or not in the expected form."""


class ModelError(BiasInterveneError):
    """A checkpoint or tokenizer cannot be had or does not fit."""


class HubError(ModelError, DataError):
    """The Hugging Face hub, or a file on it, cannot be reached. Says which file and the local alternative."""


class RunDirectoryError(BiasInterveneError):
    """A run directory is complete, belongs to other settings, or cannot be written."""


class StageError(BiasInterveneError):
    """A worker process ended with an error; the message is the worker's own."""


class StageStopped(BiasInterveneError):  # noqa: N818  (it is no error that a run can be continued)
    """A stage was stopped by a signal after saving; the same command in the same directory continues it.

    signals: those that came through us, in their order.
    """

    def __init__(self, message: str, *, signals: Iterable[int] = ()):
        self.signals = tuple(signals)
        super().__init__(message)


def first_line(error: BaseException) -> str:
    """The first line of a library's error, its name where it says nothing."""
    return (str(error) or type(error).__name__).splitlines()[0]


def did_you_mean(found: str, allowed: Iterable[str]) -> str:
    """A clause naming the allowed names nearest to `found`, or all of them when none is near.

    >>> did_you_mean("fractoin", ["fraction", "name"])
    'did you mean "fraction"?'
    """
    names = sorted(set(allowed))
    near = difflib.get_close_matches(found, names, n=2, cutoff=0.6)
    if near and difflib.SequenceMatcher(None, found, near[0]).ratio() > 0.85:
        near = near[:1]
    if near:
        return "did you mean " + " or ".join(f'"{name}"' for name in near) + "?"
    return "allowed: " + ", ".join(names)
