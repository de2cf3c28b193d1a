"""Items from every source, and files that are not of it."""

from pathlib import Path

import datasets
import pytest

from bias_intervene.errors import DataError, HubError
from bias_intervene.evals import benchmarks
from bias_intervene.settings import CrowsPairsSettings, PronounsSettings, WinobiasSettings, WorldData


def crows(path: Path | None, **changed) -> CrowsPairsSettings:
    given = {"enabled": True, "source": "hub", "path": str(path) if path else None, "categories": None}
    return CrowsPairsSettings(**{**given, **changed})


def wino(path: Path | None, split: str = "validation") -> WinobiasSettings:
    return WinobiasSettings(
        enabled=True, source="hub", path=str(path) if path else None, split=split, protocols=["sentence"]
    )


def test_a_line_of_winobias():
    found = benchmarks.parse_winobias("2 The developer argued with [the designer] because [her] idea won.", place="")
    assert found.text == "The developer argued with the designer because her idea won."
    assert (found.referent, found.pronoun) == ("the designer", "her")
    assert found.tokens[found.pronoun_at] == "her"


def test_slips_of_the_files():
    doubled = benchmarks.parse_winobias("3 He notified the [the chief] and asked [her] to act.", place="")
    assert (doubled.text, doubled.referent) == ("He notified the chief and asked her to act.", "the chief")
    twice = benchmarks.parse_winobias("27 [The developer] came because [he] needed [his] hair cut.", place="")
    assert (twice.pronoun, twice.tokens[twice.pronoun_at]) == ("he", "he")


@pytest.mark.parametrize("line", ["1 No brackets here.", "1 [The cook] left.", "1 [The cook] left [the pan]."])
def test_lines_without_their_brackets_are_refused(line: str):
    with pytest.raises(DataError, match=r"file, line 1: expected a referent and a pronoun in brackets"):
        benchmarks.parse_winobias(line, place="file, line 1")


@pytest.mark.parametrize(("split", "unmatched"), [("validation", 8), ("test", 10)])
def test_the_published_winobias(shared: Path, split: str, unmatched: int):
    pairs = benchmarks.winobias(wino(shared / "winobias", split), world_folder=None)
    assert len(pairs) == 792
    assert all(pair.pro.tokens[pair.pro.pronoun_at] == pair.pro.pronoun for pair in pairs)
    assert sum(not pair.matched for pair in pairs) == unmatched


def test_the_published_crows_pairs(shared: Path):
    path = shared / "crows_pairs" / "crows_pairs_anonymized.csv"
    assert len(benchmarks.crows_pairs(crows(path), world_folder=None)) == 1_508
    assert len(benchmarks.crows_pairs(crows(path, categories=["gender"]), world_folder=None)) == 262
    with pytest.raises(DataError, match=r"no pair of gendre; found age, .*gender"):
        benchmarks.crows_pairs(crows(path, categories=["gendre"]), world_folder=None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n", r"no column sent_more, .*; found a, b, expected sent_more"),
        ("sent_more,sent_less,stereo_antistereo,bias_type\n", "no pairs"),
        ("sent_more,sent_less,stereo_antistereo,bias_type\nx,,stereo,age\n", r"row 2: nothing in sent_less"),
        ("", "found nothing"),
    ],
)
def test_files_that_are_no_crows_pairs(tmp_path: Path, content: str, message: str):
    (tmp_path / "c.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        benchmarks.crows_pairs(crows(tmp_path / "c.csv"), world_folder=None)


def test_missing_files_are_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"evals\.crows_pairs\.path=.*no file"):
        benchmarks.crows_pairs(crows(tmp_path / "absent.csv"), world_folder=None)
    with pytest.raises(DataError, match=r"no file pro_stereotyped_type1\.txt\.dev in it; found nothing"):
        benchmarks.winobias(wino(tmp_path), world_folder=None)
    with pytest.raises(DataError, match="this run has no generated world"):
        benchmarks.crows_pairs(crows(None, source="world"), world_folder=None)


def local_hub(folder: Path, rows: dict[str, list[dict]], split: str) -> str:
    """A data set folder as the hub lays it out: a README that names a configuration's files."""
    lines = ["---", "configs:"]
    for config, examples in rows.items():
        datasets.Dataset.from_list(examples).to_parquet(str(folder / config / f"{split}.parquet"))
        lines += [
            f"- config_name: {config}",
            "  data_files:",
            f"  - split: {split}",
            f"    path: {config}/{split}.parquet",
        ]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]))
    return str(folder)


def test_crows_pairs_in_the_hubs_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    row = {"id": 0, "sent_more": "He ran.", "sent_less": "She ran.", "stereo_antistereo": 0, "bias_type": "gender"}
    monkeypatch.setattr(benchmarks, "CROWS_PAIRS_HUB", local_hub(tmp_path, {"english": [row] * 3}, "test"))
    pairs = benchmarks.crows_pairs(crows(None), world_folder=None)
    assert [(p.item, p.sent_more, p.bias_type) for p in pairs[:1]] == [("0", "He ran.", "gender")]
    assert len(pairs) == 3


def test_winobias_in_the_hubs_format_gives_the_files_items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def row(pronoun: str) -> dict:
        tokens = ["The", "mover", "thanked", "the", "cook", "because", pronoun, "left", "."]
        return {"tokens": tokens, "coreference_clusters": ["0", "1", "6", "6"]}

    names = {
        f"{kind}_{s}": [row("he" if s == "pro" else "she")] for kind in ("type1", "type2") for s in ("pro", "anti")
    }
    monkeypatch.setattr(benchmarks, "WINOBIAS_HUB", local_hub(tmp_path, names, "validation"))
    first = benchmarks.winobias(wino(None), world_folder=None)[0]
    assert first.pro == benchmarks.parse_winobias("1 [The mover] thanked the cook because [he] left.", place="")
    assert first.anti.pronoun == "she"
    assert first.matched


def test_an_unreachable_hub_names_the_local_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(benchmarks, "CROWS_PAIRS_HUB", str(tmp_path / "absent" / "set"))
    with pytest.raises(HubError, match=r"cannot be fetched from the hub.*evals\.crows_pairs\.path=FILE\.csv"):
        benchmarks.crows_pairs(crows(None), world_folder=None)


def test_pronoun_prompts():
    english = PronounsSettings(enabled=True, source="english")
    prompts = benchmarks.pronoun_prompts(english, world_data=None)
    assert len([p for p in prompts if p.subset == "neutral"]) == 14
    assert len({p.item for p in prompts}) == len(prompts) == 74
    generated = PronounsSettings(enabled=True, source="world")
    data = WorldData(kind="world", seed=1, bias_log_odds=2.0, heldout_rows=0)
    planted = [p.planted_log_odds for p in benchmarks.pronoun_prompts(generated, world_data=data) if "nurse" in p.text]
    assert planted == [-2.0] * 3
    with pytest.raises(DataError, match="no generated world; use english"):
        benchmarks.pronoun_prompts(generated, world_data=None)
