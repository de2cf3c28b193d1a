"""What was claimed before the runs is tested, and everything else is called explored."""

import json
from pathlib import Path

import pytest
import scipy

from bias_intervene import compare
from bias_intervene.analysis.claims import ClaimTest, label
from bias_intervene.analysis.comparison import ComparisonOptions, compare_runs
from bias_intervene.analysis.records import find
from bias_intervene.errors import RunDirectoryError
from bias_intervene.record import fingerprint, read_json, write_json
from bias_intervene.results import ComparisonRow, MetricSpec
from bias_intervene.settings import Claim
from tests.helpers.runs import made

EVEN = {str(number): float(number % 2) for number in range(40)}
LOST = EVEN | {str(number): 0.0 for number in range(1, 21, 2)}
STEREO = "crows_pairs/likelihood/gender/pct_stereotype"


def row(
    metric: str, *, difference: float, stderr: float, df: float | None, p: float, baseline: str = "none"
) -> ComparisonRow:
    names = {"benchmark": "b", "protocol": "p", "subset": "all", "metric": metric}
    blank = dict.fromkeys(("baseline_stderr", "stderr", "ci_low", "ci_high", "between_seeds_sd", "single_run_stderr"))
    return ComparisonRow(
        **names, **blank, step=1, arm="a", baseline_arm=baseline, baseline=0.0, value=difference, n=9, paired=True,
        difference=difference, difference_stderr=stderr, df=df, p=p, seeds=1, spec=MetricSpec("b", metric, unit="nats"),
    )  # fmt: skip


def test_of(claim: Claim, **values) -> ClaimTest:
    """The one test of a claim about one row."""
    (found,) = label([row("gap", **values)], [claim], chosen=()).tests
    return found


test_of.__test__ = False  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("direction", "margin", "p", "shown"),
    [
        ("lower", None, 0.01, True),
        # The row's own p is small, but the difference has the other sign.
        ("higher", None, 0.01, False),
        # -2.0 with standard error 0.5 and 10 degrees of freedom: 2 standard errors beyond -1, 1 beyond -1.5.
        ("lower", 1.0, 2 * scipy.stats.t.sf(2, 10), False),
        ("lower", 0.5, 2 * scipy.stats.t.sf(3, 10), True),
        ("higher", 0.5, 1.0, False),
        # Within 3: 2 standard errors from the nearer bound, one-sided. Within 2.5: one.
        ("equal", 3.0, scipy.stats.t.sf(2, 10), True),
        ("equal", 2.5, scipy.stats.t.sf(1, 10), False),
    ],
)
def test_a_claim_is_tested_in_its_direction_and_against_its_margin(direction, margin, p, shown):
    claim = Claim(metric="b/p/all/gap", direction=direction, margin=margin)
    found = test_of(claim, difference=-2.0, stderr=0.5, df=10, p=0.01)
    assert (found.p, found.shown) == (pytest.approx(p), shown)


def test_equality_is_not_shown_by_a_difference_that_is_not_found():
    claim = Claim(metric="b/p/all/gap", direction="equal", margin=0.5)
    assert test_of(claim, difference=0.1, stderr=1.0, df=10, p=0.9).shown is False
    # Models whose items are all the same are equal.
    assert test_of(claim, difference=0.0, stderr=0.0, df=10, p=1.0).shown is True


def test_holms_correction_covers_the_claims_and_nothing_else():
    rows = [
        row("one", difference=-1.0, stderr=0.1, df=None, p=0.01),
        row("two", difference=-1.0, stderr=0.1, df=None, p=0.03),
        row("other", difference=-1.0, stderr=0.1, df=None, p=0.04),
        row("one", difference=-1.0, stderr=0.1, df=None, p=0.02, baseline="base"),
    ]
    claims = [Claim(metric=f"b/*/{name}", direction="lower") for name in ("one", "two")]
    labelled, tests = label(rows, claims, chosen=())
    assert [(each.origin, each.p_holm) for each in labelled] == [
        ("claimed", pytest.approx(0.02)), ("claimed", pytest.approx(0.03)), ("explored", None), ("explored", None),
    ]  # fmt: skip
    assert [(each.metric, each.p_holm) for each in tests] == [
        ("b/p/all/one", pytest.approx(0.02)), ("b/p/all/two", pytest.approx(0.03)),
    ]  # fmt: skip


