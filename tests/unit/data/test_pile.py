"""Pythia's rows: from folders of every shape, and from a hub on loopback."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bias_intervene.data.corpus import BEFORE_WINDOW
from bias_intervene.data.indexed import Layout, Rows
from bias_intervene.data.pile import _fetched_parts, check_free, prepare_pile, window_fingerprint
from bias_intervene.data.stream import RowOrder, RowStream
from bias_intervene.errors import DataError
from bias_intervene.plan import make_plan, pile_rows
from bias_intervene.settings import PileData
from tests.conftest import composed
from tests.helpers.hub_server import COMMIT, REPOSITORY, environment, hub

NUM_ROWS, SHARD = 12, 20_000
ROW_BYTES = pile_rows.ROW_TOKENS * 2
STORED = np.random.default_rng(0).integers(0, 50_000, (NUM_ROWS, pile_rows.ROW_TOKENS)).astype(np.uint16)


def shards() -> dict[str, bytes]:
    """The rows as one stream cut every SHARD bytes: rows lie across shards."""
    stream = STORED.tobytes()
    pieces = [stream[at : at + SHARD] for at in range(0, len(stream), SHARD)]
    return {f"document-{n:05}-of-{len(pieces) - 1:05}.bin": piece for n, piece in enumerate(pieces)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in shards().items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def prepared(source: Path, rows: range = range(6, 10), heldout: range = range(4, 6)) -> Rows:
    data = PileData(
        kind="pile", source=str(source), fetch="shards", heldout_rows=len(heldout), shuffle=False, validation=None
    )
    corpus = prepare_pile(data, rows=rows, heldout=heldout, repository=REPOSITORY, cache=source)
    assert corpus.heldout == heldout
    assert corpus.heldout_protocol == BEFORE_WINDOW
    assert len(corpus.fingerprint) == 16
    return Rows(Layout.from_json(json.loads(json.dumps(corpus.layout.to_json()))))


def test_shards_give_the_rows_they_were_cut_from(folder: Path):
    rows = prepared(folder)
    assert len(rows) == NUM_ROWS
    assert (rows.stack(range(NUM_ROWS)) == STORED).all()


def test_only_the_shards_of_the_window_must_be_there(folder: Path):
    """Rows 4 to 9 are bytes 16,392 to 40,980: shards 0, 1 and 2."""
    (folder / "document-00002-of-00002.bin").rename(folder / "elsewhere")
    with pytest.raises(DataError, match=r"rows 4 to 9 are needed, and byte 40,000 \(row 9\) is in no file; found doc"):
        prepared(folder)
    rows = prepared(folder, range(6, 9))
    assert (rows.stack(range(4, 9)) == STORED[4:9]).all()
    with pytest.raises(DataError, match=r"row 9: byte 40,000 of the corpus is in none of its files"):
        rows[9]


def test_one_joined_file_with_or_without_an_index(tmp_path: Path):
    (tmp_path / "document.bin").write_bytes(STORED.tobytes())
    assert (prepared(tmp_path)[7] == STORED[7]).all()
    assert (prepared(tmp_path / "document.bin")[7] == STORED[7]).all()
    assert (prepared(tmp_path / "document")[7] == STORED[7]).all()


def test_a_truncated_shard_is_named(folder: Path):
    path = folder / "document-00001-of-00002.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"shards differ in size.*document-00001-of-00002\.bin: 19,999"):
        prepared(folder)


def test_a_truncated_last_shard_is_named(folder: Path):
    path = folder / "document-00002-of-00002.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"no whole number of rows of 2049 uint16 tokens; truncated"):
        prepared(folder)


def test_two_corpora_in_a_folder_are_refused(folder: Path):
    (folder / "other.bin").write_bytes(b"")
    with pytest.raises(DataError, match=r"several corpora \(document, other\)"):
        prepared(folder)


def test_the_fingerprint_is_of_the_window(folder: Path):
    rows = prepared(folder)
    assert window_fingerprint(rows, range(4)) != window_fingerprint(rows, range(4, 8))
    path = folder / "document-00001-of-00002.bin"
    content = bytearray(path.read_bytes())
    content[7_000] ^= 1  # Byte 27,000 of the corpus: row 6.
    before = [window_fingerprint(rows, range(4, 8)), window_fingerprint(rows, range(4))]
    path.write_bytes(content)
    after = [window_fingerprint(prepared(folder), range(4, 8)), window_fingerprint(prepared(folder), range(4))]
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_a_disk_too_small_is_said_before_anything_is_fetched(tmp_path: Path):
    with pytest.raises(DataError, match=r"1,000,000,000\.0 GB are to be fetched and .* GB are free; set X"):
        check_free(tmp_path / "not" / "yet", 10**18, key="set X")


# --- from a hub ------------------------------------------------------------------------------------------------

FETCH = """
import json, sys
from pathlib import Path
from bias_intervene.data.pile import fetch_rows
from bias_intervene.errors import BiasInterveneError
try:
    layout = fetch_rows(sys.argv[1], range(4, 9), whole_shards=sys.argv[2] == "shards", cache=Path(sys.argv[3]))
    print(json.dumps(layout.to_json()))
