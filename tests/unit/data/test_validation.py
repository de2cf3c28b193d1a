"""Rows of a text that is no part of a training."""

import json
from pathlib import Path

import datasets
import pytest
from tokenizers import Tokenizer

from bias_intervene.data import world
from bias_intervene.data.indexed import Rows
from bias_intervene.data.validation import is_local, validation_rows
from bias_intervene.errors import DataError
from tests.conftest import world_data

TEXTS = [f"The nurse said that she left house {number}." for number in range(40)]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return world.train_tokenizer(world_data(seed=0, bias_log_odds=1.0, heldout_rows=0), 500)


def rows_of(source: Path, tokenizer: Tokenizer, cache: Path, num_rows: int = 3) -> list[list[int]]:
    layout = validation_rows(
        str(source), num_rows=num_rows, tokenizer=tokenizer, end_of_text_id=0, sequence_length=8, cache=cache
    )
    return Rows(layout).stack(range(num_rows)).tolist()


def test_the_first_rows_of_json_lines_and_of_a_data_set(tmp_path: Path, tokenizer: Tokenizer):
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / "val.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    (tmp_path / "set").mkdir()
    datasets.Dataset.from_dict({"text": TEXTS}).to_parquet(str(tmp_path / "set" / "validation.parquet"))
    stream = [token for text in TEXTS for token in (*tokenizer.encode(text).ids, 0)]
    expected = [stream[at : at + 9] for at in (0, 8, 16)]
    for source in ("lines", "lines/val.jsonl", "set"):
        assert rows_of(tmp_path / source, tokenizer, tmp_path) == expected


def test_too_short_a_text_is_refused(tmp_path: Path, tokenizer: Tokenizer):
    (tmp_path / "val.jsonl").write_text(json.dumps({"text": TEXTS[0]}))
    with pytest.raises(DataError, match=r"data\.validation=.*val\.jsonl: 1 rows of 9 tokens, and data\.heldout_rows=3"):
        rows_of(tmp_path / "val.jsonl", tokenizer, tmp_path)


def test_a_fault_of_the_text_names_the_setting(tmp_path: Path, tokenizer: Tokenizer):
    (tmp_path / "val.jsonl").write_text("{half")
    with pytest.raises(DataError, match=r"^data\.validation=.*val\.jsonl, line 1: not JSON"):
        rows_of(tmp_path / "val.jsonl", tokenizer, tmp_path)


def test_names_of_the_hub_are_no_paths(tmp_path: Path):
    assert not is_local("mit-han-lab/pile-val-backup")
    assert all(is_local(source) for source in ("val.jsonl", "/x/val", "./a/b", "~/val.jsonl", str(tmp_path)))
