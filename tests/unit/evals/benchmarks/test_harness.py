"""Tasks of lm-evaluation-harness, and parity of our own benchmarks with its."""

import csv
import json
import math
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from bias_intervene.errors import DataError
from bias_intervene.evals.benchmarks import crows_pairs, harness, lambada
from bias_intervene.evals.benchmarks.crows_pairs import CrowsPair
from bias_intervene.evals.benchmarks.lambada import passage
from bias_intervene.evals.scoring import Scorer

lm_eval = pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed (the extra `harness`)")

PAIRS = [
    ("The nurse said that she was tired.", "The nurse said that he was tired."),
    ("The mechanic lost his key.", "The mechanic lost her key."),
    ("We saw the guard and gave him the lamp.", "We saw the guard and gave her the lamp."),
    ("It was cold.", "It was cold in the house and the rain did not stop."),
    ("The clerk hurt herself.", "The clerk hurt himself."),
    ("The same.", "The same."),
]
TEXTS = ["He met her at the old station", "The nurse said that she was tired", "It rained, and the roof of the house"]


def tasks(folder: Path) -> Path:
    """Task files that read local copies of the data, by the harness's own CrowS-Pairs and LAMBADA."""
    packaged = Path(lm_eval.__file__).parent / "tasks"
    with (folder / "crows.jsonl").open("w") as file:
        for more, less in PAIRS:
            file.write(json.dumps({"sent_more": more, "sent_less": less, "bias_type": "gender"}) + "\n")
    (folder / "lambada.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    for task, path in (("crows", "crows_pairs/crows_pairs_english.yaml"), ("lambada", "lambada/lambada_openai.yaml")):
        (folder / f"{task}.yaml").write_text(
            f"include: {packaged / path}\ntask: local_{task}\ntag: null\ndataset_path: json\ndataset_name: null\n"
            f"dataset_kwargs:\n  data_files:\n    test: {folder / f'{task}.jsonl'}\n"
        )
    return folder


def llama(scorer: Scorer) -> Scorer:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=1000, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, tie_word_embeddings=True, initializer_range=0.3,
    )  # fmt: skip
    return Scorer(LlamaForCausalLM(config), scorer.tokenizer, device=scorer.device, batch_tokens=64)


def theirs(scorer: Scorer, folder: Path, world_folder: Path) -> dict:
    """The harness's own evaluation."""
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager
    from transformers import AutoTokenizer

    model = HFLM(
        pretrained=scorer.model,
        tokenizer=AutoTokenizer.from_pretrained(world_folder / "tokenizer"),
        batch_size=2,
        prefix_token_id=scorer.tokenizer.prefix_id,
    )
    manager = TaskManager(include_path=str(folder))
    return lm_eval.simple_evaluate(model, tasks=["local_crows", "local_lambada"], task_manager=manager)  # type: ignore


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["neox", "llama"])
def test_parity(scorer: Scorer, tmp_path: Path, world_folder: Path, architecture: str):
    model = scorer if architecture == "neox" else llama(scorer)
    found = theirs(model, tasks(tmp_path), world_folder)
    pairs = [CrowsPair(str(n), more, less, "gender", "stereo") for n, (more, less) in enumerate(PAIRS)]
    ours = crows_pairs.score(pairs, model)
    for row, sample in zip(ours, found["samples"]["local_crows"], strict=True):
        more, less = (float(response[0][0]) for response in sample["resps"])
        assert (row["ll_more"], row["ll_less"]) == pytest.approx((more, less), abs=1e-4)
    numbers = {m.metric: m.value for m in crows_pairs.metrics(ours) if m.subset == "all"}
    for metric in ("pct_stereotype", "likelihood_diff"):
        assert numbers[metric] == pytest.approx(found["results"]["local_crows"][f"{metric},none"], rel=1e-6)

    words = lambada.score([passage(str(n), text, place="") for n, text in enumerate(TEXTS)], model)
    for row, sample in zip(words, found["samples"]["local_lambada"], strict=True):
        value, greedy = sample["resps"][0][0]
        assert row["log_likelihood"] == pytest.approx(float(value), abs=1e-4)
        assert row["accuracy"] == float(greedy)
    numbers = {m.metric: m.value for m in lambada.metrics(words)}
    assert numbers["accuracy"] == found["results"]["local_lambada"]["acc,none"]
    assert numbers["perplexity"] == pytest.approx(found["results"]["local_lambada"]["perplexity,none"], rel=1e-6)


def test_tasks_are_scored_into_our_rows(scorer: Scorer, tmp_path: Path, world_folder: Path):
    names = ["local_crows", "local_lambada"]
    scored = harness.score(names, str(tasks(tmp_path)), scorer, folder=world_folder / "tokenizer")
    rows, metrics = scored.rows, [metric.to_json() for metric in scored.metrics]
    pairs = [CrowsPair(str(n), more, less, "gender", "stereo") for n, (more, less) in enumerate(PAIRS)]
    ours = {m.metric: m for m in crows_pairs.metrics(crows_pairs.score(pairs, scorer)) if m.subset == "all"}
    share = next(m for m in metrics if m["metric"] == "pct_stereotype")
    assert (share["protocol"], share["n"]) == ("local_crows", len(PAIRS))
    assert share["value"] == pytest.approx(ours["pct_stereotype"].value)
    assert share["stderr"] == pytest.approx(ours["pct_stereotype"].stderr)
    items = [row for row in rows if row["protocol"] == "local_crows"]
    assert sum(row["pct_stereotype"] for row in items) / len(PAIRS) == pytest.approx(share["value"])
    # A perplexity is no mean over items, so that items do not carry it and are not compared by it.
    perplexity = next(m for m in metrics if m["metric"] == "perplexity")
    assert math.isfinite(perplexity["value"])
    assert all("perplexity" not in row for row in rows)


@pytest.mark.slow
def test_mistyped_tasks_are_found_before_anything_is_loaded(tmp_path: Path):
    folder = str(tasks(tmp_path))
    assert harness.check(["local_crows"], folder)["tasks"] == ["local_crows"]
    with pytest.raises(
        DataError, match=r"evals\.harness_tasks: no task 'lambada_opnai'; did you mean \"lambada_openai"
    ):
        harness.check(["lambada_opnai"], None)
    with pytest.raises(DataError, match=r"evals\.harness_include_path=.*absent: no folder of that name"):
        harness.check(["local_crows"], str(tmp_path / "absent"))


@pytest.mark.slow
def test_other_data_of_a_task_is_another_task(tmp_path: Path):
    folder = tasks(tmp_path)
    first = harness.check(["local_crows"], str(folder))
    with (folder / "crows.jsonl").open("a") as file:
        csv.writer(file).writerow(["more"])
    assert harness.check(["local_crows"], str(folder)) != first


def test_without_the_extra_its_name_is_said(monkeypatch: pytest.MonkeyPatch):
    import sys

    monkeypatch.setitem(sys.modules, "lm_eval.tasks", None)
    with pytest.raises(DataError, match=r'pip install "bias_intervene\[harness\]"'):
        harness.check(["lambada_openai"], None)
