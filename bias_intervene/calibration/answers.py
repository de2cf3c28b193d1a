"""All questions in their order, and their answers as JSON."""

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
    """The answers that a sweep of known worlds gives about the instrument."""

    answers: list[Answer]
    num_runs: int
    num_pairs: int

    @property
    def passed(self) -> bool:
        """Whether at least one number has bounds, and every number with bounds lies within them."""
        bounded = [answer.passed for answer in self.answers if answer.passed is not None]
        return bool(bounded) and all(bounded)

    @property
    def figures(self) -> list[Figure]:
        """Of all answers."""
        return [figure for answer in self.answers for figure in answer.figures]

    def to_json(self) -> dict[str, Any]:
        """calibration.json."""
        return {
            "schema": 1, "passed": self.passed, "runs": self.num_runs, "control_pairs": self.num_pairs,
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
    """The answers to every question."""
    runs = run_set.runs
    compared = compare_runs(run_set, ComparisonOptions(), as_given=False)
    pairs = chance.control_pairs(runs)
    answers = [
        truth.recovery(runs),
        truth.dose(compared),
        truth.directions(compared),
        truth.placebos(compared),
        truth.generalisation(compared),
        *chance.by_chance(pairs),
    ]
    return Calibration(answers, len(runs), len(pairs))
