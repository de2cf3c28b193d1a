"""Result files of lm-evaluation-harness stand beside our runs; the published ones come out as published."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bias_intervene.analysis import published
from bias_intervene.analysis.comparison import Comparison, ComparisonOptions, compare
from bias_intervene.analysis.harness_results import read_runs
from bias_intervene.analysis.report import exports, terminal
from bias_intervene.analysis.report.over_steps import over_steps
from bias_intervene.errors import RunDirectoryError
from tests.helpers.runs import made

OLD = {
    "results": {
        "crows_pairs_english_gender": {
            "likelihood_difference": 3.5, "likelihood_difference_stderr": 0.2, "pct_stereotype": 0.6,
            "pct_stereotype_stderr": 0.03,
        },
        "lambada_openai": {"ppl": 10.0, "ppl_stderr": 0.3, "acc": 0.5, "acc_stderr": 0.007},
        "arc_easy": {"acc": 0.4, "acc_stderr": 0.01},
    },
    "versions": {}, "config": {"model": "gpt2", "model_args": "pretrained=EleutherAI/pythia-70m,revision=step143000"},
}  # fmt: skip
NEW = {
    "results": {
        "crows_pairs_english_gender": {
            "alias": "x", "pct_stereotype,none": 0.5, "pct_stereotype_stderr,none": 0.03,
        },
    },
    "configs": {},
    "config": {"model": "hf", "model_args": {"pretrained": "EleutherAI/pythia-70m", "revision": "step1000"}},
}  # fmt: skip


def written(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def by_name(metrics: list[dict]) -> dict[tuple, tuple]:
    return {
        (row["step"], row["benchmark"], row["protocol"], row["subset"], row["metric"]): (row["value"], row["stderr"])
        for row in metrics
    }


def test_old_and_new_files_of_one_model_are_one_run(tmp_path: Path):
    (run,) = read_runs([written(tmp_path / "a.json", OLD), written(tmp_path / "b.json", NEW)])
    assert run.arm == "EleutherAI/pythia-70m"
    assert run.steps == [1000, 143000]
    assert by_name(run.record["results"]["metrics"]) == {
        (1000, "crows_pairs", "likelihood", "gender", "pct_stereotype"): (0.5, 0.03),
        (143000, "crows_pairs", "likelihood", "gender", "pct_stereotype"): (0.6, 0.03),
        (143000, "crows_pairs", "likelihood", "gender", "likelihood_diff"): (3.5, 0.2),
        (143000, "lambada", "last_word", "all", "perplexity"): (10.0, 0.3),
        (143000, "lambada", "last_word", "all", "accuracy"): (0.5, 0.007),
        (143000, "harness", "arc_easy", "all", "acc"): (0.4, 0.01),
    }


def test_two_files_are_compared_unpaired(tmp_path: Path):
    other = json.loads(json.dumps(OLD))
    other["results"]["crows_pairs_english_gender"]["pct_stereotype"] = 0.72
    first = written(tmp_path / "original_step143000.json", OLD)
    second = written(tmp_path / "intervention_step143000.json", other)
    rows = compare([first, second]).to_json()["rows"]
    (row,) = [r for r in rows if r["metric"] == "pct_stereotype" and r["baseline_arm"]]
    assert (row["arm"], row["baseline_arm"], row["paired"]) == ("intervention", "original", False)
    assert row["difference"] == pytest.approx(0.12)
    # Two independent normal values: 0.12 / sqrt(0.03^2 + 0.03^2) = 2.83.
    assert row["p"] == pytest.approx(0.00468, abs=1e-4)
    assert row["ci_low"] == pytest.approx(0.12 - 1.96 * 0.0424264, abs=1e-4)
    assert row["sentence"].endswith("unpaired, since one side has no items; one training of each arm")


def test_two_folders_of_files_are_compared_at_the_same_step(tmp_path: Path):
    for name, shares in {"original": {1000: 0.5, 2000: 0.6, 3000: 0.9}, "intervention": {1000: 0.5, 2000: 0.7}}.items():
        for step, share in shares.items():
            results = {"crows_pairs_english_gender": {"pct_stereotype": share, "pct_stereotype_stderr": 0.03}}
            written(tmp_path / name / f"{name}_step{step}.json", {"results": results, "versions": {}})
    compared = compare([tmp_path / "original", tmp_path / "intervention"]).to_json()
    (row,) = [row for row in compared["rows"] if row["baseline_arm"]]
    assert compared["notes"] == []
    assert (row["arm"], row["step"], row["baseline"], row["value"]) == ("intervention", 2000, 0.6, 0.7)


def printed(compared: Comparison) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(terminal.comparison(compared))
    assert isinstance(console.file, io.StringIO)
    return " ".join(console.file.getvalue().split())


def test_steps_that_differ_are_said_and_the_note_does_not_call_the_rows_paired(tmp_path: Path):
    for name, step in (("a", 2000), ("b", 1000)):
        results = {"crows_pairs_english_gender": {"pct_stereotype": 0.5, "pct_stereotype_stderr": 0.03}}
        written(tmp_path / f"{name}_step{step}.json", {"results": results, "versions": {}})
    text = printed(compare([tmp_path / "a_step2000.json", tmp_path / "b_step1000.json"]))
    assert "b and a, as given, differ in the step that was scored last (1000 and 2000)" in text
    assert "Differences are unpaired where a side has no items (results of another program), 95%" in text
    ours = [made(tmp_path / arm, arm, {"x": 1.0, "y": 0.0}) for arm in ("none", "both")]
    assert "Differences are paired over items, 95%" in printed(compare(ours))


# --- files that do not belong together ------------------------------------------------------------------------


def of_today(
    name: str, *, value: float = 0.5, revision: str | None = "step1000", task: str = "arc_easy", **changed: Any
) -> dict[str, Any]:
    """A file in today's layout: one task, and how it was scored."""
    scored: dict = {"shots": 0, "limit": None, "samples": 2376, "version": 1.0, "dtype": "float32"} | changed
    arguments = {"pretrained": name, **({"revision": revision} if revision else {})}
    content = {
        "results": {task: {"acc,none": value, "acc_stderr,none": 0.01}},
        "configs": {task: {"num_fewshot": scored["shots"]}},
        "versions": {task: scored["version"]},
        "n-shot": {task: scored["shots"]},
        "n-samples": {task: {"original": 2376, "effective": scored["samples"]}},
        "config": {
            "model": "hf", "model_args": arguments, "model_dtype": scored["dtype"], "limit": scored["limit"],
        },
    }  # fmt: skip
    return content | ({"task_hashes": {task: scored["hash"]}} if scored.get("hash") else {})


