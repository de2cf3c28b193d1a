"""Text -> rows, and text that cannot be."""

import gzip
import json
import time
from pathlib import Path

import datasets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from bias_intervene import text_files
from bias_intervene.data import corpus as corpus_module
from bias_intervene.data import encoding, world
from bias_intervene.data.corpus import documents, fingerprint_of, pack, prepare
from bias_intervene.data.indexed import Rows
from bias_intervene.errors import DataError
from bias_intervene.settings import HubData, JsonlData, TextData
from tests.conftest import world_data

REST = {"shuffle": True, "allow_repeats": False, "heldout_rows": 2}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return world.train_tokenizer(
        world_data(seed=0, bias_log_odds=1.0, heldout_rows=0),
        500,
    )


def text_data(path: Path, **changed) -> TextData:
    return TextData(kind="text", path=str(path), **{**REST, **changed})


def prepared(data, tokenizer: Tokenizer, cache: Path):
    return prepare(data, tokenizer=tokenizer, end_of_text_id=0, sequence_length=8, cache=cache)


@given(st.lists(st.lists(st.integers(0, 99), max_size=20), max_size=10), st.integers(1, 7))
def test_every_token_but_the_first_is_predicted_once(pieces: list[list[int]], length: int):
    stream = [token for piece in pieces for token in piece]
    rows = list(pack([np.array(piece, dtype=np.int64) for piece in pieces], length))
    assert [t for row in rows for t in row[1:].tolist()] == stream[1 : 1 + len(rows) * length]
    assert len(rows) == max(0, (len(stream) - 1) // length)


def test_plain_and_gzipped_text_give_the_same_rows(tmp_path: Path, tokenizer: Tokenizer):
    text = "The nurse said that she was tired. " * 30
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.txt").write_text(text)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "one.txt.gz").write_bytes(gzip.compress(text.encode()))
    plain, zipped = (prepared(text_data(tmp_path / name), tokenizer, tmp_path) for name in "ab")
    assert (Rows(plain.layout)[3] == Rows(zipped.layout)[3]).all()
    assert plain.num_training_rows == plain.num_rows - 2
    decoded = tokenizer.decode(Rows(plain.layout)[0].tolist())
    assert text.startswith(decoded)


def test_the_cache_hits_on_the_same_text_only(tmp_path: Path, tokenizer: Tokenizer):
    path = tmp_path / "one.txt"
    path.write_text("He left the house. " * 30)
    first = prepared(text_data(path), tokenizer, tmp_path)
    assert prepared(text_data(path, heldout_rows=1), tokenizer, tmp_path).fingerprint == first.fingerprint
    path.write_text("He left the garden. " * 30)
    assert prepared(text_data(path), tokenizer, tmp_path).fingerprint != first.fingerprint


def test_rows_that_were_altered_in_the_cache_are_made_anew(tmp_path: Path, tokenizer: Tokenizer):
    (tmp_path / "text.txt").write_text("the nurse said that he was late " * 8)
    data = text_data(tmp_path / "text.txt")
    rows = Rows(prepared(data, tokenizer, tmp_path / "cache").layout).stack(range(2))
    (stored,) = (tmp_path / "cache").rglob("rows.bin")
    time.sleep(0.02)
    stored.write_bytes(bytes(len(stored.read_bytes())))
    assert (Rows(prepared(data, tokenizer, tmp_path / "cache").layout).stack(range(2)) == rows).all()


def test_documents_end_with_the_end_of_text(tmp_path: Path, tokenizer: Tokenizer):
    path = tmp_path / "two.jsonl"
    path.write_text("".join(json.dumps({"text": "He left the house early. " * 4}) + "\n" for _ in range(3)))
    data = JsonlData(kind="jsonl", path=str(path), field="text", **REST)
    corpus = prepared(data, tokenizer, tmp_path)
    tokens = np.concatenate([Rows(corpus.layout)[i] for i in range(corpus.num_rows)])
    assert (tokens == 0).sum() >= 2


def test_empty_texts_are_no_documents(tmp_path: Path, tokenizer: Tokenizer):
    """A data set of the hub has none either: its rows hold no end-of-text tokens in a row."""
    for name, texts in (
        ("with", ["", "He left the house.", "", "She stayed."]),
        ("without", ["He left the house.", "She stayed."]),
    ):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    data = [
        JsonlData(kind="jsonl", path=str(tmp_path / f"{n}.jsonl"), field="text", **REST) for n in ("with", "without")
    ]
    assert list(documents(data[0])) == list(documents(data[1])) == ["He left the house.", "She stayed."]


def test_a_byte_order_mark_is_no_text(tmp_path: Path):
    (tmp_path / "a.txt").write_text("He left.", encoding="utf-8-sig")
    assert list(documents(text_data(tmp_path / "a.txt"))) == ["He left."]
    (tmp_path / "a.jsonl").write_text('{"text": "He left."}\n', encoding="utf-8-sig")
    data = JsonlData(kind="jsonl", path=str(tmp_path / "a.jsonl"), field="text", **REST)
    assert list(documents(data)) == ["He left."]


def test_a_long_file_gives_the_rows_of_its_whole_text(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
):
    text = "".join(f"The nurse said that she left house {number}.\n" for number in range(400))
    (tmp_path / "a.txt").write_text(text)
    whole = prepared(text_data(tmp_path / "a.txt"), tokenizer, tmp_path / "whole")
    monkeypatch.setattr(corpus_module, "PART_CHARS", 2_000)
    monkeypatch.setattr(encoding, "PART_CHARS", 2_000)
    monkeypatch.setattr(text_files, "_PIECE_BYTES", 700)
    (document,) = documents(text_data(tmp_path / "a.txt"))
    assert not isinstance(document, str)
    in_parts = prepared(text_data(tmp_path / "a.txt"), tokenizer, tmp_path / "parts")
    assert (tmp_path / "whole" / "corpora").is_dir()
    rows = [Rows(one.layout).stack(range(one.num_rows)) for one in (whole, in_parts)]
    assert (rows[0] == rows[1]).all()


def test_a_hub_data_set_from_a_local_folder(tmp_path: Path, tokenizer: Tokenizer):
    folder = tmp_path / "set"
    folder.mkdir()
    datasets.Dataset.from_dict({"content": ["He left.", "She stayed."]}).to_parquet(str(folder / "train.parquet"))
    data = HubData(
        kind="hub", repository=str(folder), config=None, split="train", revision=None, field="content", **REST
    )
    assert list(documents(data)) == ["He left.", "She stayed."]
    with pytest.raises(DataError, match="no such column; found content"):
        list(documents(data.model_copy(update={"field": "text"})))


def test_a_local_data_set_is_read_anew(tmp_path: Path):
    """The library's own cache knows a folder by its last name and gives what another one held."""
    prints = []
    for place, text in (("one", "first"), ("two", "second"), ("two", "third")):
        folder = tmp_path / place / "set"
        datasets.Dataset.from_dict({"content": [text]}).to_parquet(str(folder / "train.parquet"))
        (folder / "README.md").write_text(
            "---\nconfigs:\n- config_name: c\n  data_files:\n  - split: train\n    path: train.parquet\n---\n"
        )
        data = HubData(
            kind="hub", repository=str(folder), config="c", split="train", revision=None, field="content", **REST
        )
        assert list(documents(data)) == [text]
        prints.append(fingerprint_of(data))
        assert fingerprint_of(data) == prints[-1]
    assert len({tuple(one) for one in prints}) == 3


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", r"a\.txt: empty"),
        ("a.txt", b"first\nsecond \xff\n", r"a\.txt, line 2: not UTF-8 .*0xff"),
        ("a.txt", b"short", r"not one row"),
        ("a.txt.gz", b"no gzip", r"cannot be read"),
        ("a.jsonl", b'{"text": "x"}\n{half\n', r"a\.jsonl, line 2: not JSON"),
        ("a.jsonl", b'{"text": "x"}\n{"text": "a \\ud83d b"}\n', r"a\.jsonl, line 2: .* holds \\ud83d, one half of a"),
        ("a.jsonl", b'{"text": "x", "n": ' + b"9" * 5000 + b"}", r"a\.jsonl, line 1: not JSON"),
        ("a.jsonl", b'{"text": ' + b"[" * 100_000, r"a\.jsonl, line 1: not JSON"),
        ("a.jsonl", b'{"text": ""}\n', r"a\.jsonl: empty"),
        ("a.jsonl", '{"text": "x"}'.encode("utf-16"), r"a\.jsonl: UTF-16"),
        ("a.txt.zst", b"\x28\xb5\x2f\xfd", r"a\.txt\.zst: (compressed with zstd; `pip|empty|cannot)"),
        ("a.jsonl", b'{"body": "x"}\n', r"line 1: no text under data\.field=text; found \['body'\]"),
        ("a.md", b"x", r"no file that ends in"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, tokenizer: Tokenizer, name: str, content: bytes, message: str):
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / name).write_bytes(content)
    jsonl = JsonlData(kind="jsonl", path=str(folder), field="text", **REST)
    with pytest.raises(DataError, match=message):
        prepared(jsonl if "jsonl" in name else text_data(folder), tokenizer, tmp_path)
    assert list((tmp_path / "corpora").glob("*/")) == []


def test_a_missing_file_is_named(tmp_path: Path, tokenizer: Tokenizer):
    with pytest.raises(DataError, match=r"data\.path=/nowhere: no such file or folder"):
        prepared(text_data(Path("/nowhere")), tokenizer, tmp_path)


def test_holding_everything_out_is_refused(tmp_path: Path, tokenizer: Tokenizer):
    (tmp_path / "a.txt").write_text("He left the house. " * 10)
    with pytest.raises(DataError, match=r"heldout_rows=99 leaves none"):
        prepared(text_data(tmp_path / "a.txt", heldout_rows=99), tokenizer, tmp_path)
