"""Pythia's own training rows: from a local folder, or from the hub, which then provides only what the run reads.

`fetch=shards` downloads whole files into the cache of huggingface_hub (3 of 21 for the last 7% of the training).
`fetch=range` downloads only the bytes of the rows into the cache of this program: half as much for the 7%, but there is
no published hash to check a range with.

Input: the row numbers that a run reads.
Output: a `Corpus` whose layout holds them.
Guarantees: only the necessary bytes are downloaded, after a check that the disk has room for them. An interrupted
download continues where it stopped. Whole shards are verified by the sha256 that the hub publishes, ranges by the one
they had when they were fetched. Downloads are reused, also offline.
"""

import hashlib
import itertools
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock
from tqdm import tqdm

from bias_intervene.data.corpus import BEFORE_WINDOW, Corpus
from bias_intervene.data.indexed import Layout, Part, Rows
from bias_intervene.data.shards import SHARD, Expected, check_covered, local_layout
from bias_intervene.errors import DataError, HubError, first_line
from bias_intervene.plan import pile_rows
from bias_intervene.record import exact_file_state, fingerprint, read_json, sha256_of_file, write_json
from bias_intervene.settings import PileData

_SAMPLED_ROWS = 1024
"""Rows hashed to identify a corpus: hashing all 42 GB of the 7% window would take minutes at every start."""
_FETCH_ATTEMPTS = 5
"""Attempts in a row without a single byte received before a download is given up."""
EXPECTED = Expected(row_tokens=pile_rows.ROW_TOKENS, num_rows=pile_rows.NUM_ROWS, shard_bytes=pile_rows.SHARD_BYTES)


def prepare_pile(data: PileData, *, rows: range, heldout: range, repository: str, cache: Path) -> Corpus:
    """The corpus of a run that trains on `rows` and checks on `heldout`, the rows just before them: the base model was
    trained on these last of all. Raises `DataError` or `HubError`.
    """
    ranges = [r for r in (heldout, rows) if r]
    needed = range(min(r.start for r in ranges), max(r.stop for r in ranges))
    if data.source == "hub":
        layout = fetch_rows(repository, needed, whole_shards=data.fetch == "shards", cache=cache)
    else:
        key = f"data.source={data.source}"
        layout = local_layout(Path(data.source).expanduser(), expected=EXPECTED, key=key, rows=needed)
        if layout.row_tokens != pile_rows.ROW_TOKENS:
            raise DataError(
                f"{key}: rows of {layout.row_tokens} tokens; Pythia's have {pile_rows.ROW_TOKENS}. Other rows are "
                "read with data=indexed"
            )
    key = window_fingerprint(Rows(layout), rows)
    return Corpus(layout, key, layout.num_rows, heldout, heldout_protocol=BEFORE_WINDOW)


def window_fingerprint(rows: Rows, window: range) -> str:
    """Identifies a window by its position and by `_SAMPLED_ROWS` of its rows, including the first and the last."""
    digest = hashlib.sha256()
    for number in np.unique(np.linspace(window.start, window.stop - 1, _SAMPLED_ROWS, dtype=np.int64)).tolist():
        digest.update(rows[number].astype("<i4").tobytes())
    return fingerprint([window.start, window.stop, digest.hexdigest()])


# --- from the hub ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Shard:
    """A shard as listed by the hub: bytes [first, end) of the corpus."""

    name: str
    first: int
    end: int
    sha256: str | None


class _ShardRange(NamedTuple):
    """Bytes [low, high) of the corpus, all of them in one shard."""

    shard: _Shard
    low: int
    high: int

    def partial_path(self, folder: Path) -> Path:
        """The file of the range while it is being downloaded."""
        return folder / f"{self.low}-{self.high}.partial"