DIFFERENCES = [
    ({"shots": 5}, r"shots \((5 and 0|0 and 5)\)"),
    ({"limit": 100, "samples": 100}, r"limit .*100.*n-samples .*100"),
    ({"samples": 100}, r"n-samples \((100 and 2376|2376 and 100)\)"),
    ({"version": 2.0}, r"version \((2\.0 and 1\.0|1\.0 and 2\.0)\)"),
    ({"dtype": "bfloat16"}, r"dtype \((bfloat16 and float32|float32 and bfloat16)\)"),
]


@pytest.mark.parametrize(("changed", "message"), DIFFERENCES, ids=str)
def test_files_that_were_scored_differently_are_refused(tmp_path: Path, changed: dict, message: str):
    files = [written(tmp_path / "a.json", of_today("a")), written(tmp_path / "b.json", of_today("b", **changed))]
    with pytest.raises(
        RunDirectoryError, match=rf"arc_easy \(lm-evaluation-harness\) was scored differently: .*{message}"
    ):
        compare(files)
    (row,) = [r for r in compare(files, ComparisonOptions(force=True)).to_json()["rows"] if r["baseline_arm"]]
    assert (row["difference"], row["paired"]) == (0, False)


@pytest.mark.parametrize(("changed", "message"), DIFFERENCES, ids=str)
def test_steps_of_one_model_that_were_scored_differently_are_no_trajectory(tmp_path: Path, changed: dict, message: str):
    later = of_today("a", revision="step2000", **changed)
    files = [written(tmp_path / "a.json", of_today("a")), written(tmp_path / "b.json", later)]
    with pytest.raises(RunDirectoryError, match=rf"arc_easy of a was scored differently: .*{message}"):
        read_runs(files)


def test_files_with_and_without_a_log_of_the_items_are_compared(tmp_path: Path):
    def refused(*hashes: str | None) -> bool:
        files = [
            written(tmp_path / f"{name}.json", of_today(name, hash=digest))
            for name, digest in zip("ab", hashes, strict=True)
        ]
        try:
            compare(files)
        except RunDirectoryError as error:
            return "items (one and two)" in str(error) or "items (two and one)" in str(error)
        return False

    assert not refused("one", "one")
    assert not refused("one", None)
    assert refused("one", "two")


