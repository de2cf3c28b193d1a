"""Log-likelihoods against a plain forward pass, whatever the batch."""

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from bias_intervene.errors import BiasInterveneError
from bias_intervene.evals.scoring import Request, Scorer

TEXTS = ["The nurse said that she was tired.", "It rained.", "The mechanic went home because he was late.", "a"]


def plainly(scorer: Scorer, request: Request) -> float:
    ids = torch.tensor([[*request.context_ids, *request.continuation_ids]])
    with torch.no_grad():
        log_probs = scorer.model(input_ids=ids).logits.float().log_softmax(-1)[0]
    first = len(request.context_ids)
    return sum(float(log_probs[i - 1, ids[0, i]]) for i in range(first, ids.shape[1]))


def requests(scorer: Scorer) -> list[Request]:
    return [scorer.whole(text, text) for text in TEXTS] + [scorer.after("p", "The nurse said that", " she")]


def test_equal_to_a_plain_forward_pass(scorer: Scorer):
    assert scorer.split_head
    found = scorer.log_likelihoods(requests(scorer), label="t")
    assert found == pytest.approx([plainly(scorer, r) for r in requests(scorer)], abs=1e-4)


@pytest.mark.parametrize("batch_tokens", [1, 17, 10_000])
def test_batches_change_nothing(scorer: Scorer, batch_tokens: int):
    other = Scorer(scorer.model, scorer.tokenizer, device=scorer.device, batch_tokens=batch_tokens)
    found = other.log_likelihoods(requests(scorer), label="t")
    assert np.abs(found - scorer.log_likelihoods(requests(scorer), label="t")).max() < 1e-4


def test_another_architecture(scorer: Scorer):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=1000, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, tie_word_embeddings=True,
    )  # fmt: skip
    llama = Scorer(LlamaForCausalLM(config), scorer.tokenizer, device=scorer.device, batch_tokens=64)
    found = llama.log_likelihoods(requests(scorer), label="t")
    assert found == pytest.approx([plainly(llama, r) for r in requests(scorer)], abs=1e-4)


def test_a_head_that_does_more_is_used_whole(scorer: Scorer):
    class Capped(LlamaForCausalLM):
        def forward(self, **given):
            out = super().forward(**given)
            out.logits = 3 * torch.tanh(out.logits * 5)
            return out

    config = LlamaConfig(
        vocab_size=1000, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2
    )
    capped = Scorer(Capped(config), scorer.tokenizer, device=scorer.device, batch_tokens=64)
    assert not capped.split_head
    found = capped.log_likelihoods(requests(scorer), label="t")
    assert found == pytest.approx([plainly(capped, r) for r in requests(scorer)], abs=1e-4)


def test_what_cannot_be_scored_is_named(scorer: Scorer):
    with pytest.raises(BiasInterveneError, match="empty: nothing to score"):
        scorer.log_likelihoods([scorer.whole("empty", "")], label="t")
    with pytest.raises(BiasInterveneError, match=r"long: \d+ tokens, and the model reads at most 512"):
        scorer.log_likelihoods([scorer.whole("long", "he " * 2000)], label="t")


def test_nan_is_no_result(scorer: Scorer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scorer, "logits_at", lambda ids, mask, row, position: torch.full((len(row), 1000), torch.nan))
    with pytest.raises(BiasInterveneError, match=r"4 of 4 items is not finite, first .*float32"):
        scorer.log_likelihoods([scorer.whole(t, t) for t in TEXTS], label="t")
