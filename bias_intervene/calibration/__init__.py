"""Is the instrument right? What a sweep of known worlds says of the harness itself.

Input: the runs of `experiment=calibration`, or of any sweep that holds a part of them. Output: one answer a question,
each of numbers with their intervals, the bounds they must lie in, and pictures. Guarantees: everything is computed from
finished run directories by way of the comparison that users get, so that no part of it is left out; a question
that the runs cannot answer is named as unanswered and never as passed.

`truth` asks whether a planted effect is found; `chance` asks how often a difference is found where there is none, and
how much a single training can say.
"""

from bias_intervene.calibration.answers import Answer, Calibration, Finding, calibrate

__all__ = ["Answer", "Calibration", "Finding", "calibrate"]
