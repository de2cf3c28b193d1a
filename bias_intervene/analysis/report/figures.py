"""All figures of a comparison, as plain data.

- over steps: a metric at every checkpoint of every arm, beside the original run's published checkpoints;
- dose and response: the paired difference to the control against the share of the training that was altered;
- forest: the paired differences of the headline metrics of all arms;
- items: every item under the control against the same item under the intervention;
- cost: a bias metric against a capability at every checkpoint.

Input: a comparison.
Output: figures (`figure.Figure`).
Guarantees: figures without a point are left out. Which metrics are drawn is determined by their specs.
"""

from bias_intervene.analysis.comparison import Comparison
from bias_intervene.analysis.report.against_controls import dose_and_response, forests, items
from bias_intervene.analysis.report.figure import Figure
from bias_intervene.analysis.report.over_steps import costs, over_steps


def figures(compared: Comparison) -> list[Figure]:
    """Every figure that has at least one point."""
    kinds = (over_steps, dose_and_response, forests, items, costs)
    return [figure for figures_of in kinds for figure in figures_of(compared) if any(s.x for s in figure.series)]