def test_without_claims_only_what_was_chosen_is_labelled():
    rows = [row("one", difference=-1.0, stderr=0.1, df=None, p=0.01)]
    assert label(rows, [], chosen=()).rows[0].origin is None
    assert label(rows, [], chosen=["one"]).rows[0].origin == "chosen at comparison time"


def test_a_claim_about_nothing_that_was_scored_is_said():
    claim = Claim(metric="b/p/all/absent", direction="lower")
    (found,) = label([row("one", difference=-1.0, stderr=0.1, df=None, p=0.01)], [claim], chosen=()).tests
    assert found.sentence == "claimed: b/p/all/absent lower: not tested, no arm with a control has this metric"


def claiming(folder: Path, *claims: dict) -> Path:
    """A run, its claims recorded."""
    record = read_json(folder / "record.json")
    record["settings"]["claims"] = list(claims)
    record["fingerprints"]["claims"] = fingerprint(list(claims))
    write_json(folder / "record.json", record)
    return folder


LOWER = {"metric": STEREO, "direction": "lower", "margin": None}


def test_the_report_sets_claimed_from_explored(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    claiming(made(tmp_path / "n", "none", EVEN), LOWER)
    claiming(made(tmp_path / "s", "both", LOST, base=EVEN), LOWER)
    assert compare.main([str(tmp_path), "--output", str(tmp_path / "out"), "--json"]) == 0
    out = json.loads(capsys.readouterr().out)
    (claim,) = out["claims"]
    assert (claim["claim"], claim["shown"], claim["arm"]) == (f"{STEREO} lower", True, "both")
    assert {each["baseline_arm"]: each["origin"] for each in out["rows"]} == {
        "base": "explored", "none": "claimed", None: "explored",
    }  # fmt: skip
    sentence = f"claimed: {STEREO} lower: shown for both"
    assert sentence in (tmp_path / "out" / "report.html").read_text()
    assert r"\emph{claimed before the runs}" in (tmp_path / "out" / "comparison.tex").read_text()
    for name in ("comparison.md", "comparison.csv"):
        text = (tmp_path / "out" / name).read_text()
        assert "claimed" in text
        assert "explored" in text
    assert compare.main([str(tmp_path)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert sentence in printed
    assert "Holm's over the claims that were stated before the runs." in printed


def test_a_metric_that_is_chosen_later_does_not_shrink_the_claims(tmp_path: Path):
    claims = [LOWER, LOWER | {"metric": "crows_pairs/likelihood/gender/other"}]
    for name, values in (("none", EVEN), ("both", LOST)):
        folder = claiming(made(tmp_path / name, name, values), *claims)
        record = read_json(folder / "record.json")
        record["results"]["metrics"].append(record["results"]["metrics"][0] | {"metric": "other"})
        record["results"]["specs"] = [{"benchmark": "crows_pairs", "metric": None, "column": "pct_stereotype"}]
        write_json(folder / "record.json", record)
    compared = compare_runs(find([tmp_path]), ComparisonOptions(metrics=("pct_stereotype",)), as_given=False)
    (shown,) = [each for each in compared.rows if each.difference is not None]
    assert shown.origin == "claimed"
    assert shown.p_holm == pytest.approx(2 * (shown.p or 0))


def test_claims_that_were_changed_between_runs_are_refused(tmp_path: Path):
    first = claiming(made(tmp_path / "n", "none", EVEN), LOWER)
    claiming(made(tmp_path / "s", "both", LOST), LOWER | {"direction": "higher"})
    with pytest.raises(RunDirectoryError, match=rf"other claims, {STEREO} higher and {STEREO} lower"):
        compare_runs(find([tmp_path]), ComparisonOptions(), as_given=False)
    record = read_json(first / "record.json")
    record["settings"]["claims"] = []
    write_json(first / "record.json", record)
    with pytest.raises(RunDirectoryError, match="its claims are not the ones that it was started with"):
        compare_runs(find([first]), ComparisonOptions(), as_given=False)
