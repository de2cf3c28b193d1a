"""Answers all questions of the calibration, in their order, and writes the answers as JSON."""

from dataclasses import asdict, dataclass
from typing import Any

from bias_intervene.analysis.comparison import ComparisonOptions, compare_runs
from bias_intervene.analysis.records import RunSet
from bias_intervene.analysis.report.figure import Figure
from bias_intervene.calibration import chance, truth
from bias_intervene.calibration.findings import Answer, Finding

__all__ = ["Answer", "Calibration", "Finding", "calibrate"]


@dataclass(frozen=True)
class Calibration:
    """The answers that the runs of generated worlds give about the measurements of this program."""

    answers: list[Answer]
    num_runs: int
    num_pairs: int
    """Pairs of controls that differ in `seed` alone."""
    notes: tuple[str, ...] = ()
    """What the comparison left out, and why."""

    @property
    def passed(self) -> bool:
        """Whether at least one finding has bounds, and every finding with bounds lies within them."""
        bounded = [answer.passed for answer in self.answers if answer.passed is not None]
        return bool(bounded) and all(bounded)

    @property
    def figures(self) -> list[Figure]:
        """The figures of all answers."""
        return [figure for answer in self.answers for figure in answer.figures]

    def to_json(self) -> dict[str, Any]:
        """The content of calibration.json."""
        return {
            "schema": 1, "passed": self.passed, "runs": self.num_runs, "control_pairs": self.num_pairs,
            "notes": list(self.notes),
            "questions": [
                {
                    "name": answer.name, "question": answer.question, "passed": answer.passed,
                    "needs": None if answer.findings else answer.needs,
                    "findings": [asdict(finding) | {"passed": finding.passed} for finding in answer.findings],
                }
                for answer in self.answers
            ],
        }  # fmt: skip


def calibrate(run_set: RunSet) -> Calibration:
    """Answers every question from the runs of a sweep. Raises `RunDirectoryError` as the comparison does."""
    compared = compare_runs(run_set, ComparisonOptions(), as_given=False)
    runs = compared.runs.runs  # Without copies, which would be pairs of controls that never differ.
    pairs = chance.control_pairs(runs)
    answers = [
        truth.recovery(runs),
        truth.dose(compared),
        truth.directions(compared),
        truth.placebos(compared),
        truth.generalisation(compared),
        *chance.by_chance(pairs),
    ]
    return Calibration(answers, len(runs), len(pairs), tuple(compared.notes))
