"""The measurements run and say what they should; their figures are nobody's concern here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, SENTENCES
from tests.measurements import comparison, evaluation, parity, possessives, swap

CONLLU = """\
# text = I saw her and his dog.
1\tI\tI\tPRON\tPRP\t_\t2\tnsubj\t_\t_
2\tsaw\tsee\tVERB\tVBD\t_\t0\troot\t_\t_
3\ther\tshe\tPRON\tPRP\t_\t2\tobj\t_\t_
4\tand\tand\tCCONJ\tCC\t_\t6\tcc\t_\t_
5\this\this\tPRON\tPRP$\t_\t6\tnmod:poss\t_\t_
6\tdog\tdog\tNOUN\tNN\t_\t3\tconj\t_\t_

"""


def test_swap(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "prose.txt").write_text(f"{SENTENCES} " * 200)
    swap.main(["--json", "--mebibytes", "1", "--prose", str(tmp_path / "prose.txt")])
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["prose", "code", "mixed"]
    for values in found.values():
        assert {"ratio_to_text_path", "ratio_to_copy", "tokens_per_second"} <= set(values)
        assert all(value >= 0 for value in values.values())
    assert found["prose"]["share_of_pronouns"] > 0.05


def test_parity(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "more.txt").write_text(f"{SENTENCES} " * 100)
    assert parity.main(["--rows", "20", "--text", str(tmp_path / "more.txt")]) == 0
    out = capsys.readouterr().out
    assert "smollm2" in out
    assert "feminine_to_masculine" in out


def test_possessives(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "en.conllu").write_text(CONLLU)
    (tmp_path / "prose.txt").write_text(f"{SENTENCES} " * 10)
    possessives.main([str(tmp_path), "--fit", str(tmp_path / "prose.txt")])
    out = capsys.readouterr().out
    assert "her: 1 annotated" in out
    assert "his: 1 annotated" in out
    assert "pronouns restored" in out


def test_comparison(capsys: pytest.CaptureFixture[str]):
    comparison.main(["--records", "4", "--items", "5", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["files"] == 16
    assert found["ratio"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("peer", ["bare", "plain"])
def test_training(peer: str):
    """In a process of its own: it joins a process group."""
    words = ("--rows", "2", "--sequence-length", "32", "--steps", "1", "--peer", peer, "--json")
    done = subprocess.run(
        [sys.executable, "-m", "tests.measurements.training", *words],
        cwd=REPOSITORY,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])["14m"]
    assert found[f"speed_against_{peer}"] > 0
    assert 0 < found["feed_share_of_step"] < 1
    assert found["tokens_per_second"] > 0


def test_evaluation(capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed (the extra `harness`)")
    evaluation.main(["--size", "14m", "--items", "6", "--parts", "scoring", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["crows_pairs", "lambada", "referent_choice"]
    for values in found.values():
        assert values["ratio"] > 0
        assert values["largest_difference_nats"] < 1e-3
