"""What is drawn of a comparison, without drawing it.

Input: a comparison. Output: figures as plain data (`figure`). Guarantees: a figure that the runs have nothing for is
not made; which metrics are drawn is said by their specs.

- over steps: a metric at every checkpoint of every arm, the original run's published checkpoints beside them;
- dose and response: the paired difference to the control against the share of the training that was altered;
- forest: the paired differences of the headline metrics of all arms;
- items: every item under control and intervention;
- cost: a bias metric against a capability, checkpoint by checkpoint.
"""

from bias_intervene.analysis.comparison import Comparison
from bias_intervene.analysis.report.against_controls import dose_and_response, forests, items
from bias_intervene.analysis.report.figure import Figure
from bias_intervene.analysis.report.over_steps import costs, over_steps


def figures(compared: Comparison) -> list[Figure]:
    """Every figure that the runs have something for."""
    drawn = (over_steps, dose_and_response, forests, items, costs)
    return [figure for draw in drawn for figure in draw(compared) if any(series.x for series in figure.series)]
