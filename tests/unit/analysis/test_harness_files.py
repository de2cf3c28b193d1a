"""What one result file of lm-evaluation-harness says: checkpoint, scoring, metrics; and what is no such file."""

import json
from pathlib import Path
from typing import Any

import pytest

from bias_intervene.analysis.harness_files import ResultFile, read_results, result_file
from bias_intervene.errors import RunDirectoryError

TODAY: dict[str, Any] = {
    "results": {
        "gsm8k": {
            "alias": "gsm8k", "sample_len": 1319, "exact_match,strict-match": 0.05,
            "exact_match_stderr,strict-match": 0.006, "exact_match,flexible-extract": 0.30,
            "exact_match_stderr,flexible-extract": 0.013,
        },
        "lambada_openai": {"alias": "x", "perplexity,none": 8.0, "perplexity_stderr,none": "N/A", "acc,none": 0.5},
    },
    "configs": {"gsm8k": {"num_fewshot": 5, "doc_to_text": "Q: {{question}}", "metadata": {"pretrained": "m"}}},
    "versions": {"gsm8k": 3.0, "lambada_openai": 1.0},
    "n-shot": {"gsm8k": 5, "lambada_openai": 0},
    "n-samples": {
        "gsm8k": {"original": 1319, "effective": 100}, "lambada_openai": {"original": 5153, "effective": 5153},
    },
    "config": {
        "model": "hf", "model_args": {"pretrained": "m", "revision": "step1000"}, "model_dtype": "torch.float16",
        "limit": 100.0, "fewshot_seed": 1234, "gen_kwargs": {},
    },
}  # fmt: skip


def read(path: Path, content: object) -> ResultFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    raw = read_results(path)
    assert raw is not None
    return result_file(path, raw)


def test_each_filter_is_a_metric_of_its_own(tmp_path: Path):
    found = {(row.protocol, row.metric): row for row in read(tmp_path / "a.json", TODAY).metrics}
    assert {key: (row.value, row.stderr, row.n) for key, row in found.items()} == {
        ("gsm8k", "exact_match,strict-match"): (0.05, 0.006, 100),
        ("gsm8k", "exact_match,flexible-extract"): (0.30, 0.013, 100),
        ("last_word", "perplexity"): (8.0, None, 5153),
        ("last_word", "accuracy"): (0.5, None, 5153),
    }


def test_how_a_task_was_scored(tmp_path: Path):
    file = read(tmp_path / "a.json", TODAY)
    gsm8k = file.scoring["gsm8k"]
    assert len(gsm8k.pop("task")) == 16
    assert gsm8k == {
        "shots": 5, "seed of the shots": 1234, "limit": 100.0, "n-samples": 100, "version": 3.0, "model class": "hf",
        "dtype": "torch.float16",
    }  # fmt: skip
    assert file.scoring["lambada_openai"]["shots"] == 0
    assert file.unlike_ours == {"lambada": {"limit": 100.0}}


def test_how_a_task_was_scored_in_2023(tmp_path: Path):
    config = {"model": "hf-causal", "model_args": "pretrained=m,dtype=float32", "num_fewshot": 3, "limit": None}
    content = {"results": {"arc_easy": {"acc": 0.4}}, "versions": {"arc_easy": 0}, "config": config}
    assert read(tmp_path / "a.json", content).scoring == {
        "arc_easy": {"shots": 3, "version": 0, "model class": "hf", "dtype": "float32"}
    }


@pytest.mark.parametrize(
    ("arguments", "model", "step"),
    [
        ("pretrained=EleutherAI/pythia-70m,revision=step143000", "EleutherAI/pythia-70m", 143_000),
        ("pretrained=a/OLMo,revision=stage1-step140000-tokens294B", "a/OLMo stage1", 140_000),
        ("pretrained=a/OLMo,revision=stage2-ingredient1-step7000-tokens15B", "a/OLMo stage2-ingredient1", 7_000),
        ("pretrained=a/OLMo,revision=step1000-tokens4B", "a/OLMo", 1_000),
        ("pretrained=bigscience/bloom-intermediate,revision=global_step5000", "bigscience/bloom-intermediate", 5_000),
        ("pretrained=a/SmolLM2,revision=step-125000", "a/SmolLM2", 125_000),
        ("pretrained=/runs/seed1/checkpoint-500", "/runs/seed1", 500),
        ("pretrained=/runs/seed1/checkpoint-500/", "/runs/seed1", 500),
        ("pretrained=/snapshots/pythia-70m/step1000", "/snapshots/pythia-70m", 1_000),
        ("pretrained=T/TinyLlama-1.1B-intermediate-step-480k-1T", "T/TinyLlama-1.1B-intermediate", 480_000),
        ("pretrained=google/multiberts-seed_0-step_20k", "google/multiberts-seed_0", 20_000),
        ("pretrained=EleutherAI/pythia-70m,revision=main", "EleutherAI/pythia-70m", None),
        ("pretrained=EleutherAI/pythia-70m", "EleutherAI/pythia-70m", None),
        ("pretrained=a/m,revision=with-footsteps9", "a/m with-footsteps9", None),
        ("pretrained=a/m,revision=step1000-annealed", "a/m -annealed", 1_000),
        ("pretrained=a/m,peft=/adapters/one", "a/m /adapters/one", None),
        ({"pretrained": "a/m", "revision": "step7"}, "a/m", 7),
        ({"iteration": 143_000}, "folder", 143_000),
        (None, "folder", None),
    ],
    ids=str,
)
def test_steps_in_every_published_pattern(tmp_path: Path, arguments: object, model: str, step: int | None):
    content = {"results": {}, "versions": {}, "config": {"model_args": arguments}}
    assert read(tmp_path / "folder" / "results_2024-11-26.json", content).checkpoint == (model, step)


