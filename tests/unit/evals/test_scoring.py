"""Log-likelihoods against a plain forward pass, whatever the batch."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from bias_intervene.errors import BiasInterveneError
from bias_intervene.evals import scoring
from bias_intervene.evals.ranks import Ranks
from bias_intervene.evals.requests import Request, first_with_same_beginning, passes
from bias_intervene.evals.scoring import Scorer

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


def test_what_is_too_long_can_be_cut_and_is_counted(scorer: Scorer):
    cutting = Scorer(
        scorer.model, scorer.tokenizer, device=scorer.device, batch_tokens=64, too_long="truncate"
    )  # fmt: skip
    long = cutting.after("long", "he " * 600 + "The nurse said that", " she")
    (value,) = cutting.log_likelihoods([long], label="t")
    kept = Request("kept", long.context_ids[-512:], long.continuation_ids)
    assert value == pytest.approx(plainly(scorer, kept), abs=1e-4)
    assert cutting.num_truncated == {"t": 1}
    with pytest.raises(BiasInterveneError, match="what is scored alone is longer"):
        cutting.log_likelihoods([cutting.whole("long", "he " * 2000)], label="t")
    with pytest.raises(BiasInterveneError, match=r"evals\.too_long=truncate leaves out the beginning"):
        scorer.log_likelihoods([long], label="t")


def test_nan_is_no_result(scorer: Scorer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        scorer, "logits", lambda inputs, rows, positions: [(0, torch.full((len(rows), 1000), torch.nan))]
    )
    with pytest.raises(BiasInterveneError, match=r"4 of 4 items is not finite, first .*float32"):
        scorer.log_likelihoods([scorer.whole(t, t) for t in TEXTS], label="t")


# --- what is left out ------------------------------------------------------------------------------------------

tokens = st.integers(1, 3)
sequences = st.lists(tokens, min_size=1, max_size=6).map(tuple)


@given(st.lists(st.tuples(sequences, sequences), max_size=12))
def test_every_request_is_read_off_one_pass(pairs: list[tuple[tuple[int, ...], tuple[int, ...]]]):
    asked = [Request(str(n), context, continuation) for n, (context, continuation) in enumerate(pairs)]
    made = passes(asked)
    assert sorted(number for one in made for number in one.requests) == list(range(len(asked)))
    for one in made:
        for number in one.requests:
            inputs = asked[number].input_ids
            assert one.input_ids[: len(inputs)] == inputs
    read = [one.input_ids for one in made]
    assert not any(a != b and b[: len(a)] == a for a in read for b in read)
    assert len(set(read)) == len(read)


@given(st.lists(sequences, min_size=1, max_size=8).map(sorted))
def test_the_same_beginning_is_the_same_cell(inputs: list[tuple[int, ...]]):
    owners = first_with_same_beginning(inputs)
    for row, ids in enumerate(inputs):
        for position in range(len(ids)):
            same = [r for r, other in enumerate(inputs) if other[: position + 1] == ids[: position + 1]]
            assert owners[row, position] == same[0]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(sequences, sequences), min_size=1, max_size=8), st.sampled_from([1, 9, 1000]))
def test_whatever_is_shared_the_numbers_are_those_of_a_plain_pass(scorer: Scorer, pairs, batch_tokens: int):
    other = Scorer(scorer.model, scorer.tokenizer, device=scorer.device, batch_tokens=batch_tokens)
    asked = [Request(str(n), context, continuation) for n, (context, continuation) in enumerate(pairs)]
    assert other.log_likelihoods(asked, label="t") == pytest.approx([plainly(scorer, r) for r in asked], abs=1e-4)


def test_nothing_to_score_is_no_result(scorer: Scorer):
    assert scorer.log_likelihoods([], label="t").shape == (0,)


def test_choices_of_one_token_need_one_pass(scorer: Scorer):
    asked = [scorer.after("p", "The nurse said that", f" {word}") for word in ("she", "he")]
    assert [len(one.requests) for one in passes(asked)] == [2]


# --- memory ----------------------------------------------------------------------------------------------------


def short_of_memory(scorer: Scorer, monkeypatch: pytest.MonkeyPatch, *, rows: int) -> list[int]:
    """Lets `scorer` fail on more than `rows` rows; returns the sizes it tried, as they come."""
    tried: list[int] = []
    whole = scorer.logits

    def logits(inputs, *where):
        tried.append(len(inputs))
        if len(inputs) > rows:
            raise torch.OutOfMemoryError("out of memory")
        return whole(inputs, *where)

    monkeypatch.setattr(scorer, "logits", logits)
    return tried


def test_a_batch_that_does_not_fit_is_halved(scorer: Scorer, monkeypatch: pytest.MonkeyPatch):
    other = Scorer(scorer.model, scorer.tokenizer, device=scorer.device, batch_tokens=120)
    asked = [Request(str(n), (n + 1, 2, 3, 4, 5), (6, 7)) for n in range(40)]
    expected = scorer.log_likelihoods(asked, label="t")
    tried = short_of_memory(other, monkeypatch, rows=6)
    assert other.log_likelihoods(asked, label="t") == pytest.approx(expected, abs=1e-4)
    # 20, 10, then 5 rows; from then on nothing larger is tried.
    assert tried == [20, 10, 5, 5, 10, 5, 5, *[5] * 4]


def test_one_sequence_that_does_not_fit_is_named(scorer: Scorer, monkeypatch: pytest.MonkeyPatch):
    other = Scorer(scorer.model, scorer.tokenizer, device=scorer.device, batch_tokens=64)
    short_of_memory(other, monkeypatch, rows=0)
    with pytest.raises(BiasInterveneError, match=r"x: 2 tokens alone do not fit.*bfloat16"):
        other.log_likelihoods([Request("x", (1, 2), (3,))], label="t")


def test_logits_come_a_chunk_at_a_time(scorer: Scorer, monkeypatch: pytest.MonkeyPatch):
    expected = scorer.scores(requests(scorer), label="t")
    monkeypatch.setattr(scoring, "_LOGITS_AT_ONCE", 3000)
    found = scorer.scores(requests(scorer), label="t")
    assert found[0] == pytest.approx(expected[0], abs=1e-5)
    assert found[1].tolist() == expected[1].tolist()


# --- ranks -----------------------------------------------------------------------------------------------------


class Half(Ranks):
    """One of two ranks, whose sum is put together by the test."""

    def sum(self, values: np.ndarray) -> np.ndarray:
        return values


def test_two_ranks_find_what_one_finds(scorer: Scorer):
    asked = requests(scorer) * 3
    halves = [
        Scorer(scorer.model, scorer.tokenizer, device=scorer.device, batch_tokens=17, ranks=Half(rank, 2)).score(
            asked, label="t", greedy=True
        )
        for rank in (0, 1)
    ]
    assert all((half[0] == 0).any() and (half[0] != 0).any() for half in halves)
    both = halves[0][0] + halves[1][0]
    assert np.abs(both - scorer.log_likelihoods(asked, label="t")).max() < 1e-4
