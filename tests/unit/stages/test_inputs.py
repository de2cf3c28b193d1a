"""Between the stages of one attempt: what `prepare` read is still there, unchanged."""

from pathlib import Path

import pytest

from bias_intervene.errors import DataError, RunDirectoryError
from bias_intervene.stages.inputs import check_as_begun, check_items, check_unchanged, states_of


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    (folder / "resume").mkdir(parents=True)
    for name in ("model.safetensors", "tokenizer.json", "manifest.json"):
        (folder / name).write_text("content")
    return folder


def test_what_prepare_read_is_unchanged(checkpoint: Path, tmp_path: Path):
    (tmp_path / "rows.bin").write_text("rows")
    files = states_of([checkpoint, tmp_path / "rows.bin", tmp_path / "absent"])
    assert [Path(name).name for name in files] == ["model.safetensors", "tokenizer.json", "rows.bin"]
    check_unchanged({"files": files})


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_file_changed_after_prepare_is_named(checkpoint: Path, name: str):
    inputs = {"files": states_of([checkpoint])}
    (checkpoint / name).write_text("altered")  # As many bytes as before.
    with pytest.raises(DataError, match=rf"{name}: changed since the stage prepare read it"):
        check_unchanged(inputs)
    (checkpoint / name).unlink()
    with pytest.raises(DataError, match=rf"{name}: gone since"):
        check_unchanged(inputs)


def test_a_rank_on_another_machine_may_have_a_copy(checkpoint: Path, monkeypatch: pytest.MonkeyPatch):
    inputs = {"files": states_of([checkpoint])}
    (checkpoint / "model.safetensors").write_text("copied later")
    monkeypatch.setenv("RANK", "8")
    check_unchanged(inputs)


def test_other_items_than_prepare_read_are_named():
    inputs = {"fingerprints": {"benchmarks": {"winobias": "aa", "crows_pairs": "bb"}}}
    check_items(inputs, {"winobias": "aa", "crows_pairs": "bb"})
    with pytest.raises(DataError, match=r"items of crows_pairs: changed since .* \(fingerprint bb -> cc\)"):
        check_items(inputs, {"winobias": "aa", "crows_pairs": "cc"})


@pytest.mark.parametrize("content", ["{}", "[]", '{"fingerprints": 3}', "{half"])
def test_inputs_without_fingerprints_are_refused(tmp_path: Path, content: str):
    (tmp_path / "inputs.json").write_text(content)
    with pytest.raises(RunDirectoryError, match=r"inputs\.json: (no fingerprints in it|not JSON)"):
        check_as_begun(tmp_path, {})
