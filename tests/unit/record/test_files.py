"""JSON that every parser reads."""

import json
import math
import os
import stat
from pathlib import Path

import pytest

from bias_intervene.record import append_line, json_text, whole_folder, write_json


def strictly(text: str) -> object:
    """JSON as other languages read it: NaN and Infinity are no numbers."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_a_number_that_is_not_finite_is_null_wherever_it_stands(tmp_path: Path):
    values = {"a": math.nan, "b": [1.5, math.inf, {"c": -math.inf}], "d": (math.nan, None, True, "NaN")}
    right = {"a": None, "b": [1.5, None, {"c": None}], "d": [None, None, True, "NaN"]}
    assert strictly(json_text(values)) == right
    write_json(tmp_path / "a.json", values)
    append_line(tmp_path / "a.jsonl", values)
    assert strictly((tmp_path / "a.json").read_text()) == right
    assert strictly((tmp_path / "a.jsonl").read_text()) == right


def test_what_is_no_json_value_is_still_refused():
    with pytest.raises(TypeError):
        json_text({"a": object()})


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600), (0o002, 0o664)])
def test_files_have_the_permissions_of_the_umask(tmp_path: Path, umask: int, mode: int):
    before = os.umask(umask)
    try:
        write_json(tmp_path / "a.json", {})
        with whole_folder(tmp_path / "folder") as partial:
            # As safetensors writes its files.
            os.close(os.open(partial / "model.safetensors", os.O_CREAT | os.O_WRONLY, 0o600))
    finally:
        os.umask(before)
    files = [tmp_path / "a.json", *(tmp_path / "folder").iterdir()]
    assert [(path.name, stat.S_IMODE(path.stat().st_mode)) for path in files] == [
        ("a.json", mode), ("model.safetensors", mode),
    ]  # fmt: skip
