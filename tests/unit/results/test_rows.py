"""Typed rows: their JSON."""

from bias_intervene.results import COMPARISON_COLUMNS, MetricRow, MetricValue


def test_a_row_of_results_has_the_keys_that_people_script_against():
    value = MetricValue(protocol="p", subset="all", metric="m", value=0.5, stderr=None, n=3)
    row = MetricRow(step=10, benchmark="b", **vars(value))
    assert list(row.to_json()) == ["step", "benchmark", "protocol", "subset", "metric", "value", "stderr", "n"]
    cut = MetricRow.from_json({**row.to_json(), "truncated": 2, "of_a_later_version": 1})
    assert (cut.truncated, cut.to_json()["truncated"], cut.key) == (2, 2, ("b", "p", "all", "m"))


def test_a_row_of_the_comparison_has_the_keys_that_people_script_against():
    names = "benchmark protocol subset metric step arm baseline_arm baseline value difference ci_low ci_high p n"
    assert set(names.split()) <= set(COMPARISON_COLUMNS)
