"""Curves: every step once."""

import json
from pathlib import Path

from bias_intervene.record.tracking import NoTracker
from bias_intervene.training.metrics import Metrics


def test_steps_lost_with_a_process_are_dropped(tmp_path: Path):
    first = Metrics(tmp_path, tracker=NoTracker(), first_step=0)
    for step in range(5):
        first.log({"step": step, "loss": 1.0})
    first.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')
    again = Metrics(tmp_path, tracker=NoTracker(), first_step=3)
    again.log({"step": 3, "loss": 2.0})
    again.close()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["loss"]) for line in lines] == [(0, 1.0), (1, 1.0), (2, 1.0), (3, 2.0)]
