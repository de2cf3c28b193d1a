"""The recipe "Add a benchmark" of the package's README, followed with a toy benchmark."""

import io
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from pydantic import Field, StrictStr
from rich.console import Console
from safetensors.torch import load_file, save_file

import bias_intervene
from bias_intervene.analysis.comparison import Comparison, compare
from bias_intervene.analysis.report import exports, figures, html, terminal
from bias_intervene.evals.benchmarks.benchmark import Benchmark, Scored, ScoringInputs, Sources, scored
from bias_intervene.evals.benchmarks.registry import BENCHMARKS
from bias_intervene.evals.metrics import ItemRow, mean_of
from bias_intervene.evals.scoring import Scorer
from bias_intervene.evals.suite import Checkpoint, evaluate, load_items
from bias_intervene.record import write_json
from bias_intervene.results import MetricKey, MetricSpec
from bias_intervene.settings import EvalsSettings
from bias_intervene.settings.evals import BenchmarkSettings
from tests.conftest import TINY, composed

README = Path(bias_intervene.__file__).parent / "README.md"

# --- step 1: items, scoring, specs -------------------------------------------------------------------------------

_SHARE = MetricSpec("toy", "she_share", family="bias", unit="share", in_nats="log_odds")
_NATS = replace(_SHARE, metric="log_odds", unit="nats", in_nats=None)


@dataclass(frozen=True)
class Opening:
    """An opening after which she or he follows."""

    item: str
    text: str


class Toy(Benchmark):
    """she against he."""

    name = "toy"
    version = 1
    caveats = ("Toy: four openings are no benchmark.",)
    specs = (_SHARE.at("choice", "all", "toy she %", headline=True), _SHARE, _NATS)

    def items(self, evals: EvalsSettings, sources: Sources) -> list[Opening]:
        assert isinstance(evals, EvalsWithToy)
        nouns = ("nurse", "clerk", "lawyer", "guard")
        return [Opening(noun, evals.toy.opening.format(noun=noun)) for noun in nouns]

    def score(self, items: Sequence[Opening], scorer: Scorer, inputs: ScoringInputs) -> Scored:
        requests = [scorer.after(one.item, one.text, f" {word}") for one in items for word in ("she", "he")]
        by_item = scorer.log_likelihoods(requests, label="toy").reshape(-1, 2).tolist()
        rows: list[ItemRow] = [
            {
                "item": one.item, "protocol": "choice", "subsets": ["all"],
                "she_share": float(she > he), "log_odds": she - he,
            }
            for one, (she, he) in zip(items, by_item, strict=True)
        ]  # fmt: skip
        return scored(
            rows, [mean_of(rows, protocol="choice", subset="all", metric=m) for m in ("she_share", "log_odds")]
        )


# --- step 3: settings ----------------------------------------------------------------------------------------------


class ToySettings(BenchmarkSettings):
    """she against he."""

    opening: StrictStr = Field(description="A sentence with {noun}.")


class EvalsWithToy(EvalsSettings):
    """As if `toy` were a field of EvalsSettings."""

    toy: ToySettings


def evals_with_toy(*, enabled: bool = True, opening: str = "The {noun} said that") -> EvalsWithToy:
    """Nothing but the toy is scored. Steps 3 and 4."""
    values = composed("model=demo", *TINY).evals.without_benchmarks().model_dump()
    return EvalsWithToy.model_validate({**values, "toy": {"enabled": enabled, "opening": opening}})


# --- what follows by itself ----------------------------------------------------------------------------------------


