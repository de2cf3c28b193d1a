"""The shift, the mask and the chunks, against Hugging Face's own loss."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from transformers import Gemma2Config, Gemma2ForCausalLM, GPTNeoXConfig, GPTNeoXForCausalLM

from bias_intervene.training.loss import IGNORED, HeadLoss, NextTokenLoss, can_be_chunked


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    return GPTNeoXForCausalLM(config).eval()


@pytest.mark.parametrize("chunked", [False, True])
def test_whole_rows_give_the_ordinary_mean(model, chunked: bool):
    rows = torch.randint(0, 50, (3, 9))
    ours = NextTokenLoss(model, chunked=chunked)(rows, torch.full((3,), 9))
    assert ours.item() == pytest.approx(model(input_ids=rows, labels=rows).loss.item(), abs=1e-5)


@pytest.mark.parametrize("chunked", [False, True])
def test_padding_counts_as_nothing(model, chunked: bool):
    loss = NextTokenLoss(model, chunked=chunked)
    rows = torch.randint(0, 50, (1, 9))
    padded = rows.clone()
    padded[0, 6:] = 0
    short = loss(padded, torch.tensor([6]))
    alone = loss(rows[:, :6], torch.tensor([6]))
    assert short.item() * 8 == pytest.approx(alone.item() * 5, abs=1e-4)


def test_chunked_and_whole_have_the_same_gradients(model):
    rows, num_tokens = torch.randint(0, 50, (4, 9)), torch.tensor([9, 9, 4, 9])
    gradients = []
    for chunked in (False, True):
        own = copy.deepcopy(model)
        loss = NextTokenLoss(own, chunked=chunked)(rows, num_tokens)
        (loss * 3).backward()
        gradients.append([parameter.grad for parameter in own.parameters()])
    for whole, apart in zip(*gradients, strict=True):
        assert torch.allclose(whole, apart, atol=1e-6)


@given(
    positions=st.integers(1, 12), chunk=st.integers(1, 13), ignored=st.sets(st.integers(0, 11)),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]), has_bias=st.booleans(),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_any_chunk_gives_the_plain_cross_entropy(positions, chunk, ignored, dtype, has_bias, seed):
    generator = torch.Generator().manual_seed(seed)

    def leaf(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=generator).to(dtype).requires_grad_()

    hidden, weight, bias = leaf(positions, 5), leaf(7, 5), leaf(7) if has_bias else None
    targets = torch.randint(0, 7, (positions,), generator=generator)
    targets[[i for i in ignored if i < positions]] = IGNORED
    leaves = [tensor for tensor in (hidden, weight, bias) if tensor is not None]
    plain = F.cross_entropy(F.linear(hidden, weight, bias).float(), targets, ignore_index=IGNORED, reduction="sum")
    expected = torch.autograd.grad(plain, leaves)
    ours = HeadLoss.apply(hidden, weight, bias, targets, chunk)
    found = torch.autograd.grad(ours, leaves)
    tolerance = 0.1 if dtype == torch.bfloat16 else 1e-5
    assert torch.allclose(ours, plain.float(), atol=tolerance)
    for theirs, mine in zip(expected, found, strict=True):
        assert mine.dtype == theirs.dtype
        assert torch.allclose(mine, theirs, atol=tolerance, rtol=tolerance)


def test_a_model_that_does_more_to_its_logits_is_found_out(model):
    """Gemma 2 caps its logits: taking its head apart would train on another loss."""
    assert can_be_chunked(model)
    capped = Gemma2ForCausalLM(
        Gemma2Config(
            vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
            head_dim=8, intermediate_size=32, final_logit_softcapping=0.05,
        )
    )  # fmt: skip
    assert not can_be_chunked(capped)
