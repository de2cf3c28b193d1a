"""The steps: rows of a step in, one update, now and then a checkpoint.

Enters: a plan, a stream of rows, a model. Leaves: training/checkpoints/, training/metrics.jsonl, the audit of the
intervention. Promised: the result depends on settings, plan and inputs, not on interruptions; SIGTERM, SIGINT, SIGUSR1
and SIGUSR2 end the step at hand, save on all ranks together and stop; a loss that is not finite stops before the
update and names the rows.
"""

import contextlib
import json
import math
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from tqdm import tqdm

from bias_intervene.data.stream import MicroBatch, RowStream, Step
from bias_intervene.errors import BiasInterveneError, StageStopped
from bias_intervene.interventions import INTERVENTIONS
from bias_intervene.interventions.audit import Audit, audit_page
from bias_intervene.interventions.possessive import POSSESSIVES, Possessives
from bias_intervene.plan import Plan
from bias_intervene.record import write_bytes, write_json
from bias_intervene.record.tracking import open_tracker
from bias_intervene.run.protocol import STOP_SIGNALS
from bias_intervene.settings import Settings
from bias_intervene.training import checkpoint, figure
from bias_intervene.training.engine import deepspeed_config
from bias_intervene.training.loss import NextTokenLoss, can_be_chunked
from bias_intervene.training.metrics import Metrics
from bias_intervene.training.schedule import learning_rate


class StopFlag:
    """Set by a signal, read between steps."""

    def __init__(self) -> None:
        self.received: str | None = None
        for number in STOP_SIGNALS:
            signal.signal(number, self.handle)

    def handle(self, number: int, _frame: object) -> None:
        """Remembers which signal came."""
        self.received = signal.Signals(number).name


def train(
    run_dir: Path, *, settings: Settings, plan: Plan, stream: RowStream, model: Any, tokenizer_folder: Path
) -> None:
    """Trains `plan.num_steps` steps from where the run directory stands. Raises `StageStopped` after a signal.

    model: float32, on the CPU. Collective over all ranks.
    """
    checkpoints = run_dir / "training" / "checkpoints"
    if plan.end_step in checkpoint.saved_steps(checkpoints):
        # The process before this one ended between its last checkpoint and its summary.
        if os.environ["RANK"] == "0":
            audit = checkpoint.load_audit(checkpoints / f"step{plan.end_step}")
            write_summary(run_dir, settings=settings, plan=plan, audit=audit, progress={"steps_this_process": 0})
        return
    stop = StopFlag()
    if os.environ["RANK"] == "0":
        figure.draw(plan, run_dir / "learning_rate.png")
    device = start_distributed(settings.train.device)
    engine = start_engine(model, settings=settings, plan=plan)
    if dist.get_rank() == 0:
        checkpoint.clear_partial(checkpoints)
    dist.barrier()
    resumed = checkpoint.load_latest(
        checkpoints, engine=engine, before=plan.end_step, on_damaged=settings.train.on_damaged
    )
    first = plan.start_step - plan.optimizer_warmup_steps
    if resumed is not None:
        first, audit = resumed
        if stream.swap is not None:
            stream.swap.audit = audit
    curves = Curves(run_dir, settings=settings, plan=plan, first=first, rank=dist.get_rank())
    total = Audit()
    engine.train()
    with contextlib.closing(stream.steps(first, plan.end_step)) as steps:
        for step in steps:
            rate = learning_rate(step.number, plan.schedule)
            for group in engine.optimizer.param_groups:
                group["lr"] = rate
            loss, stopped = one_step(engine, step, device=device, stop=stop)
            curves.log(step.number, loss=loss, rate=rate, gradient_norm=gradient_norm(engine))
            done = step.number + 1
            if done in plan.checkpoint_steps or stopped:
                total = checkpoint.save(
                    checkpoints,
                    step=done,
                    engine=engine,
                    audit=step.audit,
                    tokenizer_folder=tokenizer_folder,
                    card=model_card(plan, step=done),
                    keep_resumable=0 if done == plan.end_step else settings.train.keep_resumable,
                )
            if stopped and done < plan.end_step:
                curves.close()
                raise StageStopped(
                    f"stopped after step {step.number} and saved; the same command in {run_dir} continues"
                )
    curves.close()
    if dist.get_rank() == 0:
        progress = curves.progress() | {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
        }
        write_summary(run_dir, settings=settings, plan=plan, audit=total, progress=progress)
    dist.barrier()


