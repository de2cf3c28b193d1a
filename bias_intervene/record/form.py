"""The form of the JSON files of a run or a sweep, against which they are checked when they are read.

A run directory may have been written by an earlier version, edited, or cut off, and what is read from it becomes a
number in a table. So the parts that others read are typed here, and the rows are those of `results`.

Input: a path and a form.
Output: nothing, or a `RunDirectoryError` that names the file, each faulty key, what was found and what is allowed.
Guarantees: types are strict: "1" is no number and true no step. Keys that no form names may hold anything. Nesting
beyond 200 levels is refused.
"""

from pathlib import Path
from typing import Any

import pydantic
from pydantic import BaseModel, ConfigDict

from bias_intervene.errors import RunDirectoryError
from bias_intervene.results import ExpectedEffect, MetricRow, MetricSpec

_MOST_FAULTS = 5
"""Faults that a message lists."""
_LONGEST_VALUE = 60
"""Characters of a value that a message shows."""


class _Form(BaseModel):
    """A JSON object, of which the named keys are checked and the others are not."""

    model_config = ConfigDict(extra="allow", strict=True, protected_namespaces=())


class ObjectForm(_Form):
    """A file of which only the writer's own keys are read, one by one, such as plan.json."""


class ResultsForm(_Form):
    """results.json."""

    metrics: list[MetricRow]
    published: list[MetricRow]
    specs: list[MetricSpec] | None = None
    """None: written by an earlier version."""


class FingerprintsForm(_Form):
    """The fingerprints of a record."""

    benchmarks: dict[str, str] | None = None
    evaluated_weights: dict[str, str] | None = None
    evaluations: dict[str, dict[str, Any]] | None = None


class _Plan(_Form):
    repository: str
    revision: str | None
    start_step: int
    num_steps: int
    realised_fraction: float | None = None
    expected_effect: ExpectedEffect | None = None


class _Intervention(_Form):
    name: str | None = None
    fraction: float | None = None
    probability: float | None = None


class _Model(_Form):
    name: str | None = None
    kind: str | None = None
    variant: str | None = None


class _Data(_Form):
    kind: str | None = None
    seed: int | None = None
    shuffle: bool | None = None


class SettingsForm(_Form):
    """settings.json, as far as it is read before it is checked as settings."""

    seed: int | None = None
    intervention: _Intervention | None = None
    model: _Model | None = None
    data: _Data | None = None


class _Audit(_Form):
    num_swaps: int = 0
    rows_changed: int = 0
    rows: int = 0
    swaps: dict[str, int] = {}


class _Notes(_Form):
    caveats: list[str] = []


class RecordForm(_Form):
    """record.json."""

    arm: str
    settings: SettingsForm
    plan: _Plan
    fingerprints: FingerprintsForm
    results: ResultsForm
    audit: _Audit | None = None
    benchmarks: dict[str, _Notes] | None = None


class _Job(_Form):
    directory: str
    overrides: list[str]


class SweepForm(_Form):
    """sweep.json."""

    jobs: list[_Job]


class FailureForm(_Form):
    """What is kept of a job that failed."""

    message: str


def check_form(path: Path, form: type[BaseModel]) -> None:
    """Raises `RunDirectoryError` if the JSON in `path` has not this form."""
    try:
        form.model_validate_json(path.read_bytes())
    except pydantic.ValidationError as error:
        faults = [_in_words(fault) for fault in error.errors(include_url=False)]
        more = f"; and {len(faults) - _MOST_FAULTS} more" if len(faults) > _MOST_FAULTS else ""
        raise RunDirectoryError(
            f"{path}: {'; '.join(faults[:_MOST_FAULTS])}{more}. It was edited or damaged, or another version wrote it: "
            "restore it, or run its command again in another directory"
        ) from None


def _in_words(fault: Any) -> str:
    """One fault: the key, what was found, what is allowed."""
    key = ".".join(str(part) for part in fault["loc"])
    message = fault["msg"].removeprefix("Input should be ")
    if fault["type"] == "json_invalid":
        return f"not JSON that can be read ({message.removeprefix('Invalid JSON: ')})"
    if fault["type"] == "missing":
        return f"{key}: missing"
    found = repr(fault["input"])
    shown = found if len(found) <= _LONGEST_VALUE else f"{found[:_LONGEST_VALUE]}..."
    return f"{key or 'the whole'}: found {shown}; allowed is {message}"
