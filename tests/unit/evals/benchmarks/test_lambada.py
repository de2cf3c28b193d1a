"""LAMBADA: its passages from both sources, its numbers by hand and against a plain forward pass."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from bias_intervene.errors import DataError
from bias_intervene.evals.benchmarks import lambada
from bias_intervene.evals.benchmarks.lambada import LambadaPassage, passage
from bias_intervene.evals.requests import Request
from bias_intervene.evals.scoring import Scorer
from bias_intervene.settings import LambadaSettings
from bias_intervene.statistics import compare_perplexity
from tests.helpers.local_hub import local_hub

TEXTS = ["He met her at the old mill", "The nurse said that she was tired", "It rained,  and the roof leaked"]


def settings(path: Path | None) -> LambadaSettings:
    return LambadaSettings(enabled=True, path=str(path) if path else None)


def test_file_and_hub_give_the_same_passages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "l.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    passages = lambada.read(settings(tmp_path / "l.jsonl"))
    assert (passages[0].context, passages[0].target) == ("He met her at the old", " mill")
    assert passages[2].context == "It rained,  and the roof"
    folder = tmp_path / "hub"
    monkeypatch.setattr(lambada, "HUB", local_hub(folder, {"default": [{"text": t} for t in TEXTS]}, "test"))
    assert lambada.read(settings(None)) == passages


def test_a_passage_has_the_same_name_in_another_file(tmp_path: Path):
    for name, texts in (("all", TEXTS), ("last", TEXTS[2:]), ("twice", TEXTS * 2)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    assert lambada.read(settings(tmp_path / "last.jsonl")) == lambada.read(settings(tmp_path / "all.jsonl"))[2:]
    with pytest.raises(DataError, match=r"twice\.jsonl: 3 of 6 items repeat an earlier one"):
        lambada.read(settings(tmp_path / "twice.jsonl"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "alone"}\n', r"passage 1: no last word after a context: 'alone'"),
        ('{"text": "ends in a space "}\n', r"no last word"),
        ('{"passage": "x y"}\n', r"line 1: no text under text; found \['passage'\]"),
        ("", "empty"),
    ],
)
def test_files_that_are_no_passages(tmp_path: Path, content: str, message: str):
    (tmp_path / "l.jsonl").write_text(content)
    with pytest.raises(DataError, match=message):
        lambada.read(settings(tmp_path / "l.jsonl"))


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"evals\.lambada\.path=.*no file"):
        lambada.read(settings(tmp_path / "absent.jsonl"))


class Given:
    """A scorer that returns what it is told."""

    def after(self, item: str, prompt: str, continuation: str) -> tuple[str, str]:
        return prompt, continuation

    def scores(self, requests: list, *, label: str) -> tuple[np.ndarray, np.ndarray]:
        assert requests[0] == ("a", " b")
        return np.array([-1.0, -3.0, -2.0, -2.0]), np.array([True, False, False, False])


def test_the_numbers_follow_on_paper():
    rows = lambada.score([LambadaPassage(str(n), "a", " b") for n in range(4)], Given())  # type: ignore[arg-type]
    found = {row.metric: row.to_json() for row in lambada.metrics(rows)}
    assert found["accuracy"]["value"] == 0.25
    assert found["log_likelihood"]["value"] == -2.0
    assert found["perplexity"]["value"] == pytest.approx(math.exp(2))
    assert found["perplexity"]["stderr"] == pytest.approx(math.exp(2) * math.sqrt(2 / 3) / 2)


def test_equal_to_a_plain_forward_pass(scorer: Scorer):
    passages = [passage(str(n), text, place="") for n, text in enumerate(TEXTS)]
    # The likeliest next token of a context is a target that greedy decoding gives.
    ids = scorer.tokenizer.encode(TEXTS[0])
    with torch.no_grad():
        likeliest = int(scorer.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
    found = lambada.score(passages, scorer)
    for one, row in zip(passages, found, strict=True):
        context = scorer.tokenizer.encode(one.context)
        both = scorer.tokenizer.encode(one.context + one.target)
        with torch.no_grad():
            logits = scorer.model(input_ids=torch.tensor([both])).logits[0].float()
        targets = torch.tensor(both[len(context) :])
        plain = logits[len(context) - 1 : -1]
        expected = plain.log_softmax(-1).gather(1, targets[:, None]).sum()
        assert row["log_likelihood"] == pytest.approx(float(expected), abs=1e-4)
        assert row["accuracy"] == float((plain.argmax(-1) == targets).all())
    requests = [Request("a", tuple(ids), (likeliest,)), Request("b", tuple(ids), (likeliest + 1,))]
    assert scorer.scores(requests, label="t")[1].tolist() == [True, False]


def test_the_difference_of_two_perplexities_agrees_with_the_bootstrap():
    draw = np.random.default_rng(0)
    baseline = draw.normal(-2, 1, 400)
    treatment = baseline - 0.1 + draw.normal(0, 0.3, 400)
    found = compare_perplexity(baseline, treatment)
    assert found.difference == pytest.approx(np.exp(-treatment.mean()) - np.exp(-baseline.mean()))
    chosen = draw.integers(0, 400, (4000, 400))
    resampled = np.exp(-treatment[chosen].mean(1)) - np.exp(-baseline[chosen].mean(1))
    low, high = np.quantile(resampled, [0.025, 0.975])
    width = high - low
    assert (found.ci_low, found.ci_high) == pytest.approx((low, high), abs=0.1 * width)
    assert found.p < 0.001
    same = compare_perplexity(baseline, baseline)
    assert same.difference == same.stderr == 0
    assert np.isnan([same.ci_low, same.ci_high, same.p]).all(), "without a spread there is nothing to test by"
