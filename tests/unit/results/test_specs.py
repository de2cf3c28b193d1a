"""Which spec a metric is read by."""

import json

from bias_intervene.analysis.records import find, specs_of
from bias_intervene.evals.benchmarks.registry import BENCHMARKS
from bias_intervene.results import MetricKey, MetricSpec, MetricSpecs
from tests.helpers.runs import made

BIAS = MetricSpec("toy", "share", family="bias", unit="share", in_nats="log_odds")


def test_the_spec_that_says_most_is_the_one():
    specs = MetricSpecs([BIAS.at("a", "all", "toy, asked once", headline=True), BIAS, MetricSpec("toy", None)])
    assert specs.of(MetricKey("toy", "a", "all", "share")).label == "toy, asked once"
    assert specs.of(MetricKey("toy", "b", "all", "share")) == BIAS
    assert specs.of(MetricKey("toy", "b", "all", "other")) == MetricSpec("toy", None)
    assert specs.of(MetricKey("unknown", "b", "all", "other")) == MetricSpec("unknown", "other")


def test_people_read_the_manipulation_check_first_and_the_price_last():
    price = MetricSpec("p", "perplexity", family="capability").at("a", "all", "price", headline=True)
    check = MetricSpec("c", "log_odds", family="manipulation_check").at("a", "all", "check", headline=True)
    specs = MetricSpecs([price, BIAS.at("a", "all", "bias", headline=True), check])
    assert [specs.short_name(key) for key in specs.shown_first] == ["check", "bias", "price"]
    assert specs.headline("bias") == [("toy", "a", "all", "share")]
    assert specs.over_steps == specs.shown_first


def test_a_spec_survives_json():
    gap = MetricSpec("p", "gap", pairing="gap", column="odds", groups=("high", "low"))
    assert MetricSpec.from_json(json.loads(json.dumps(gap.to_json()))) == gap


def test_records_without_specs_are_read_with_those_of_their_time(tmp_path):
    """No benchmark of that time may be read otherwise now, or its old and new runs could not be compared."""
    made(tmp_path / "old", "none", {"a": 1.0})
    old = {(spec.benchmark, spec.protocol, spec.subset, spec.metric): spec for spec in specs_of(find([tmp_path]).runs)}
    now = {
        (spec.benchmark, spec.protocol, spec.subset, spec.metric): spec
        for benchmark in BENCHMARKS.values()
        for spec in benchmark.specs
    }
    assert {names: now[names] for names in old} == old