@pytest.mark.parametrize("changed", [{"shots": 5}, {"limit": 100, "samples": 100}, {"samples": 100}], ids=str)
def test_a_file_beside_a_run_of_ours_was_scored_as_ours_are(tmp_path: Path, changed: dict):
    ours = made(tmp_path / "ours", "none", {"a": 1.0, "b": 0.0})
    task = "crows_pairs_english_gender"

    def file(**scored) -> Path:
        content = of_today("theirs", task=task, **scored)
        content["results"][task] = {"pct_stereotype,none": 0.6, "pct_stereotype_stderr,none": 0.03}
        return written(tmp_path / "theirs.json", content)

    (row,) = [r for r in compare([ours, file()]).to_json()["rows"] if r["baseline_arm"]]
    assert (row["arm"], row["n"], row["paired"]) == ("theirs", 2376, False)
    assert row["difference"] == pytest.approx(0.1)
    with pytest.raises(RunDirectoryError, match=r"crows_pairs was scored differently"):
        compare([ours, file(**changed)])


def test_metrics_with_different_filters_are_never_compared_with_each_other(tmp_path: Path):
    def filtered(name: str, **shares: float) -> Path:
        content = of_today(name)
        content["results"]["arc_easy"] = {
            f"exact_match,{answers.replace('_', '-')}": share for answers, share in shares.items()
        }
        return written(tmp_path / f"{name}.json", content)

    files = [filtered("a", strict_match=0.1, flexible_extract=0.4), filtered("b", flexible_extract=0.4)]
    (row,) = [r for r in compare(files).to_json()["rows"] if r["baseline_arm"]]
    assert (row["metric"], row["baseline"], row["value"]) == ("exact_match,flexible-extract", 0.4, 0.4)


def test_disjoint_tasks_of_one_checkpoint_are_one_run(tmp_path: Path):
    files = [
        written(tmp_path / f"{task}.json", of_today("a", task=task, value=value))
        for task, value in (("arc_easy", 0.4), ("piqa", 0.6))
    ]
    (run,) = read_runs(files)
    assert run.steps == [1000]
    assert {(row.protocol, row.value) for row in run.rows} == {("arc_easy", 0.4), ("piqa", 0.6)}


def test_an_unknown_step_is_no_step_and_joins_no_other(tmp_path: Path):
    unknown = [written(tmp_path / f"{name}.json", of_today("a", revision=None)) for name in ("one", "two")]
    other_tasks = written(tmp_path / "three.json", of_today("a", revision="main", task="piqa"))
    known = written(tmp_path / "four.json", of_today("a", revision="step1000"))
    runs = read_runs([*unknown, other_tasks, known])
    assert [run.steps for run in runs] == [[None], [None], [None], [1000]]
    assert [run.label for run in runs] == [f"a ({unknown[0]})", f"a ({unknown[1]})", f"a ({other_tasks})", "a"]
    assert {row.step for run in runs[:3] for row in run.rows} == {None}
    (only,) = read_runs(unknown[:1])
    assert (only.label, only.last, len(only.metrics(str(only.last)))) == ("a", "stepNone", 1)


def test_two_files_of_unknown_steps_are_compared_and_drawn_over_no_steps(tmp_path: Path):
    files = [
        written(tmp_path / f"{name}.json", of_today(name, task="lambada_openai", revision=None, value=value))
        for name, value in (("a", 0.4), ("b", 0.5))
    ]
    compared = compare(files)
    (row,) = [r for r in compared.to_json()["rows"] if r["baseline_arm"]]
    assert (row["step"], row["baseline"], row["value"], row["n"]) == (None, 0.4, 0.5, 2376)
    assert list(over_steps(compared)) == []
    exports.write(compared, tmp_path / "out")
    assert "lambada" in (tmp_path / "out" / "comparison.csv").read_text()


def test_bad_files(tmp_path: Path):
    with pytest.raises(RunDirectoryError, match="neither a run directory nor a result file"):
        compare([written(tmp_path / "x.json", {"a": 1})])
    (tmp_path / "half.json").write_text('{"results"')
    with pytest.raises(RunDirectoryError, match="neither a run directory nor a result file"):
        compare([tmp_path / "half.json"])
    twice = [written(tmp_path / folder / "m_step5.json", OLD) for folder in "ab"]
    with pytest.raises(RunDirectoryError, match="another file has the same model and step"):
        compare(twice)


