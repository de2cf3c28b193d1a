"""Shares that say nothing, because the model always says the same form."""

from dataclasses import replace

import pytest

from bias_intervene.analysis.comparison import ComparisonOptions, compare_runs
from bias_intervene.analysis.records import find
from bias_intervene.analysis.replicates import over_replicates
from bias_intervene.analysis.report.sentences import in_words
from bias_intervene.analysis.saturation import with_saturation
from bias_intervene.results import ComparisonRow, MetricSpec
from tests.helpers.runs import made, with_forms

FORCED = MetricSpec("b", "share", unit="share", share_of_one_form="masculine")
EVEN = {str(number): float(number % 2) for number in range(40)}


def row(spec: MetricSpec, *, baseline: float | None, value: float, n: int | None = 100) -> ComparisonRow:
    blank = dict.fromkeys(
        ("baseline_stderr", "stderr", "paired", "difference", "difference_stderr", "df", "ci_low", "ci_high", "p",
         "between_seeds_sd", "single_run_stderr")
    )  # fmt: skip
    names = {"benchmark": "b", "protocol": "p", "subset": "all", "metric": str(spec.metric)}
    return ComparisonRow(
        **names, **blank, step=1, arm="a", baseline_arm="none", baseline=baseline, value=value, n=n, seeds=1, spec=spec
    )


@pytest.mark.parametrize(
    ("masculine", "expected"),
    [((0.47, 0.0), (False, True)), ((0.96, 0.5), (True, False)), ((0.94, 0.06), (False, False))],
)
def test_a_share_is_saturated_where_nearly_all_choices_are_one_form(masculine, expected):
    forms = row(replace(FORCED, metric="masculine"), baseline=masculine[0], value=masculine[1])
    found = with_saturation([row(FORCED, baseline=0.9, value=0.5), forms])
    assert [(each.baseline_saturated, each.saturated) for each in found] == [expected] * 2


def test_a_share_that_is_no_forced_choice_is_not_marked():
    forms = row(replace(FORCED, metric="masculine"), baseline=0.5, value=0.0, n=7)
    other, mostly_other, alone = (
        row(MetricSpec("b", "accuracy", unit="share"), baseline=0.9, value=0.5),
        row(FORCED, baseline=0.9, value=0.5, n=100),
        row(replace(FORCED, share_of_one_form="unknown"), baseline=0.9, value=0.5),
    )
    for unmarked in (other, mostly_other, alone):
        assert with_saturation([unmarked, forms])[0].saturated is None


def test_one_saturated_seed_marks_the_row():
    rows = [replace(row(FORCED, baseline=0.9, value=0.5), saturated=flag) for flag in (False, True, False)]
    (over_seeds,) = over_replicates([[each] for each in rows])
    assert (over_seeds.saturated, over_seeds.baseline_saturated) == (True, None)


def test_the_mark_and_the_nats_stand_in_every_row_that_is_asked_for(tmp_path):
    with_forms(made(tmp_path / "n", "none", EVEN), 0.5, nats=1.5)
    with_forms(made(tmp_path / "s", "both", {**EVEN, "1": 0.0}), 0.0, nats=0.25)
    (found,) = compare_runs(find([tmp_path]), ComparisonOptions(metrics=("pct_stereotype",)), as_given=False).rows[1:]
    assert (found.baseline_saturated, found.saturated, found.difference_nats) == (False, True, -1.25)
    assert "saturated: nearly always one form in the arm; -1.25 nats" in found.sentence
    assert found.to_json()["p_over"] == "items"


@pytest.mark.parametrize("p", [0.001, 0.5, None])
def test_every_sentence_about_a_saturated_share_says_so(p: float | None):
    marked = replace(
        row(FORCED, baseline=0.9, value=0.5), saturated=True, paired=True, difference=-0.4, p=p, difference_nats=-1.5
    )
    assert "saturated: nearly always one form in the arm; -1.5 nats" in in_words(marked)
    assert "saturated: nearly always one form in the arm" in in_words(replace(marked, difference=None, baseline=None))


def test_a_record_of_before_the_specs_named_forms_is_marked(tmp_path):
    folder = with_forms(made(tmp_path / "n", "none", EVEN), 0.0, nats=1.5)
    from bias_intervene.record import read_json, write_json

    record = read_json(folder / "record.json")
    for each in record["results"]["metrics"]:
        each |= {"benchmark": "winobias", "metric": each["metric"].replace("pct_stereotype", "stereotype_accuracy")}
    del record["results"]["specs"]
    write_json(folder / "record.json", record)
    rows = compare_runs(find([tmp_path]), ComparisonOptions(), as_given=False).rows
    assert {each.metric: each.saturated for each in rows} == {
        "stereotype_accuracy": True, "masculine_share": True, "signed_likelihood_diff": None,
    }  # fmt: skip