def start_distributed(device: str) -> torch.device:
    """Joins the process group: NCCL on GPUs, gloo on CPUs."""
    import deepspeed

    if device == "cuda" and not torch.cuda.is_available():
        raise BiasInterveneError("train.device=cuda: no GPU is visible; use train.device=auto or cpu")
    if torch.cuda.is_available() and device != "cpu":
        local = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(local)
        backend = "nccl"
    else:
        local, backend = torch.device("cpu"), "gloo"
        # Otherwise the first group on a CPU compiles a shared-memory op for a minute; the results are the same.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend=backend, verbose=False)
    return local


def start_engine(model: Any, *, settings: Settings, plan: Plan) -> Any:
    """DeepSpeed around model and loss, with torch's AdamW and fp32 master weights equal to the checkpoint's."""
    import deepspeed
    from deepspeed.utils import safe_set_full_fp32_param

    train = settings.train
    set_profile(train.profile)
    if plan.activation_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    # No copies: DeepSpeed rounds into memory of its own, and what is kept here stays as it was loaded.
    masters = {name: p.detach() for name, p in model.named_parameters()} if train.precision == "bf16" else {}
    loss = NextTokenLoss(model, chunked=can_be_chunked(model))
    if loss.chunked and plan.zero_stage == 3:
        # The loss reads the head's weights from outside the head, where ZeRO 3 would not expect it.
        deepspeed.zero.register_external_parameter(loss, model.get_output_embeddings().weight)
    if train.profile == "fast":
        compile_blocks(model)
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": train.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=0.0,
        betas=(train.adam_beta1, train.adam_beta2),
        eps=train.adam_epsilon,
        fused=True,
    )
    made: Any = deepspeed.initialize(model=loss, optimizer=optimizer, config=deepspeed_config(train, plan))
    engine = made[0]
    # DeepSpeed clones its fp32 masters from the weights it has already rounded to bf16: set them again.
    for name, parameter in engine.module.model.named_parameters():
        if name in masters:
            safe_set_full_fp32_param(parameter, masters[name].to(engine.device))
    return engine


def set_profile(profile: str) -> None:
    """exact: kernels whose result does not depend on the order in which threads finish, wherever torch has one."""
    if profile == "exact":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        # It would also fill every empty tensor, and DeepSpeed makes one of gigabytes at each step.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    else:
        torch.set_float32_matmul_precision("high")


def compile_blocks(model: Any) -> None:
    """Compiles each transformer block in place: the longest list of equal modules. Names stay as they are."""
    lists = [module for module in model.modules() if isinstance(module, torch.nn.ModuleList) and len(module)]
    if not lists:
        raise BiasInterveneError(
            "train.profile=fast: this model has no list of blocks to compile; use train.profile=exact"
        )
    for block in max(lists, key=len):
        block.compile()


def one_step(engine: Any, step: Step, *, device: torch.device, stop: StopFlag) -> tuple[float, bool]:
    """One update over the global batch. Returns (its mean loss in nats, whether any rank was told to stop)."""
    total = torch.zeros(2, dtype=torch.float64, device=device)
    for number, batch in enumerate(step.batches, start=1):
        loss = engine(*to_device(batch, device))
        engine.backward(loss)
        total[0] += loss.detach().double() / len(step.batches)
        if number == len(step.batches):
            total[1] = float(stop.received is not None)
            dist.all_reduce(total)
            mean = float(total[0]) / dist.get_world_size()
            if not math.isfinite(mean):
                raise BiasInterveneError(not_finite(mean, step))
        engine.step()
    return float(total[0]) / dist.get_world_size(), bool(total[1] > 0)


def not_finite(mean: float, step: Step) -> str:
    """What to say of a loss that is no number."""
    read = ", ".join(str(number) for batch in step.batches for number in batch.row_numbers[:1])
    last = step.batches[-1].row_numbers[-1]
    return (
        f"step {step.number}: the loss is {mean}; stopped before the update. Rows of this step on rank "
        f"{dist.get_rank()}: micro batches that begin at {read}, the last row {last}. Lower train.learning_rate, or "
        "look at these rows"
    )


