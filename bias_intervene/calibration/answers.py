"""All questions in their order, and what becomes of the answers: JSON for machines."""

from dataclasses import asdict, dataclass
from typing import Any

from bias_intervene.analysis.comparison import Asked, compare_runs
from bias_intervene.analysis.records import Found
from bias_intervene.analysis.report.figures import Figure
from bias_intervene.calibration import chance, truth
from bias_intervene.calibration.findings import Answer, Finding

__all__ = ["Answer", "Calibration", "Finding", "calibrate"]


@dataclass(frozen=True)
class Calibration:
    """What a sweep says of the instrument."""

    answers: list[Answer]
    num_runs: int
    num_pairs: int

    @property
    def passed(self) -> bool:
        """Whether something was held to bounds, and all of it lies there."""
        held = [answer.passed for answer in self.answers if answer.passed is not None]
        return bool(held) and all(held)

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


def calibrate(found: Found) -> Calibration:
    """Every question, asked of the runs."""
    compared = compare_runs(found, Asked(), as_given=False)
    pairs = chance.control_pairs(found.runs)
    answers = [
        truth.recovery(found.runs),
        truth.dose(compared),
        truth.directions(compared),
        truth.placebos(compared),
        truth.generalisation(compared),
        *by_chance(pairs),
    ]
    return Calibration(answers, len(found.runs), len(pairs))


def by_chance(pairs: list[chance.Pair]) -> list[Answer]:
    """The questions that pairs of controls answer."""
    asked = (chance.false_positives, chance.power, chance.seeds)
    if not pairs:
        return [Answer(ask.__name__.replace("_", " "), chance.question_of(ask), needs=chance.PAIRS) for ask in asked]
    found = chance.Chance(pairs)
    return [ask(found) for ask in asked]
