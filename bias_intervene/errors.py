"""The errors a user can meet.

A message says which value is wrong, what was found, what is allowed and what to do. The package `app` turns these
errors into the ones that Hydra prints without a traceback; the other commands print them and exit with status 1. Any
other exception is a bug in this program and keeps its traceback.
"""

import difflib
from collections.abc import Iterable


class BiasInterveneError(Exception):
    """Base of every error that the user can cause and correct."""


class SettingsError(BiasInterveneError):
    """One or more settings are wrong. `faults` holds one line per wrong setting, so that all are reported at once."""

    def __init__(self, faults: Iterable[str]):
        self.faults = list(faults)
        count = len(self.faults)
        head = "1 setting is wrong:" if count == 1 else f"{count} settings are wrong:"
        super().__init__("\n".join([head, *(f"  {fault}" for fault in self.faults)]))


class PlanError(BiasInterveneError):
    """The settings are well formed, but no run can satisfy them."""


class DataError(BiasInterveneError):
    """A corpus or an evaluation file is missing, empty or not in the expected form."""


class ModelError(BiasInterveneError):
    """A checkpoint or tokenizer cannot be loaded or does not fit the settings."""


class HubError(ModelError, DataError):
    """The Hugging Face hub, or a file on it, cannot be reached. The message names the file and a local alternative."""


class RunDirectoryError(BiasInterveneError):
    """A run directory is complete, belongs to other settings, or cannot be written."""


class StageError(BiasInterveneError):
    """A worker process ended with an error; the message is the worker's."""


class StageStopped(BiasInterveneError):  # noqa: N818  (a run that can be continued is not in error)
    """A stage was stopped by a signal after saving; the same command in the same directory continues it.

    signals: the numbers of the signals that this process received and passed on, in order of arrival.
    """

    def __init__(self, message: str, *, signals: Iterable[int] = ()):
        self.signals = tuple(signals)
        super().__init__(message)


def first_line(error: BaseException) -> str:
    """The first line of a library's error message; the exception's name where the message is empty."""
    return (str(error) or type(error).__name__).splitlines()[0]


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """A clause with the allowed names closest to `name`, or all of them where none is close.

    >>> did_you_mean("fractoin", ["fraction", "name"])
    'did you mean "fraction"?'
    """
    names = sorted(set(allowed))
    closest = difflib.get_close_matches(name, names, n=2, cutoff=0.6)
    if closest and difflib.SequenceMatcher(None, name, closest[0]).ratio() > 0.85:
        closest = closest[:1]
    if closest:
        return "did you mean " + " or ".join(f'"{match}"' for match in closest) + "?"
    return "allowed: " + ", ".join(names)