except BiasInterveneError as error:
    sys.exit(f"refused: {error}")
"""


def fetch(endpoint: str, place: Path, how: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", FETCH, REPOSITORY, how, str(place / "cache")],
        env={**os.environ, **environment(endpoint, place / "home")},
        capture_output=True,
        text=True,
        timeout=120,
    )


def fetched_rows(done: subprocess.CompletedProcess[str]) -> np.ndarray:
    assert done.returncode == 0, done.stderr
    return Rows(Layout.from_json(json.loads(done.stdout.splitlines()[-1]))).stack(range(4, 9))


def test_ranges_of_the_needed_shards_are_fetched_once(tmp_path: Path):
    with hub(shards()) as (endpoint, log):
        assert (fetched_rows(fetch(endpoint, tmp_path, "range")) == STORED[4:9]).all()
        got = [(name, asked) for method, name, asked in log if method == "GET"]
        # Bytes 16,392 to 36,882 of the corpus, and none of the third shard.
        assert got == [
            ("document-00000-of-00002.bin", "bytes=16392-19999"),
            ("document-00001-of-00002.bin", "bytes=0-16881"),
        ]
        log.clear()
        assert (fetched_rows(fetch(endpoint, tmp_path, "range")) == STORED[4:9]).all()
        assert log == []
    # The hub is gone: what was fetched is used again.
    assert (fetched_rows(fetch(endpoint, tmp_path, "range")) == STORED[4:9]).all()


def test_a_broken_connection_is_taken_up_where_it_stopped(tmp_path: Path):
    with hub(shards(), cut=9_000) as (endpoint, log):
        assert (fetched_rows(fetch(endpoint, tmp_path, "range")) == STORED[4:9]).all()
    assert [asked for _, name, asked in log if "00001" in name] == ["bytes=0-16881", "bytes=9000-16881"]


def test_a_killed_fetch_goes_on(tmp_path: Path):
    partial = tmp_path / "cache" / "pile" / REPOSITORY.replace("/", "--") / COMMIT / "20000-36882.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(shards()["document-00001-of-00002.bin"][:5_000])
    with hub(shards()) as (endpoint, log):
        assert (fetched_rows(fetch(endpoint, tmp_path, "range")) == STORED[4:9]).all()
    assert ("GET", "document-00001-of-00002.bin", "bytes=5000-16881") in log


def test_a_range_that_was_altered_after_it_was_fetched_is_refused(tmp_path: Path):
    fetched = tmp_path / "0-4.bin"
    fetched.write_bytes(b"rows")
    for _ in range(2):
        assert [(part.first, part.end) for part in _fetched_parts(tmp_path)] == [(0, 4)]
    time.sleep(0.02)
    fetched.write_bytes(b"swor")
    with pytest.raises(DataError, match=r"0-4\.bin: altered since it was fetched; remove it"):
        list(_fetched_parts(tmp_path))


def test_a_server_without_ranges_is_refused(tmp_path: Path):
    with hub(shards(), ranges=False) as (endpoint, _):
        done = fetch(endpoint, tmp_path, "range")
    assert done.returncode == 1
    assert "the server gives no ranges (status 200); use data.fetch=shards" in done.stderr


def test_whole_shards_are_checked_by_their_hash(tmp_path: Path):
    with hub(shards()) as (endpoint, log):
        assert (fetched_rows(fetch(endpoint, tmp_path, "shards")) == STORED[4:9]).all()
        assert {name for method, name, _ in log if method == "GET"} == set(list(shards())[:2])
        log.clear()
        assert (fetched_rows(fetch(endpoint, tmp_path, "shards")) == STORED[4:9]).all()
        assert log == []
        (blob,) = [p for p in (tmp_path / "home").rglob("blobs/*") if p.stat().st_size == SHARD][:1]
        content = bytearray(blob.read_bytes())
        content[0] ^= 1
        blob.write_bytes(content)
        done = fetch(endpoint, tmp_path, "shards")
    assert done.returncode == 1
    assert "its sha256 is not the hub's" in done.stderr


def test_no_hub_and_nothing_here_is_said_with_the_way_out(tmp_path: Path):
    done = fetch("http://127.0.0.1:9", tmp_path, "range")
    assert done.returncode == 1
    assert "data.source=hub: EleutherAI/pile-deduped-pythia-preshuffled cannot be reached" in done.stderr
    assert "data.source=FOLDER" in done.stderr


# --- the true layout -------------------------------------------------------------------------------------------


def test_every_rank_reads_its_rows_of_a_step_across_two_shards(tmp_path: Path):
    """Byte 600,000,000,000, where the last shard begins, lies within row 146,412,884: row 340 of step 142,981."""
    step, row = 142_981, 600_000_000_000 // ROW_BYTES
    assert (row // 1024, row % 1024) == (step, 340)
    first = step * 1024
    rows = np.random.default_rng(1).integers(0, 50_000, (1024, pile_rows.ROW_TOKENS)).astype(np.uint16)
    stream, start = rows.tobytes(), first * ROW_BYTES
    cut = 600_000_000_000 - start
    for number, size, at, content in (
        (19, pile_rows.SHARD_BYTES, start - 19 * pile_rows.SHARD_BYTES, stream[:cut]),
        (20, 78_336_000, 0, stream[cut:]),
    ):
        with (tmp_path / f"document-{number:05}-of-00020.bin").open("wb") as file:
            file.truncate(size)
            file.seek(at)
            file.write(content)
    plan = make_plan(composed("model=14m", "model.step=142000", "train=pythia_4gpu"))
    assert plan.heldout is not None
    data = PileData(kind="pile", source=str(tmp_path), fetch="shards", heldout_rows=64, shuffle=False, validation=None)
    corpus = prepare_pile(
        data, rows=range(*plan.rows), heldout=range(*plan.heldout), repository=REPOSITORY, cache=tmp_path
    )
    order = RowOrder(num_rows=corpus.num_training_rows, seed=None, allow_repeats=False)
    read: dict[int, np.ndarray] = {}
    for rank in range(4):
        ours = RowStream(rows=Rows(corpus.layout), order=order, plan=plan, rank=rank, swap=None, vocabulary_size=50_304)
        for batch in ours.micro_batches(step):
            read |= dict(zip(batch.row_numbers, batch.rows_BS, strict=True))
    assert sorted(read) == list(range(first, first + 1024))
    assert all((read[first + number] == rows[number]).all() for number in range(1024))