# --- the published numbers, from files in their original layout -------------------------------------------------


def table(shared: Path, name: str) -> list[dict[str, str]]:
    with (shared / "published" / name).open() as file:
        return list(csv.DictReader(file))


def test_winobias_as_published(tmp_path: Path, shared: Path):
    lines = [line for line in table(shared, "winobias_exact_match.csv") if line["suite"] == "v1"]
    assert len(lines) > 100
    for n, line in enumerate(lines):
        results = [
            {
                "task_name": f"wino_bias_{kind}_{side}", "prompt_name": prompt, "em_stderr": 0.0,
                "em": float(line[f"{kind}_{side}_{short}"]),
            }
            for kind in ("type1", "type2")
            for side in ("pro", "anti")
            for prompt, short in (("What does p stand for", "stand"), ("refers_to", "refers"))
        ]  # fmt: skip
        config = {"model": "neox", "model_args": {"iteration": int(line["iteration"])}}
        path = written(tmp_path / str(n) / "eval_results_02-16-2023.json", {"results": results, "config": config})
        (run,) = read_runs([path])
        found = by_name(run.record["results"]["metrics"])
        step = int(line["iteration"])
        for metric, column in (("net_bias", "net_bias"), ("accuracy", "acc")):
            assert found[step, "winobias", "exact_match", "all", metric][0] == pytest.approx(
                float(line[column]), abs=1e-6
            )


def test_crows_pairs_gender_trajectories_as_published(tmp_path: Path, shared: Path):
    lines = [
        line for line in table(shared, "crows_pairs_lambada.csv")
        if line["suite"] == "v1" and line["set"] in {"baseline", "intervention"}
    ]  # fmt: skip
    for line in lines:
        results = {
            "crows_pairs_english_gender": {
                "pct_stereotype": float(line["cp_gender_pct_stereotype"]),
                "pct_stereotype_stderr": float(line["cp_gender_pct_stderr"]),
                "likelihood_difference": float(line["cp_gender_lldiff"]),
            }
        }
        name = f"{line['run_kind']}-{line['size']}_step{line['step_2M_equiv']}.json"
        written(tmp_path / name, {"results": results, "versions": {}})
    runs = {run.arm: run for run in read_runs(sorted(tmp_path.glob("*.json")))}
    assert set(runs) >= {"pythia-6.9b", "intervention-6.9b", "long-intervention-1.4b"}
    for key in [k for k in published.COLUMNS if k[0] == "crows_pairs" and k[2] == "gender"]:
        for size in ("70m", "410m", "1.4b", "6.9b"):
            wanted = published.trajectories(key, [size])
            for name, arm in (("pythia", "original"), ("intervention", "released_intervention")):
                steps = wanted[f"{size} {arm}, published"]
                found = by_name(runs[f"{name}-{size}"].record["results"]["metrics"])
                assert len(steps) >= 10
                for step, ((value, _),) in steps.items():
                    assert found[(step, *key)][0] == pytest.approx(value, abs=1e-6)


def test_the_published_changes_are_those_of_the_protocol():
    found = {
        (change.size, change.arm): (round(change.difference, 4), round(change.stderr, 4))
        for change in published.changes()
        if change.suite == "v1" and change.key == ("crows_pairs", "likelihood", "gender", "pct_stereotype")
    }
    assert found == {
        ("70m", "released_intervention"): (0.0234, 0.0092),
        ("410m", "released_intervention"): (0.0003, 0.0034),
        ("1.4b", "released_intervention"): (-0.0022, 0.0019),
        ("1.4b", "released_intervention_long"): (0.0011, 0.0012),
        ("6.9b", "released_intervention"): (0.0012, 0.0042),
    }


def test_what_was_scored_with_the_hook_on_is_left_out(shared: Path):
    mutated = [line for line in table(shared, "crows_pairs_lambada.csv") if line["eval_inputs_mutated"] == "yes"]
    assert mutated
    assert not any(value for line in mutated for value in published.values_of(line))


def test_the_package_holds_the_published_tables(shared: Path):
    facts = Path(published.__file__).parent / "facts"
    for name in ("crows_pairs_lambada.csv", "winobias_exact_match.csv"):
        assert (facts / f"published_{name}").read_bytes() == (shared / "published" / name).read_bytes()