def to_device(batch: MicroBatch, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """(rows_BS, num_tokens_B) as tensors on the device; from pinned memory, so that copying does not wait."""
    tensors = torch.from_numpy(batch.rows_BS), torch.from_numpy(batch.num_tokens_B)
    if device.type == "cuda":
        tensors = tensors[0].pin_memory(), tensors[1].pin_memory()
    return tensors[0].to(device, non_blocking=True), tensors[1].to(device, non_blocking=True)


def gradient_norm(engine: Any) -> float | None:
    """Norm of the last update's gradient before clipping; None where DeepSpeed does not keep it (ZeRO 0)."""
    norm = engine.get_global_grad_norm()
    return None if norm is None else float(norm)


def model_card(plan: Plan, *, step: int) -> str:
    """README.md of an exported checkpoint: what it is, and that it was changed on purpose."""
    changed = "unaltered (the control)" if not INTERVENTIONS[plan.arm].alters_rows else f"altered by `{plan.arm}`"
    return f"""---
library_name: transformers
base_model: {plan.repository}
---
{plan.repository}{f" at {plan.revision}" if plan.revision else ""}, trained on from step {plan.start_step:,} to step
{step:,} by bias_intervene; the rows it read on the way are {changed}. Rows {plan.rows[0]:,} to
{plan.rows[0] + (step - plan.start_step) * plan.global_batch_rows:,}, {plan.global_batch_rows:,} a step, sequences of
{plan.sequence_length:,} tokens, learning rate {plan.schedule.kind} with peak {plan.schedule.peak:g}. Weights in fp32.

Made for measuring bias, not for use. settings.json, plan.json and record.json of the run say everything else.
"""


class Curves:
    """The curve and the progress bar of rank 0; silent elsewhere."""

    def __init__(self, run_dir: Path, *, settings: Settings, plan: Plan, first: int, rank: int):
        self.tokens_a_step = plan.global_batch_rows * plan.sequence_length
        self.started = self.last = time.perf_counter()
        self.steps = 0
        self.final_loss: float | None = None
        self.metrics, self.bar = None, None
        if rank == 0:
            tracker = open_tracker(run_dir, settings.tracking)
            self.metrics = Metrics(run_dir / "training", tracker=tracker, first_step=first)
            self.bar = tqdm(
                total=plan.end_step,
                initial=first,
                desc=f"train {plan.arm}",
                unit="step",
                mininterval=2,
                smoothing=0.1,
            )

    def log(self, step: int, *, loss: float, rate: float, gradient_norm: float | None) -> None:
        """One finished step."""
        now = time.perf_counter()
        speed = self.tokens_a_step / (now - self.last)
        self.last, self.steps, self.final_loss = now, self.steps + 1, loss
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
            "steps_this_process": self.steps,
            "seconds_this_process": round(time.perf_counter() - self.started, 2),
            "final_loss": self.final_loss,
        }

    def close(self) -> None:
        """Ends both."""
        if self.metrics is not None and self.bar is not None:
            self.metrics.close()
            self.bar.close()


def write_summary(run_dir: Path, *, settings: Settings, plan: Plan, audit: Audit, progress: dict[str, Any]) -> None:
    """audit.json, audit_samples.jsonl and audit.html; training/summary.json last: present means trained."""
    counts, intervention = audit.counts(), INTERVENTIONS[plan.arm]
    warning = intervention.warning(rows=counts["rows"], num_swaps=counts["num_swaps"])
    if warning is not None:
        counts["warning"] = warning
    if intervention.faults is not None:
        counts["faults"] = intervention.faults
    if (run_dir / POSSESSIVES).is_file():
        counts["possessives"] = Possessives.load(run_dir / POSSESSIVES).summary()
    write_json(run_dir / "audit.json", {"intervention": plan.arm, **counts})
    html = audit_page(audit, intervention=plan.arm, warning=warning)
    write_bytes(run_dir / "audit.html", html.encode())
    lines = "".join(json.dumps(sample, ensure_ascii=False) + "\n" for sample in audit.samples)
    write_bytes(run_dir / "audit_samples.jsonl", lines.encode())
    threads = {"num_ranks": plan.num_ranks, "num_threads": torch.get_num_threads()}
    engine = {"deepspeed": deepspeed_config(settings.train, plan)}
    write_json(run_dir / "training" / "summary.json", progress | threads | engine)


def seed_everything(seed: int) -> None:
    """Seeds every generator a model could draw from."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
