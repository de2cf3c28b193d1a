"""Typed values that are passed between the parts of the program, from the evaluation to the report.

A metric is described once, by the benchmark that computes it, in a `MetricSpec`. The specs are written into
results.json beside the values. The code that reads the values (comparison, tables, figures, calibration) learns from
the specs how a metric is paired, printed and tested, and holds no list of metrics of its own. `specs` has these
descriptions, `rows` the values and their comparisons.
"""

from bias_intervene.results.rows import (
    BASE,
    COMPARISON_COLUMNS,
    PUBLISHED,
    ComparisonRow,
    MetricRow,
    MetricValue,
    none_if_not_finite,
)
from bias_intervene.results.specs import ExpectedEffect, Family, MetricKey, MetricSpec, MetricSpecs

__all__ = [
    "BASE",
    "COMPARISON_COLUMNS",
    "PUBLISHED",
    "ComparisonRow",
    "ExpectedEffect",
    "Family",
    "MetricKey",
    "MetricRow",
    "MetricSpec",
    "MetricSpecs",
    "MetricValue",
    "none_if_not_finite",
]
