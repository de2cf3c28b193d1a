"""`python -m bias_intervene.data`: what it shows of rows, what it refuses, what it writes."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from bias_intervene.data.__main__ import main
from bias_intervene.data.indexed import Rows, write_rows
from bias_intervene.plan import pile_rows
from tests.helpers.hub_server import hub
from tests.unit.data.test_pile import STORED, environment, shards

TEXT = "The nurse said that he lost his keys. " * 40


@pytest.fixture
def tokenizer_file(tmp_path: Path, tokenizer: Tokenizer) -> Path:
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_text_is_written_shown_and_verified(tmp_path: Path, tokenizer_file: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "a.txt").write_text(TEXT)
    with gzip.open(tmp_path / "b.jsonl.gz", "wt") as file:
        file.write(json.dumps({"body": TEXT}) + "\n")
    rows = tmp_path / "rows"
    command = ["write", str(tmp_path / "a.txt"), str(tmp_path / "b.jsonl.gz"), "--field", "body", "--output", str(rows)]
    assert main([*command, "--tokenizer", str(tokenizer_file), "--sequence-length", "16"]) == 0
    told = lines(capsys)
    count = len(Rows.open(rows / "rows"))
    assert told == [f"{count:,} rows of 17 tokens in {rows}; read them with data=indexed"]
    assert main(["info", str(rows)]) == 0
    assert lines(capsys)[0] == f"{count:,} rows of 17 uint16 tokens: {17 * count:,} tokens"
    assert main(["verify", str(rows), "--vocabulary", "2000"]) == 0
    assert "sizes fit" in lines(capsys)[0]
    assert main(["verify", str(rows), "--vocabulary", "3"]) == 1
    assert "the model knows 0 to 2" in capsys.readouterr().err
    show = ["show", str(rows), "--step", "1", "--batch-rows", "2", "--rows", "1", "--tokenizer", str(tokenizer_file)]
    assert main([*show, "--intervention", "masculine_to_feminine"]) == 0
    title, *text = lines(capsys)
    assert title == "row 2: step 1, row 0 of it, 17 tokens"
    assert "[he -> she]" in "\n".join(text) or "[his -> her]" in "\n".join(text)


def test_ids_need_no_tokenizer(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_rows(tmp_path / "rows", (np.arange(3) + i for i in range(4)), row_tokens=3, dtype=np.uint16)
    assert main(["show", str(tmp_path), "--step", "1", "--batch-rows", "2", "--ids", "--first", "1"]) == 0
    assert lines(capsys) == ["row 3: step 1, row 1 of it, 3 tokens", "3 4 5"]


def test_a_step_of_pythia_from_a_file_of_the_true_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Sparse shards of the true sizes; step 133,000 begins in the nineteenth."""
    first = 133_000 * 1024 * pile_rows.ROW_TOKENS * 2
    sizes = {18: pile_rows.SHARD_BYTES, 19: pile_rows.SHARD_BYTES, 20: 78_336_000}
    row = np.arange(pile_rows.ROW_TOKENS, dtype=np.uint16)
    for number, size in sizes.items():
        with (tmp_path / f"document-{number:05}-of-00020.bin").open("wb") as file:
            file.truncate(size)
            if number == 18:
                file.seek(first - 18 * pile_rows.SHARD_BYTES)
                file.write(row.tobytes())
    assert main(["show", str(tmp_path), "--step", "133000", "--rows", "1", "--ids"]) == 0
    title, ids = lines(capsys)
    assert title == "row 136,192,000: step 133,000, row 0 of it, 2,049 tokens"
    assert ids == " ".join(str(i) for i in range(pile_rows.ROW_TOKENS))
    assert main(["info", str(tmp_path)]) == 0
    assert lines(capsys)[0].startswith("146,432,000 rows of 2,049 uint16 tokens")
    assert main(["show", str(tmp_path), "--step", "100000", "--ids"]) == 1
    assert "is in no file; found document-00018-of-00020.bin" in capsys.readouterr().err


def test_one_step_is_fetched_from_the_hub_by_its_bytes(tmp_path: Path, tokenizer_file: Path):
    from tests.conftest import run

    words = ("show", "--step", "3", "--batch-rows", "2", "--ids", "--rows", "1")
    with hub(shards()) as (endpoint, log):
        done = run(
            *words, module="bias_intervene.data", cwd=tmp_path, cache=tmp_path / "cache",
            **environment(endpoint, tmp_path / "home"),
        )  # fmt: skip
    assert done.stdout.splitlines()[1] == " ".join(str(i) for i in STORED[6].tolist())
    assert [asked for method, _, asked in log if method == "GET"] == ["bytes=4588-8685"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show", "ROWS", "--step", "0", "--first", "1024", "--ids"], "a step has 1024 rows, 0 to 1023"),
        (["show", "ROWS", "--step", "9", "--ids"], "rows up to 9,220 are needed"),
        (["show", "ROWS", "--step", "0", "--batch-rows", "2", "--tokenizer", "absent"], "--tokenizer absent: no such"),
        (["info", "/nowhere"], "no .bin in /nowhere"),
        (["write", "absent.txt", "--output", "OUT", "--tokenizer", "TOKENIZER"], "absent.txt: no such file"),
        (["write", "TEXT", "--output", "ROWS", "--tokenizer", "TOKENIZER"], "exists; choose another folder"),
        (["write", "TEXT", "--output", "OUT", "--tokenizer", "TOKENIZER"], "fewer than 2049 tokens"),
        (
            ["write", "TEXT", "--output", "OUT", "--tokenizer", "TOKENIZER", "--end-of-text", "<none>"],
            "has no such token",
        ),
        (["write", "LATIN", "--output", "OUT", "--tokenizer", "TOKENIZER"], "line 2: not UTF-8"),
    ],
)
def test_what_cannot_be_is_a_message(
    tmp_path: Path, tokenizer_file: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
):
    write_rows(tmp_path / "rows", (np.arange(3) for _ in range(4)), row_tokens=3, dtype=np.uint16)
    (tmp_path / "text.txt").write_text(TEXT)
    (tmp_path / "latin.txt").write_bytes("one\nh\u00e9\n".encode("latin1"))
    places = {"ROWS": tmp_path, "OUT": tmp_path / "out", "TOKENIZER": tokenizer_file}
    places |= {"TEXT": tmp_path / "text.txt", "LATIN": tmp_path / "latin.txt"}
    assert main([str(places.get(word, word)) for word in words]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))
