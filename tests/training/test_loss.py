"""The shift and the mask, against Hugging Face's own loss."""

import pytest
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from bias_intervene.training.loss import next_token_loss


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    return GPTNeoXForCausalLM(config).eval()


def test_whole_rows_give_the_ordinary_mean(model):
    rows = torch.randint(0, 50, (3, 9))
    ours = next_token_loss(model, rows, torch.full((3,), 9))
    assert ours.item() == pytest.approx(model(input_ids=rows, labels=rows).loss.item(), abs=1e-5)


def test_padding_counts_as_nothing(model):
    rows = torch.randint(0, 50, (1, 9))
    padded = rows.clone()
    padded[0, 6:] = 0
    short = next_token_loss(model, padded, torch.tensor([6]))
    alone = next_token_loss(model, rows[:, :6], torch.tensor([6]))
    assert short.item() * 8 == pytest.approx(alone.item() * 5, abs=1e-4)
