"""Is the instrument right? What a sweep of known worlds says of the harness itself.

Enters: the runs of `experiment=calibration`, or of any sweep that holds a part of them. Leaves: one answer a question,
each of numbers with their intervals, the bounds they must lie in, and pictures. Promised: everything is computed from
finished run directories by way of the comparison that users get, so nothing of the harness is gone round; a question
that the runs have nothing for is named as unanswered and never as passed.

`truth` asks whether what was planted is found; `chance` whether what was not planted is not, and how much a single
training can say.
"""

from bias_intervene.calibration.answers import Answer, Calibration, Finding, calibrate

__all__ = ["Answer", "Calibration", "Finding", "calibrate"]