def fetch_rows(repository: str, rows: range, *, whole_shards: bool, cache: Path) -> Layout:
    """The layout of `rows`, downloaded unless they are in the cache."""
    folder = cache / "pile" / repository.replace("/", "--")
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        commit, shards = _list_shards(repository, folder)
        row_bytes = pile_rows.ROW_TOKENS * 2
        first, end = rows.start * row_bytes, rows.stop * row_bytes
        if end > shards[-1].end:
            raise DataError(f"{repository}: rows up to {rows.stop:,} are needed and it holds {shards[-1].end:,} bytes")
        used = [shard for shard in shards if shard.first < end and shard.end > first]
        if whole_shards:
            parts = _fetch_shards(repository, commit, used, folder)
        else:
            parts = _fetch_ranges(repository, commit, used, folder / commit, first=first, end=end)
    layout = Layout(tuple(parts), pile_rows.ROW_TOKENS, "uint16", shards[-1].end // row_bytes)
    check_covered(layout, rows, key=f"{repository} at {commit}")
    return layout


def _list_shards(repository: str, folder: Path) -> tuple[str, list[_Shard]]:
    """(commit, shards in order) from the hub, or from the last listing if the hub cannot be reached."""
    from huggingface_hub import HfApi

    listing_path = folder / "listing.json"
    try:
        info = HfApi().dataset_info(repository, files_metadata=True, timeout=20)
    except Exception as error:
        if not listing_path.is_file():
            raise _unreachable(repository, error) from None
        listing: dict[str, Any] = read_json(listing_path)
    else:
        files = {
            file.rfilename: [file.size, file.lfs.sha256 if file.lfs else None]
            for file in info.siblings or ()
            if SHARD.fullmatch(file.rfilename)
        }
        listing = {"commit": info.sha, "files": files}
        write_json(listing_path, listing)
    names = sorted(listing["files"])
    matches = [match for name in names if (match := SHARD.fullmatch(name))]
    if not names or len(names) != int(matches[-1]["last"]) + 1 or len({match["stem"] for match in matches}) > 1:
        raise HubError(
            f"{repository}: not a whole set of shards NAME-00000-of-N.bin; found {', '.join(names) or 'none'}"
        )
    ends = list(itertools.accumulate(int(listing["files"][name][0]) for name in names))
    firsts = [0, *ends[:-1]]
    shards = [
        _Shard(name, first, end, listing["files"][name][1])
        for name, first, end in zip(names, firsts, ends, strict=True)
    ]
    return str(listing["commit"]), shards


def _unreachable(repository: str, error: Exception) -> HubError:
    """The error for a hub that does not answer, with the alternatives."""
    return HubError(
        f"data.source=hub: {repository} cannot be reached ({first_line(error)}), and what the run needs is not in the "
        "cache. Without a hub: data.source=FOLDER with document-*-of-*.bin, or rows of your own by data=text, jsonl or "
        "indexed"
    )


def check_free(folder: Path, num_bytes: int, *, key: str) -> None:
    """Raises `DataError` for a download that is larger than the free disk."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    free = shutil.disk_usage(existing).free
    if num_bytes > free:
        raise DataError(
            f"{folder}: {num_bytes / 1e9:,.1f} GB are to be fetched and {free / 1e9:,.1f} GB are free; {key}"
        )


def _fetch_shards(repository: str, commit: str, shards: list[_Shard], folder: Path) -> list[Part]:
    """Downloads whole shards into the cache of huggingface_hub and verifies each once by sha256."""
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

    def cached_path(shard: _Shard) -> Path | None:
        cached = try_to_load_from_cache(repository, shard.name, revision=commit, repo_type="dataset")
        return Path(cached) if isinstance(cached, str) else None

    missing = sum(shard.end - shard.first for shard in shards if cached_path(shard) is None)
    check_free(Path(constants.HF_HUB_CACHE), missing, key="set HF_HOME to a larger disk, or data.fetch=range for less")
    verified_path = folder / "verified.json"
    verified: dict[str, Any] = read_json(verified_path) if verified_path.is_file() else {}
    parts: list[Part] = []
    for shard in shards:
        path = cached_path(shard)
        if path is None:
            try:
                path = Path(hf_hub_download(repository, shard.name, revision=commit, repo_type="dataset"))
            except Exception as error:
                raise _unreachable(f"{shard.name} of {repository}", error) from None
        state = [*exact_file_state(path), shard.sha256]
        if verified.get(str(path)) != state:
            _check_shard(path, shard)
            verified[str(path)] = state
            write_json(verified_path, verified)
        parts.append(Part(path, shard.first, shard.end))
    return parts


def _check_shard(path: Path, shard: _Shard) -> None:
    """Raises `DataError` for a shard whose size or sha256 is not that of the hub."""
    size = path.stat().st_size
    if size != shard.end - shard.first:
        raise DataError(f"{path}: {size:,} bytes, and the hub has {shard.end - shard.first:,}; remove it")
    if shard.sha256 is not None and sha256_of_file(path) != shard.sha256:
        raise DataError(f"{path}: its sha256 is not the hub's ({shard.sha256}); altered or damaged, remove it")


def _fetch_ranges(
    repository: str, commit: str, shards: list[_Shard], folder: Path, *, first: int, end: int
) -> list[Part]:
    """Downloads bytes [first, end) of the corpus: from each shard the necessary range, unless it is here."""
    folder.mkdir(parents=True, exist_ok=True)
    ranges = [_ShardRange(shard, max(first, shard.first), min(end, shard.end)) for shard in shards]
    existing = list(_fetched_parts(folder))
    parts = [_part_that_holds(existing, needed.low, needed.high) for needed in ranges]
    missing = sum(
        needed.high - needed.low - _size_of(needed.partial_path(folder))
        for part, needed in zip(parts, ranges, strict=True)
        if part is None
    )
    check_free(folder, missing, key="set cache_dir to a larger disk")
    if missing:
        bar = tqdm(total=missing, desc=f"fetch {repository}", unit="B", unit_scale=True, mininterval=2)
        with bar:
            for at, needed in enumerate(ranges):
                if parts[at] is None:
                    partial = needed.partial_path(folder)
                    _fetch_range(repository, commit, needed, partial, bar=bar)
                    complete = partial.with_suffix(".bin")
                    partial.rename(complete)
                    _note_fetched(complete)
                    parts[at] = Part(complete, needed.low, needed.high)
    return [part for part in parts if part is not None]


def _size_of(path: Path) -> int:
    """Bytes of a file; 0 if there is none."""
    return path.stat().st_size if path.is_file() else 0


def _fetched_parts(folder: Path) -> Iterable[Part]:
    """Ranges that were downloaded completely; the file name gives the bytes."""
    for path in sorted(folder.glob("*-*.bin")):
        low, high = (int(word) for word in path.stem.split("-"))
        if path.stat().st_size != high - low:
            raise DataError(f"{path}: {path.stat().st_size:,} bytes, and {high - low:,} were fetched; remove it")
        note_path = path.with_suffix(".json")
        note = read_json(note_path) if note_path.is_file() else None
        if note is None or note["state"] != exact_file_state(path):
            if note is not None and note["sha256"] != sha256_of_file(path):
                raise DataError(f"{path}: altered since it was fetched; remove it, and it is fetched again")
            _note_fetched(path)
        yield Part(path, low, high)


def _note_fetched(path: Path) -> None:
    """Keeps what a range is held against later: it is hashed again only if its size or its times have changed."""
    state = exact_file_state(path)
    write_json(path.with_suffix(".json"), {"state": state, "sha256": sha256_of_file(path)})


def _part_that_holds(parts: Iterable[Part], low: int, high: int) -> Part | None:
    """The part that holds bytes [low, high), if any does."""
    return next((part for part in parts if part.first <= low and high <= part.end), None)


def _fetch_range(repository: str, commit: str, needed: _ShardRange, partial: Path, *, bar: "tqdm[Any]") -> None:
    """Downloads a range into the file `partial`, continuing after the bytes that it already holds."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers, get_session

    shard, low, high = needed
    url = hf_hub_url(repository, shard.name, repo_type="dataset", revision=commit)
    attempts = 0
    with partial.open("ab") as file:
        while (done := file.tell()) < high - low:
            begin, stop = low - shard.first + done, high - shard.first
            headers = {**build_hf_headers(), "Range": f"bytes={begin}-{stop - 1}", "Accept-Encoding": "identity"}
            try:
                _append_response(get_session(), url, headers, file, begin=begin, limit=high - low, bar=bar)
                attempts = 0 if file.tell() > done else attempts + 1
            except HubError:
                raise
            except Exception as error:
                attempts = 0 if file.tell() > done else attempts + 1
                if attempts >= _FETCH_ATTEMPTS:
                    raise _unreachable(f"{shard.name} of {repository}", error) from None
            if attempts >= _FETCH_ATTEMPTS:
                raise HubError(f"{url}: the server sends no more bytes at {begin:,}; try again, or data.fetch=shards")
        file.flush()
        os.fsync(file.fileno())


def _append_response(
    session: Any, url: str, headers: dict[str, str], file: Any, *, begin: int, limit: int, bar: "tqdm[Any]"
) -> None:
    """Writes one response of the server to the file as it arrives, up to `limit` bytes in the file."""
    from huggingface_hub.utils import hf_raise_for_status

    with session.stream("GET", url, headers=headers, follow_redirects=True) as answer:
        hf_raise_for_status(answer)
        content_range = str(answer.headers.get("content-range", ""))
        if answer.status_code != 206 or not content_range.startswith(f"bytes {begin}-"):
            raise HubError(f"{url}: the server gives no ranges (status {answer.status_code}); use data.fetch=shards")
        for piece in answer.iter_raw():
            received = piece[: limit - file.tell()]
            file.write(received)
            bar.update(len(received))
