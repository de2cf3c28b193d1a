"""Greedy continuations against transformers' own generate, one prompt at a time."""

import pytest
import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from bias_intervene.errors import BiasInterveneError
from bias_intervene.evals.generation import continuations
from bias_intervene.evals.scoring import Scorer

PROMPTS = [
    "The nurse said that", "The mechanic", "It was cold in the", "The nurse and the driver met near the station and",
    "We saw", "The nurse lost", "The clerk said that", "The guard said that",
]  # fmt: skip


def plainly(scorer: Scorer, prompt: str, max_new_tokens: int) -> str:
    ids = torch.tensor([scorer.tokenizer.encode(prompt)])
    greedy = GenerationConfig(
        do_sample=False, max_new_tokens=max_new_tokens, eos_token_id=scorer.tokenizer.end_of_text_id, pad_token_id=0
    )
    made = scorer.model.generate(ids, generation_config=greedy, attention_mask=torch.ones_like(ids))
    new = [token for token in made[0, ids.shape[1] :].tolist() if token != scorer.tokenizer.end_of_text_id]
    return scorer.tokenizer.backend.decode(new, skip_special_tokens=False)


def llama(scorer: Scorer) -> Scorer:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=1000, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        initializer_range=0.5,
    )  # fmt: skip
    return Scorer(LlamaForCausalLM(config), scorer.tokenizer, device=scorer.device, batch_tokens=64)


@pytest.mark.parametrize("architecture", ["neox", "llama"])
@pytest.mark.parametrize("batch_tokens", [1, 40, 10_000])
def test_equal_to_generate_item_by_item(scorer: Scorer, architecture: str, batch_tokens: int):
    model = scorer if architecture == "neox" else llama(scorer)
    other = Scorer(model.model, model.tokenizer, device=model.device, batch_tokens=batch_tokens)
    found = continuations(other, PROMPTS, is_long_enough=lambda number, text: False, max_new_tokens=12, label="t")
    expected = [plainly(other, prompt, 12) for prompt in PROMPTS]
    assert found == expected
    assert len(set(expected)) > 1


def test_a_row_that_has_said_enough_leaves_the_others_as_they_were(scorer: Scorer):
    def enough(number: int, text: str) -> bool:
        return len(text) > 4 * number

    found = continuations(scorer, PROMPTS, is_long_enough=enough, max_new_tokens=12, label="t")
    for number, (text, prompt) in enumerate(zip(found, PROMPTS, strict=True)):
        whole = plainly(scorer, prompt, 12)
        assert whole.startswith(text)
        assert len(text) > 4 * number or text == whole


def test_a_prompt_that_leaves_no_room_is_refused(scorer: Scorer):
    with pytest.raises(BiasInterveneError, match=r"t: a prompt with 12 tokens after it has \d+, and .* at most 512"):
        continuations(scorer, ["he " * 900], is_long_enough=lambda n, t: True, max_new_tokens=12, label="t")