def write_run(folder: Path, arm: str, evals: EvalsSettings, checkpoint: Path) -> Path:
    """A run directory whose last checkpoint is scored, step 20 of 20."""
    items = load_items(evals, world_folder=None, world_data=None)
    fingerprints = evaluate(
        folder,
        evals=evals,
        items=items,
        checkpoints=[Checkpoint(20, checkpoint)],
        heldout_rows=None,
        device=torch.device("cpu"),
        cache=folder.parent / "cache",
    )
    settings = {"seed": 1, "intervention": {"name": arm, "fraction": 0.1, "probability": 1.0}, "dry_run": False}
    write_json(folder / "settings.json", settings)
    write_json(
        folder / "record.json",
        {
            "schema": 2, "status": "complete", "arm": arm, "settings": settings, "audit": None,
            "plan": {"start_step": 10, "repository": "r", "revision": None, "num_steps": 10},
            "fingerprints": fingerprints, "benchmarks": items.notes(),
            "results": json.loads((folder / "results.json").read_text()),
        },
    )  # fmt: skip
    return folder


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Step 2: the toy is in the registry."""
    monkeypatch.setitem(BENCHMARKS, "toy", Toy())


def with_opposite_head(base: Path, folder: Path) -> Path:
    """A copy of a checkpoint whose logits have the opposite sign."""
    shutil.copytree(base, folder)
    weights = load_file(folder / "model.safetensors")
    weights["embed_out.weight"] *= -1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture
def compared(registered: None, tmp_path: Path, base: Path) -> Comparison:
    """Two arms, scored on the toy and compared."""
    write_run(tmp_path / "runs" / "none", "none", evals_with_toy(), base)
    arm = "masculine_to_feminine"
    write_run(tmp_path / "runs" / arm, arm, evals_with_toy(), with_opposite_head(base, tmp_path / "opposite"))
    return compare([tmp_path / "runs" / "none", tmp_path / "runs" / "masculine_to_feminine"])


def test_it_is_planned_and_switched_off_like_the_others():
    evals = evals_with_toy()
    assert evals.scored_benchmarks() == ("toy",)
    assert evals.without_benchmarks().scored_benchmarks() == ()
    assert evals_with_toy(enabled=False).scored_benchmarks() == ()


def test_it_is_in_results_json_with_its_spec(compared: Comparison, tmp_path: Path):
    results = json.loads((tmp_path / "runs" / "none" / "results.json").read_text())
    assert [(row["step"], row["benchmark"], row["metric"], row["n"]) for row in results["metrics"]] == [
        (20, "toy", "she_share", 4), (20, "toy", "log_odds", 4),
    ]  # fmt: skip
    assert [MetricSpec.from_json(values) for values in results["specs"]] == list(Toy.specs)
    assert (tmp_path / "runs" / "none" / "evals" / "step20" / "toy.parquet").is_file()


def test_it_is_compared_item_by_item(compared: Comparison):
    rows = {row.metric: row for row in compared.rows if row.is_against_control}
    share, odds = rows["she_share"], rows["log_odds"]
    assert (share.paired, share.n) == (True, 4)
    # The opposite logits: every item prefers the other pronoun, by as many nats.
    assert (share.baseline, odds.baseline) == (pytest.approx(1 - share.value), pytest.approx(-odds.value))
    assert odds.difference == pytest.approx(2 * odds.value)
    assert share.difference_nats == odds.difference
    # The one headline metric of bias is the whole family of tests.
    assert (share.p_holm, odds.p_holm) == (share.p, None)


def test_it_is_in_every_table_and_figure_under_its_label(compared: Comparison):
    console = Console(width=100, file=io.StringIO())
    console.print(terminal.comparison(compared))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "toy she %" in text
    assert "Toy: four openings are no benchmark." in text
    assert r"toy she \%" in exports.latex(compared)
    drawn = figures.figures(compared)
    assert "forest_points" in [figure.name for figure in drawn]
    assert "four openings are no benchmark" in html.page(compared, drawn)
    assert compared.specs.short_name(MetricKey("toy", "choice", "all", "she_share")) == "toy she %"


def test_other_items_are_another_evaluation(registered: None, tmp_path: Path, base: Path):
    write_run(tmp_path / "one", "none", evals_with_toy(), base)
    write_run(tmp_path / "two", "none", evals_with_toy(opening="We know that the {noun} said that"), base)
    assert len(list((tmp_path / "cache" / "evaluations").glob("*/metrics.json"))) == 2


def test_the_recipe_names_six_files_that_are_there():
    section = README.read_text(encoding="utf8").split("## Add a benchmark")[1].split("\n## ")[0]
    paths = re.findall(r"^\d\. `([^`]+)`( \(new)?", section, re.MULTILINE)
    assert len(paths) == 6
    root = README.parent.parent
    assert all((root / path).is_file() for path, is_new in paths if not is_new)
    assert all((root / path).parent.is_dir() for path, is_new in paths if is_new)


@pytest.mark.parametrize("name", sorted(set(BENCHMARKS) - {"harness"}))
def test_every_benchmark_is_where_the_recipe_says(name: str):
    """Settings of its name, and specs that name it alone."""
    assert name in EvalsSettings.model_fields
    assert {spec.benchmark for spec in BENCHMARKS[name].specs} == {name}