def test_the_name_of_the_file_comes_first(tmp_path: Path):
    assert read(tmp_path / "original_step5.json", TODAY).checkpoint == ("original", 5)


WINOBIAS = {"task_name": "wino_bias_type1_pro", "prompt_name": "refers_to", "em": 0.5, "em_stderr": 0.01}


def winobias(**changed: object) -> dict[str, Any]:
    """A file of the BigScience fork with both halves of both types, asked one question."""
    names = [f"wino_bias_{kind}_{side}" for kind in ("type1", "type2") for side in ("pro", "anti")]
    return {"results": [{**WINOBIAS, "task_name": name, **changed} for name in names], "config": {}}


def test_the_standard_error_of_winobias_is_unknown_where_the_file_has_none(tmp_path: Path):
    assert {row.stderr for row in read(tmp_path / "a.json", winobias(em_stderr=None)).metrics} == {None}
    # Net bias is a difference of two means over two numbers each: sqrt(4 * 0.01^2) / 2.
    found = {row.metric: row.stderr for row in read(tmp_path / "a.json", winobias()).metrics}
    assert found == {"net_bias": pytest.approx(0.01), "accuracy": pytest.approx(0.005)}


def test_two_results_of_one_task_and_prompt_are_refused(tmp_path: Path):
    content = winobias()
    assert len(read(tmp_path / "a.json", content | {"results": content["results"] * 2}).metrics) == 2
    content["results"].append(WINOBIAS | {"em": 0.9})
    with pytest.raises(RunDirectoryError, match="wino_bias_type1_pro by refers_to twice, and unlike"):
        read(tmp_path / "a.json", content)


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ({"results": 5, "versions": {}}, "results"),
        ({"results": {"arc": 5}, "versions": {}}, r"results\.\S*arc"),
        ({"results": [5], "versions": {}}, "results"),
        ({"results": {}, "versions": []}, "versions"),
        ({"results": {}, "config": "x"}, "config"),
        ({"results": {}, "config": {"model_args": 5}}, r"config\.model_args"),
        ({"results": {}, "config": {"limit": [1]}}, r"config\.limit"),
        ({"results": {}, "configs": {"arc": 5}}, r"configs\.arc"),
        ({"results": {}, "versions": {}, "n-samples": {"arc": 5}}, r"n-samples\.arc"),
        ({"results": {}, "versions": {}, "n-shot": {"arc": None}}, r"n-shot\.arc"),
        ({"results": {"arc": {"acc": [0.5]}}, "versions": {}}, r"results\.arc\.acc"),
        ({"results": {"arc": {"acc": 0.5, "acc_stderr": {}}}, "versions": {}}, r"results\.arc\.acc_stderr"),
        ({"results": [WINOBIAS | {"em": "x"}], "config": {}}, r"results, wino_bias_type1_pro: found em 'x'"),
        ({"results": {"arc": {"acc": 10**400}}, "versions": {}}, r"results\.arc\.acc"),
        ({"results": [WINOBIAS | {"em": None}], "config": {}}, r"results, wino_bias_type1_pro: found em None"),
    ],
    ids=str,
)
def test_a_value_of_the_wrong_type_is_named(tmp_path: Path, content: object, key: str):
    with pytest.raises(RunDirectoryError, match=rf"a\.json: {key}"):
        read(tmp_path / "a.json", content)


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"results":' * 50_000, '{"results": ' + "9" * 5_000 + "}", "", "\x00"],
    ids=["deep lists", "deep objects", "long number", "empty", "no text"],
)
def test_what_cannot_be_read_as_json_is_no_result_file(tmp_path: Path, text: str):
    (tmp_path / "a.json").write_text(text)
    assert read_results(tmp_path / "a.json") is None
