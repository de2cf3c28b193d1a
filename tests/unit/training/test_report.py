"""What a training leaves beside its weights."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from bias_intervene.interventions.audit import Audit
from bias_intervene.plan import make_plan
from bias_intervene.training import report
from tests.conftest import composed


@pytest.mark.parametrize(
    ("arm", "sentence"),
    [("none", "unaltered (the control)"), ("masculine_to_feminine", "altered by `masculine_to_feminine`")],
)
def test_a_model_card_says_what_was_read(arm: str, sentence: str):
    plan = make_plan(composed("model=70m", f"intervention={arm}", "intervention.fraction=0.07"))
    card = report.model_card(plan, step=133_010)
    assert card.startswith('---\nlibrary_name: transformers\nbase_model: "EleutherAI/pythia-70m-deduped"\n---\n')
    assert sentence in card
    assert "from step 133,000 to step\n133,010" in card
    assert "Rows 136,192,000 to\n136,202,240, 1,024 a step" in card


def test_no_name_of_a_model_breaks_its_card(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/alice")
    plan = make_plan(composed("model=70m", "intervention=none"))
    name = "/home/alice/a: [b]\n---\n# c"
    card = report.model_card(replace(plan, repository=name), step=133_010)
    _, front, body = card.split("---\n", 2)
    assert yaml.safe_load(front)["base_model"] == "~/a: [b] --- # c"
    assert body.startswith("~/a: [b] --- # c at step133000, trained on")


@pytest.mark.parametrize(("arm", "warns"), [("masculine_to_feminine", True), ("none", False), ("retokenize", False)])
def test_an_intervention_that_swapped_nothing_is_warned_of(tmp_path: Path, arm: str, warns: bool):
    settings = composed("experiment=demo", f"intervention={arm}")
    report.write_summary(
        tmp_path, train=settings.train, plan=make_plan(settings), audit=Audit(), progress={"steps_this_process": 0}
    )
    audit = json.loads((tmp_path / "audit.json").read_text())
    assert (audit["intervention"], "warning" in audit) == (arm, warns)
    assert (tmp_path / "audit.html").is_file()
    assert (tmp_path / "audit_samples.jsonl").read_text() == ""
    summary = json.loads((tmp_path / "training" / "summary.json").read_text())
    assert summary.keys() == {"steps_this_process", "num_ranks", "num_threads", "deepspeed"}
