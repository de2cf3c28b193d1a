"""Checks the measurements of this program on generated worlds, whose bias is known.

`truth` compares measured bias and effects with the planted ones. `chance` counts how often a difference is reported
where there is none, and compares the spread between trainings with the standard error of a single one. `findings` has
the types, `answers` runs all questions, and `page` shows the result.

Input: the runs of `experiment=calibration`, or of any sweep that holds a part of them.
Output: one answer per question: numbers with their intervals, the bounds they must lie in, and figures.
Guarantees: everything is computed from finished run directories by the same comparison that users get, so every part of
the program is covered. A question that the runs cannot answer is reported as unanswered, never as passed.
"""

from bias_intervene.calibration.answers import Answer, Calibration, Finding, calibrate

__all__ = ["Answer", "Calibration", "Finding", "calibrate"]
