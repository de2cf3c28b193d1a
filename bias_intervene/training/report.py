"""Reports of a training: curves and progress while it runs, a model card for each checkpoint, the audit at its end.

Input: the plan, the numbers of each step, the audit of all ranks. Output: training/metrics.jsonl and a progress bar,
the text of README.md of a checkpoint, audit.json, audit_samples.jsonl and audit.html, and training/summary.json.
Guarantees: the summary is written last, so its presence means that the training is done.
"""

import time
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from bias_intervene.console import one_line
from bias_intervene.interventions import INTERVENTIONS
from bias_intervene.interventions.audit import Audit, audit_page
from bias_intervene.interventions.possessive import POSSESSIVES, Possessives
from bias_intervene.plan import Plan
from bias_intervene.record import json_text, without_home, write_bytes, write_json
from bias_intervene.record.tracking import open_tracker
from bias_intervene.settings import TrackingSettings, TrainSettings
from bias_intervene.training.engine import deepspeed_config
from bias_intervene.training.metrics import Metrics


def model_card(plan: Plan, *, step: int) -> str:
    """README.md of an exported checkpoint: what it is, and that it was changed on purpose."""
    repository = one_line(str(without_home(plan.repository)))
    changed = f"altered by `{plan.arm}`" if INTERVENTIONS[plan.arm].alters_rows else "unaltered (the control)"
    return f"""---
library_name: transformers
base_model: {json_text(repository)}
---
{repository}{f" at {plan.revision}" if plan.revision else ""}, trained on from step {plan.start_step:,} to step
{step:,} by bias_intervene; the rows it read on the way are {changed}. Rows {plan.rows[0]:,} to
{plan.rows[0] + (step - plan.start_step) * plan.global_batch_rows:,}, {plan.global_batch_rows:,} a step, sequences of
{plan.sequence_length:,} tokens, learning rate {plan.schedule.kind} with peak {plan.schedule.peak:g}. Weights in fp32.

Made for measuring bias, not for use. settings.json, plan.json and record.json of the run say everything else.
"""


class Curves:
    """The curves and the progress bar of rank 0; the other ranks only count."""

    def __init__(self, run_dir: Path, *, tracking: TrackingSettings, plan: Plan, first_step: int, is_first_rank: bool):
        self.tokens_per_step = plan.global_batch_rows * plan.sequence_length
        self.started_at = self.last_step_at = time.perf_counter()
        self.num_steps = 0
        self.final_loss: float | None = None
        self.metrics, self.bar = None, None
        if is_first_rank:
            tracker = open_tracker(run_dir, tracking)
            self.metrics = Metrics(run_dir / "training", tracker=tracker, first_step=first_step)
            self.bar = tqdm(
                total=plan.end_step,
                initial=first_step,
                desc=f"train {plan.arm}",
                unit="step",
                mininterval=2,
                smoothing=0.1,
            )

    def log(self, step: int, *, loss: float, rate: float, gradient_norm: float | None) -> None:
        """One finished step."""
        now = time.perf_counter()
        speed = self.tokens_per_step / (now - self.last_step_at)
        self.last_step_at, self.num_steps, self.final_loss = now, self.num_steps + 1, loss
        if self.metrics is None or self.bar is None:
            return
        values = {"step": step, "loss": loss, "learning_rate": rate, "tokens_per_second": round(speed, 1)}
        if gradient_norm is not None:
            values["gradient_norm"] = gradient_norm
        self.metrics.log(values)
        self.bar.set_postfix_str(f"loss {loss:.4f}, {speed:,.0f} tokens/s", refresh=False)
        self.bar.update()

    def progress(self) -> dict[str, Any]:
        """What this process did, for the summary."""
        return {
            "steps_this_process": self.num_steps,
            "seconds_this_process": round(time.perf_counter() - self.started_at, 2),
            "final_loss": self.final_loss,
        }

    def close(self) -> None:
        """Closes both."""
        if self.metrics is not None and self.bar is not None:
            self.metrics.close()
            self.bar.close()


def write_summary(run_dir: Path, *, train: TrainSettings, plan: Plan, audit: Audit, progress: dict[str, Any]) -> None:
    """audit.json, audit_samples.jsonl and audit.html; training/summary.json last: present means trained."""
    counts, intervention = audit.counts(), INTERVENTIONS[plan.arm]
    warning = intervention.warning(rows=counts["rows"], num_swaps=counts["num_swaps"], left_alone=counts["skipped"])
    if warning is not None:
        counts["warning"] = warning
    if intervention.faults is not None:
        counts["faults"] = intervention.faults
    if (run_dir / POSSESSIVES).is_file():
        counts["possessives"] = Possessives.load(run_dir / POSSESSIVES).summary()
    write_json(run_dir / "audit.json", {"intervention": plan.arm, **counts})
    html = audit_page(audit, intervention=plan.arm, warning=warning)
    write_bytes(run_dir / "audit.html", html.encode())
    lines = "".join(json_text(sample, indent=None) + "\n" for sample in audit.samples)
    write_bytes(run_dir / "audit_samples.jsonl", lines.encode())
    threads = {"num_ranks": plan.num_ranks, "num_threads": torch.get_num_threads()}
    engine = {"deepspeed": deepspeed_config(train, plan)}
    write_json(run_dir / "training" / "summary.json", progress | threads | engine)
