"""Result files of lm-evaluation-harness stand beside our runs; the published ones come out as published."""

import csv
import json
from pathlib import Path

import pytest

from bias_intervene.analysis import published
from bias_intervene.analysis.comparison import compare
from bias_intervene.analysis.harness_results import read_runs
from bias_intervene.errors import RunDirectoryError

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
    (row,) = [
        r for r in compare([tmp_path / "original", tmp_path / "intervention"]).to_json()["rows"] if r["baseline_arm"]
    ]
    assert (row["arm"], row["step"], row["baseline"], row["value"]) == ("intervention", 2000, 0.6, 0.7)


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
