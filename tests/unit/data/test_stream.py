"""Step -> rows: who reads what, and what the swap does to a row."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bias_intervene.data import world
from bias_intervene.data.indexed import Rows
from bias_intervene.data.stream import RowOrder, RowStream, row_order, share_of_rank
from bias_intervene.errors import DataError
from bias_intervene.interventions.row_swap import RowSwap
from bias_intervene.plan import Plan, make_plan
from bias_intervene.settings import WorldData, WorldModel
from tests.conftest import TINY, composed, intervention


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(composed("model=demo", *TINY))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory):
    settings = composed("model=demo", *TINY)
    assert isinstance(settings.data, WorldData)
    assert isinstance(settings.model, WorldModel)
    return world.prepare_world(settings.data, settings.model, tmp_path_factory.mktemp("world"))


def stream_of(prepared, plan: Plan, *, rank: int = 0, direction: str | None = None) -> RowStream:
    corpus, folder = prepared
    swap = None
    if direction:
        swap = RowSwap(
            intervention(direction), world.Tokenizer.from_file(str(folder / "tokenizer.json")), seed=1, padding_id=0
        )
    order = RowOrder(num_rows=corpus.num_training_rows, seed=None, allow_repeats=False)
    return RowStream(rows=Rows(corpus.layout), order=order, plan=plan, rank=rank, swap=swap, vocabulary_size=1 << 16)


@given(micro=st.integers(1, 4), ranks=st.integers(1, 4), accumulation=st.integers(1, 4), first=st.integers(0, 2**40))
def test_ranks_share_a_step_without_overlap(micro: int, ranks: int, accumulation: int, first: int):
    plan = dataclasses.replace(
        make_plan(composed("model=demo", *TINY)),
        micro_batch_rows=micro,
        num_ranks=ranks,
        accumulation_steps=accumulation,
    )
    rows = range(first, first + micro * ranks * accumulation)
    shares = [list(share_of_rank(rows, plan=plan, rank=rank)) for rank in range(ranks)]
    assert all(len(share) == accumulation for share in shares)
    in_order = [row for turn in zip(*shares, strict=True) for batch in turn for row in batch]
    assert in_order == list(rows)


def test_the_control_reads_the_stored_rows(prepared, plan: Plan):
    batch = next(stream_of(prepared, plan).micro_batches(10))
    stored = Rows(prepared[0].layout)
    assert batch.row_numbers == [40, 41, 42, 43]
    assert (batch.rows_BS == np.stack([stored[i] for i in batch.row_numbers])).all()


def test_the_intervention_reads_no_masculine_pronoun(prepared, plan: Plan):
    _, folder = prepared
    tokenizer = world.Tokenizer.from_file(str(folder / "tokenizer.json"))
    masculine = {tokenizer.token_to_id(f"Ġ{word}") for word in ("he", "him", "his", "himself")}
    stream = stream_of(prepared, plan, direction="masculine_to_feminine")
    control = stream_of(prepared, plan)
    seen = 0
    for step in range(10, 20):
        swapped, plain = next(stream.micro_batches(step)), next(control.micro_batches(step))
        seen += int(np.isin(plain.rows_BS, list(masculine)).sum())
        assert not np.isin(swapped.rows_BS, list(masculine)).any()
        assert swapped.rows_BS.shape == plain.rows_BS.shape
    assert stream.swap is not None
    assert seen > 20
    assert sum(stream.swap.audit.swaps.values()) >= seen
    assert stream.swap.audit.rows == 40


def test_warm_up_rows_are_unaltered(prepared, plan: Plan):
    warm = dataclasses.replace(plan, optimizer_warmup_steps=2)
    stream = stream_of(prepared, warm, direction="masculine_to_feminine")
    batch = next(stream.micro_batches(9))
    stored = Rows(prepared[0].layout)
    assert (batch.rows_BS == np.stack([stored[i] for i in batch.row_numbers])).all()
    assert stream.swap is not None
    assert stream.swap.audit.rows == 0


def test_an_id_the_model_does_not_know_is_named(prepared, plan: Plan):
    stream = stream_of(prepared, plan)
    stream.vocabulary_size = 3
    with pytest.raises(DataError, match=r"row 40, position \d+: token id \d+; the model knows 0 to 2"):
        next(stream.micro_batches(10))


def test_order_is_a_permutation_that_changes_with_seed_and_pass():
    order = RowOrder(num_rows=50, seed=3, allow_repeats=True)
    first, second = [order[i] for i in range(50)], [order[i] for i in range(50, 100)]
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert first == [RowOrder(num_rows=50, seed=3, allow_repeats=True)[i] for i in range(50)]
    assert first != [RowOrder(num_rows=50, seed=4, allow_repeats=True)[i] for i in range(50)]


def test_rows_of_a_window_change_places_among_themselves():
    order = RowOrder(num_rows=50, seed=3, allow_repeats=False, window=range(30, 42))
    read = [order[i] for i in range(50)]
    assert read[:30] + read[42:] == [*range(30), *range(42, 50)]
    assert sorted(read[30:42]) == list(range(30, 42)) != read[30:42]
    assert read != [RowOrder(num_rows=50, seed=4, allow_repeats=False, window=range(30, 42))[i] for i in range(50)]


@pytest.mark.parametrize("kind", ["world", "pile"])
def test_only_a_shuffled_window_is_read_in_another_order(kind: str):
    model = ["model=70m"] if kind == "pile" else []
    for shuffle in ("true", "false"):
        data = composed(*model, f"data={kind}", f"data.shuffle={shuffle}").data
        order = row_order(data, seed=1, num_rows=40, window=range(20, 40))
        assert ([order[i] for i in range(40)] == list(range(40))) == (shuffle == "false")


def test_too_little_text_is_refused():
    with pytest.raises(DataError, match=r"reads 60 rows and the corpus has 50.*allow_repeats=true"):
        RowOrder(num_rows=50, seed=None, allow_repeats=False).check(60)
    RowOrder(num_rows=50, seed=None, allow_repeats=True).check(60)
