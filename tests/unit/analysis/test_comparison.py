"""Which runs and items belong together."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bias_intervene import compare
from bias_intervene.analysis.comparison import ComparisonOptions, compare_runs
from bias_intervene.analysis.records import find
from bias_intervene.analysis.report.over_steps import over_steps
from bias_intervene.errors import RunDirectoryError
from bias_intervene.record import write_json
from tests.helpers.runs import made


def rows_of(folder: Path, **options) -> list[dict]:
    """The rows of everything below a folder, as comparison.json has them."""
    return compare_runs(find([folder]), ComparisonOptions(**options), as_given=False).to_json()["rows"]


def test_an_arm_meets_the_control_of_its_own_seed(tmp_path: Path):
    for seed in (1, 2):
        made(tmp_path / f"n{seed}", "none", {"a": 1.0, "b": 0.0, "c": 1.0}, seed=seed)
        made(tmp_path / f"s{seed}", "masculine_to_feminine", {"c": 0.0, "b": 0.0, "a": seed - 1.0}, seed=seed)
    rows = [r for r in rows_of(tmp_path) if r["difference"] is not None]
    assert [(r["arm"], r["baseline_arm"]) for r in rows] == [("masculine_to_feminine", "none")]
    (row,) = rows
    # -2/3 of the first seed, -1/3 of the second: their mean, Student's interval with one degree of freedom.
    assert row["difference"] == pytest.approx(-1 / 2)
    assert (row["seeds"], row["n"]) == (2, 3)
    sd = abs(-2 / 3 + 1 / 3) / 2**0.5
    assert row["between_seeds_sd"] == pytest.approx(sd)
    assert row["ci_high"] == pytest.approx(-1 / 2 + 12.706 * sd / 2**0.5, abs=1e-3)


def test_one_control_serves_every_dose(tmp_path: Path):
    made(tmp_path / "n", "none", {"a": 1.0, "b": 0.0})
    for dose in (0.5, 1.0):
        made(tmp_path / f"s{dose}", "both", {"a": 0.0, "b": 0.0}, probability=dose)
    rows = rows_of(tmp_path)
    assert [r["arm"] for r in rows if r["difference"] is not None] == [
        "both probability=0.5", "both probability=1.0",
    ]  # fmt: skip
    # A probability says nothing of a control, unless there is one for each.
    assert {r["baseline_arm"] for r in rows if r["difference"] is not None} == {"none"}
    made(tmp_path / "m", "none", {"a": 1.0, "b": 0.0}, probability=0.5)
    assert {run.label for run in find([tmp_path]).runs if run.arm == "none"} == {
        "none probability=0.5", "none probability=1.0",
    }  # fmt: skip


def test_items_are_paired_by_identity(tmp_path: Path):
    made(tmp_path / "n", "none", {"a": 1.0, "b": 0.0, "x": 1.0})
    made(tmp_path / "s", "masculine_to_feminine", {"b": 0.0, "y": 1.0, "a": 1.0})
    rows = rows_of(tmp_path)
    (row,) = [r for r in rows if r["difference"] is not None]
    assert (row["n"], row["difference"]) == (2, 0.0)


def test_two_directories_are_compared_as_given(tmp_path: Path, capsys):
    first = made(tmp_path / "first", "masculine_to_feminine", {"a": 1.0, "b": 1.0})
    second = made(tmp_path / "second", "none", {"a": 0.0, "b": 1.0})
    assert compare.main([str(first), str(second), "--json"]) == 0
    (row,) = [r for r in json.loads(capsys.readouterr().out)["rows"] if r["difference"] is not None]
    assert (row["arm"], row["baseline_arm"], row["difference"]) == ("none", "masculine_to_feminine", -0.5)


def test_every_arm_meets_its_base(tmp_path: Path):
    made(tmp_path / "n", "none", {"a": 1.0, "b": 1.0}, base={"a": 0.0, "b": 1.0})
    (row,) = rows_of(tmp_path)
    assert (row["baseline_arm"], row["difference"], row["step"]) == ("base", 0.5, 20)


def test_the_published_last_checkpoint_is_a_baseline_too(tmp_path: Path):
    folder = made(tmp_path / "n", "none", {"a": 1.0, "b": 1.0})
    record = json.loads((folder / "record.json").read_text())
    record["results"]["published"] = [{**record["results"]["metrics"][0], "value": 0.5}]
    write_json(folder / "record.json", record)
    path = folder / "evals" / "published_step20" / "crows_pairs.parquet"
    path.parent.mkdir()
    rows = pq.read_table(folder / "evals" / "step20" / "crows_pairs.parquet").to_pylist()
    pq.write_table(pa.Table.from_pylist([rows[0] | {"pct_stereotype": 0.0}, rows[1]]), path)
    found = rows_of(folder)
    assert [(r["baseline_arm"], r["baseline"], r["difference"]) for r in found] == [("published", 0.5, 0.5)]


def test_runs_scored_on_other_items_are_not_compared(tmp_path: Path):
    made(tmp_path / "n", "none", {"a": 1.0})
    made(tmp_path / "s", "masculine_to_feminine", {"a": 1.0}, items="other")
    with pytest.raises(
        RunDirectoryError, match=r"crows_pairs was scored differently: items \(other and same\).*--force"
    ):
        rows_of(tmp_path)


def test_what_was_scored_differently_is_compared_when_told_to(tmp_path: Path):
    made(tmp_path / "n", "none", {"a": 1.0, "b": 1.0})
    made(tmp_path / "s", "masculine_to_feminine", {"a": 1.0, "b": 0.0}, items="other")
    (row,) = [r for r in rows_of(tmp_path, force=True) if r["difference"] is not None]
    assert row["difference"] == -0.5


def test_a_seed_without_a_control_is_no_pair(tmp_path: Path):
    made(tmp_path / "n1", "none", {"a": 1.0, "b": 1.0}, seed=1)
    for seed in (1, 2):
        made(tmp_path / f"s{seed}", "both", {"a": 0.0, "b": 1.0}, seed=seed)
    (row,) = [r for r in rows_of(tmp_path) if r["difference"] is not None]
    assert (row["seeds"], row["difference"]) == (1, -0.5)


def test_another_arm_as_the_baseline_and_metrics_by_name(tmp_path: Path, capsys):
    made(tmp_path / "n", "none", {"a": 1.0, "b": 1.0})
    made(tmp_path / "s", "both", {"a": 0.0, "b": 1.0})
    (row,) = [r for r in rows_of(tmp_path, baseline="both", metrics=("pct_stereotype",)) if r["difference"]]
    assert (row["arm"], row["baseline_arm"], row["difference"]) == ("none", "both", 0.5)
    assert compare.main([str(tmp_path), "--baseline", "bth"]) == 1
    assert '--baseline bth: no run of that arm; did you mean "both"?' in capsys.readouterr().err
    assert compare.main([str(tmp_path), "--metric", "pct_stereo"]) == 1
    assert '--metric pct_stereo: no run has it; did you mean "pct_stereotype"?' in capsys.readouterr().err
    assert compare.main([str(tmp_path), "--by", "sed"]) == 1
    assert "--by sed: no run has such a setting" in capsys.readouterr().err


def test_every_row_says_what_it_means(tmp_path: Path, capsys):
    items = {str(n): float(n % 2) for n in range(40)}
    made(tmp_path / "n", "none", items)
    made(tmp_path / "s", "both", {**items, "0": 1.0})
    made(tmp_path / "t", "neutral", dict.fromkeys(items, 0.0))
    rows = {row["arm"]: row for row in rows_of(tmp_path) if row["difference"] is not None}
    # One item of 40 changed: 6 must gain before McNemar's test can be significant.
    assert (rows["both"]["p"], rows["both"]["discordant"]) == (1.0, 1)
    assert rows["both"]["sentence"] == (
        "no difference detected; this design sees 19.0 points with 80% power; one training of each arm"
    )
    # Two tests in the family: the smaller p is doubled.
    assert rows["neutral"]["p_holm"] == pytest.approx(2 * rows["neutral"]["p"])
    assert rows["neutral"]["sentence"].startswith(
        "lower by 50.0 points [-64.8 points, -27.6 points], p <.001 after Holm"
    )
    assert compare.main([str(tmp_path), "--output", str(tmp_path / "out"), "--latex"]) == 0
    out = capsys.readouterr().out
    assert r"CrowS gender stereo \% & 50.0 & 52.5 &" in out
    lines = (tmp_path / "out" / "comparison.csv").read_text().splitlines()
    assert len(lines) == 1 + len(rows_of(tmp_path))
    assert compare.main([str(tmp_path), "--by", "seed"]) == 0
    assert "seed=1" in capsys.readouterr().out


def test_a_half_written_record_is_named(tmp_path: Path, capsys):
    folder = made(tmp_path / "n", "none", {"a": 1.0})
    whole = (folder / "record.json").read_text()
    (folder / "record.json").write_text(whole[: len(whole) // 2])
    assert compare.main([str(tmp_path)]) == 1
    assert "record.json: not JSON" in capsys.readouterr().err
    write_json(folder / "record.json", {"schema": 2, "arm": "none"})
    assert compare.main([str(tmp_path)]) == 1
    assert "no settings, plan, results, fingerprints in it" in capsys.readouterr().err
    (folder / "record.json").write_text(whole)
    (folder / "evals" / "step20" / "crows_pairs.parquet").write_bytes(b"PAR1 cut")
    made(tmp_path / "s", "both", {"a": 1.0})
    assert compare.main([str(tmp_path)]) == 1
    assert "crows_pairs.parquet: no items of ours" in capsys.readouterr().err


def test_what_cannot_be_compared_is_said(tmp_path: Path, capsys):
    assert compare.main([str(tmp_path)]) == 1
    assert "no complete run (record.json) below" in capsys.readouterr().err
    assert compare.main([str(tmp_path / "absent")]) == 1
    assert "no such directory" in capsys.readouterr().err
    (tmp_path / "half").mkdir()
    write_json(tmp_path / "half" / "settings.json", {})
    assert compare.main([str(tmp_path)]) == 1
    assert "1 unfinished" in capsys.readouterr().err
    write_json(tmp_path / "half" / "record.json", {"schema": 99})
    assert compare.main([str(tmp_path)]) == 1
    assert "schema 99; this version reads schema 2" in capsys.readouterr().err


def test_unfinished_runs_are_listed(tmp_path: Path, capsys):
    made(tmp_path / "n", "none", {"a": 1.0, "b": 0.0})
    (tmp_path / "half").mkdir()
    write_json(tmp_path / "half" / "settings.json", {})
    assert compare.main([str(tmp_path), "--output", str(tmp_path / "out")]) == 0
    assert "Unfinished" in capsys.readouterr().out
    assert "pct_stereotype" in (tmp_path / "out" / "comparison.md").read_text()


def test_a_difference_that_holms_correction_takes_is_not_called_undetected(tmp_path: Path):
    items = {str(n): float(n % 2) for n in range(24)}
    lost = items | {str(n): 0.0 for n in range(1, 14, 2)}
    made(tmp_path / "n", "none", items)
    for arm in ("both", "neutral", "feminine_to_masculine", "retokenize"):
        made(tmp_path / arm, arm, lost if arm == "both" else items)
    (row,) = [r for r in rows_of(tmp_path) if r["arm"] == "both" and r["difference"]]
    # McNemar: 7 of 7 changes one way, 2 / 2^7; four tests.
    assert (row["p"], row["p_holm"]) == (pytest.approx(2 / 128), pytest.approx(8 / 128))
    assert row["sentence"] == "no difference that outlasts Holm's correction (p 0.016 alone; one training of each arm)"


def test_checkpoints_with_equal_weights_are_said_and_make_no_trend(tmp_path: Path, capsys):
    """As two revisions of a mirror that hold the same files."""
    folder = made(tmp_path / "n", "none", {"a": 1.0, "b": 1.0}, base={"a": 1.0, "b": 1.0})
    record = json.loads((folder / "record.json").read_text())
    record["fingerprints"]["evaluated_weights"] = {"step10": "w", "step20": "w"}
    write_json(folder / "record.json", record)
    (row,) = rows_of(tmp_path)
    assert (row["baseline_arm"], row["difference"], row["value"]) == (None, None, 1.0)
    said = "none: step10, step20 have the same weights, so they are one checkpoint under several names"
    compared = compare_runs(find([tmp_path]), ComparisonOptions(), as_given=False)
    assert compared.notes[0].startswith(said)
    assert list(over_steps(compared)) == []
    assert compare.main([str(tmp_path), "--output", str(tmp_path / "out")]) == 0
    assert said in " ".join(capsys.readouterr().out.split())
    assert said in (tmp_path / "out" / "report.html").read_text()
    assert said in (tmp_path / "out" / "comparison.json").read_text()
    # With other weights at each step there is a difference to the base, and a line.
    record["fingerprints"]["evaluated_weights"] = {"step10": "v", "step20": "w"}
    write_json(folder / "record.json", record)
    compared = compare_runs(find([tmp_path]), ComparisonOptions(), as_given=False)
    assert [row.baseline_arm for row in compared.rows] == ["base"]
    assert compared.notes == []
    assert len(list(over_steps(compared))) == 1


def test_a_value_that_is_not_finite_is_null_in_every_file_and_has_no_difference(tmp_path: Path, capsys):
    items = {str(number): float(number % 2) for number in range(8)}
    made(tmp_path / "n", "none", items)
    for seed, value in ((1, float("nan")), (2, float("inf")), (3, 0.5)):
        made(tmp_path / f"s{seed}", "both", items, seed=seed)
        made(tmp_path / f"n{seed}", "none", items, seed=seed) if seed > 1 else None
        record = json.loads((tmp_path / f"s{seed}" / "record.json").read_text())
        record["results"]["metrics"][0] |= {"value": value, "stderr": value}
        # As this version writes it, and as earlier ones did.
        if seed == 1:
            write_json(tmp_path / f"s{seed}" / "record.json", record)
        else:
            (tmp_path / f"s{seed}" / "record.json").write_text(json.dumps(record))
    assert compare.main([str(tmp_path), "--output", str(tmp_path / "out"), "--json"]) == 0

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    printed = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert printed == json.loads((tmp_path / "out" / "comparison.json").read_text(), parse_constant=refuse)
    (row,) = [row for row in printed["rows"] if row["arm"] == "both"]
    assert (row["seeds"], row["value"], row["difference"], row["p"], row["baseline"]) == (3, None, None, None, 0.5)
    assert row["sentence"] == "no difference can be stated: one of the values is not a finite number"
    for name in ("comparison.csv", "comparison.md", "comparison.tex"):
        assert not re.search(r"\b(nan|inf)\b", (tmp_path / "out" / name).read_text(), re.IGNORECASE), name
    assert compare.main([str(tmp_path)]) == 0
    assert not re.search(r"\b(nan|inf)\b", capsys.readouterr().out, re.IGNORECASE)


def test_an_output_that_cannot_be_written_is_named(tmp_path: Path, capsys):
    made(tmp_path / "n", "none", {"a": 1.0, "b": 0.0})
    (tmp_path / "file").write_text("")
    for place in ("file", "file/below"):
        assert compare.main([str(tmp_path / "n"), "--output", str(tmp_path / place)]) == 1
        assert f"{tmp_path}/file" in capsys.readouterr().err


def the_sentence_of(folder: Path) -> str:
    """The sentence of the one difference below a folder."""
    (row,) = [r for r in rows_of(folder) if r["difference"] is not None]
    return row["sentence"]


def test_seeds_that_gave_the_same_difference_have_no_test(tmp_path: Path):
    """Each seed a net +1 of 320 items, another item each time."""
    for seed in (1, 2, 3):
        items = {str(n): float(n < 150 + 17 * seed) for n in range(320)}
        made(tmp_path / f"n{seed}", "none", items, seed=seed)
        made(tmp_path / f"s{seed}", "both", items | {str(319 - seed): 1.0}, seed=seed)
    (row,) = [r for r in rows_of(tmp_path) if r["difference"] is not None]
    assert (row["difference"], row["seeds"]) == (pytest.approx(1 / 320), 3)
    assert (row["difference_stderr"], row["between_seeds_sd"]) == (0.0, 0.0)
    without_test = ("ci_low", "ci_high", "p", "p_holm", "df", "minimum_detectable_effect")
    assert [row[name] for name in without_test] == [None] * 6
    assert row["sentence"] == "the seeds gave the same difference, 0.3 points: no spread to test it by"


@pytest.mark.parametrize(
    ("control", "arm", "sentence"),
    [
        ([0.0] * 5, [1.0] * 5, "no difference detected; with 5 items this test can detect none"),
        ([1.0] * 9, [1.0] * 9, "no difference: every item is the same; this design sees 73.2 points with 80% power"),
        ([0.3, 0.7], [0.4, 0.8], "every item differs by the same, 10.0 points: no spread to test it by"),
        ([0.3, 0.7], [0.3, 0.7], "no difference: every item is the same"),
        ([0.3], [0.7], "too little to say whether there is a difference"),
    ],
)  # fmt: skip
def test_a_sentence_says_what_was_found(control: list[float], arm: list[float], sentence: str, tmp_path: Path):
    made(tmp_path / "n", "none", {str(n): value for n, value in enumerate(control)})
    made(tmp_path / "s", "both", {str(n): value for n, value in enumerate(arm)})
    assert the_sentence_of(tmp_path) == f"{sentence}; one training of each arm"
