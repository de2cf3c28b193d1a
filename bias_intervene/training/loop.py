"""The steps: rows of a step in, one update, now and then a checkpoint.

Input: a plan, a stream of rows, a model. Output: training/checkpoints/, and by way of `report` the curves, the audit of
the intervention and a summary. Guarantees: the result depends on settings, plan and inputs, not on interruptions;
SIGTERM, SIGINT, SIGUSR1 and SIGUSR2 end the step at hand, save on all ranks together and stop; a loss that is not
finite stops the run before the update and names the rows.
"""

import contextlib
import math
import os
import signal
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist

from bias_intervene.data.stream import MicroBatch, RowStream, Step
from bias_intervene.errors import BiasInterveneError, StageStopped
from bias_intervene.interventions.audit import Audit
from bias_intervene.plan import Plan
from bias_intervene.run.protocol import STOP_SIGNALS
from bias_intervene.settings import TrackingSettings, TrainSettings
from bias_intervene.training import checkpoint, figure, report
from bias_intervene.training.engine import deepspeed_config
from bias_intervene.training.loss import NextTokenLoss, can_be_chunked
from bias_intervene.training.schedule import learning_rate


class StopFlag:
    """Set by a signal, read between steps."""

    def __init__(self) -> None:
        self.received: str | None = None
        for number in STOP_SIGNALS:
            signal.signal(number, self._handle)

    def _handle(self, number: int, _frame: object) -> None:
        """Remembers which signal came."""
        self.received = signal.Signals(number).name


class StepResult(NamedTuple):
    """Of one update. loss: mean over the global batch, in nats. is_stopped: whether any rank received a signal."""

    loss: float
    is_stopped: bool


def train(
    run_dir: Path,
    *,
    train: TrainSettings,
    tracking: TrackingSettings,
    plan: Plan,
    stream: RowStream,
    model: Any,
    tokenizer_folder: Path,
) -> None:
    """Trains `plan.num_steps` steps from where the run directory stands. Raises `StageStopped` after a signal.

    model: float32, on the CPU. Collective over all ranks.
    """
    checkpoints = run_dir / "training" / "checkpoints"
    is_first_rank = os.environ["RANK"] == "0"
    if plan.end_step in checkpoint.saved_steps(checkpoints):
        # The process before this one ended between its last checkpoint and its summary.
        if is_first_rank:
            audit = checkpoint.load_audit(checkpoints / f"step{plan.end_step}")
            report.write_summary(run_dir, train=train, plan=plan, audit=audit, progress={"steps_this_process": 0})
        return
    if is_first_rank:
        figure.draw(plan, run_dir / "learning_rate.png")
    device = start_distributed(train.device)
    engine = start_engine(model, train=train, plan=plan)
    if is_first_rank:
        checkpoint.clear_partial(checkpoints)
    dist.barrier()
    resumed = checkpoint.load_latest(checkpoints, engine=engine, before=plan.end_step, on_damaged=train.on_damaged)
    stop = StopFlag()  # Until here there is nothing to save, and a signal ends the stage at once.
    first_step = plan.start_step - plan.optimizer_warmup_steps
    if resumed is not None:
        first_step, audit = resumed
        if stream.swap is not None:
            stream.swap.audit = audit
    curves = report.Curves(run_dir, tracking=tracking, plan=plan, first_step=first_step, is_first_rank=is_first_rank)
    audit_of_all_ranks = Audit()
    engine.train()
    with contextlib.closing(stream.steps(first_step, plan.end_step)) as steps:
        for step in steps:
            rate = learning_rate(step.number, plan.schedule)
            for group in engine.optimizer.param_groups:
                group["lr"] = rate
            result = one_step(engine, step, device=device, stop=stop)
            curves.log(step.number, loss=result.loss, rate=rate, gradient_norm=gradient_norm(engine))
            num_done = step.number + 1
            if num_done in plan.checkpoint_steps or result.is_stopped:
                audit_of_all_ranks = checkpoint.save(
                    checkpoints,
                    step=num_done,
                    engine=engine,
                    audit=step.audit,
                    tokenizer_folder=tokenizer_folder,
                    card=report.model_card(plan, step=num_done),
                    keep_resumable=0 if num_done == plan.end_step else train.keep_resumable,
                )
            if result.is_stopped and num_done < plan.end_step:
                curves.close()
                raise StageStopped(
                    f"stopped after step {step.number} and saved; the same command in {run_dir} continues"
                )
    curves.close()
    if is_first_rank:
        progress = curves.progress() | {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
        }
        report.write_summary(run_dir, train=train, plan=plan, audit=audit_of_all_ranks, progress=progress)
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


def start_engine(model: Any, *, train: TrainSettings, plan: Plan) -> Any:
    """DeepSpeed around model and loss, with torch's AdamW and fp32 master weights equal to the checkpoint's."""
    import deepspeed
    from deepspeed.utils import safe_set_full_fp32_param

    _set_profile(train.profile)
    if plan.activation_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    # No copies: DeepSpeed rounds into memory of its own, and these tensors stay as they were loaded.
    masters = {name: p.detach() for name, p in model.named_parameters()} if train.precision == "bf16" else {}
    loss = NextTokenLoss(model, chunked=can_be_chunked(model))
    if loss.chunked and plan.zero_stage == 3:
        # The loss reads the head's weights from outside the head, where ZeRO 3 would not expect it.
        deepspeed.zero.register_external_parameter(loss, model.get_output_embeddings().weight)
    if train.profile == "fast":
        _compile_blocks(model)
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
    with _compiling_nothing():
        engine: Any = deepspeed.initialize(model=loss, optimizer=optimizer, config=deepspeed_config(train, plan))[0]
    # DeepSpeed clones its fp32 masters from the weights it has already rounded to bf16: set them again.
    for name, parameter in engine.module.model.named_parameters():
        if name in masters:
            safe_set_full_fp32_param(parameter, masters[name].to(engine.device))
    return engine


@contextlib.contextmanager
def _compiling_nothing() -> Generator[None]:
    """Within the block torch.compile returns functions as they are; what was compiled before stays compiled.

    To ask whether it knows an optimizer, DeepSpeed imports its Muon, which nothing here uses; its functions are
    decorated with torch.compile, which imports torch's whole compiler: seconds of every start.
    """
    torch_compile = torch.compile

    def leave_as_it_is(function: Any = None, **_: Any) -> Any:
        def decorator(decorated: Callable[..., Any]) -> Callable[..., Any]:
            return decorated

        return decorator if function is None else function

    torch.compile = leave_as_it_is
    try:
        yield
    finally:
        torch.compile = torch_compile


def _set_profile(profile: str) -> None:
    """exact: kernels whose result does not depend on the order in which threads finish, wherever torch has one."""
    if profile == "exact":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        # It would also fill every empty tensor, and DeepSpeed makes one of gigabytes at each step.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    else:
        torch.set_float32_matmul_precision("high")


def _compile_blocks(model: Any) -> None:
    """Compiles each transformer block in place: the longest list of equal modules. Names stay as they are."""
    lists = [module for module in model.modules() if isinstance(module, torch.nn.ModuleList) and len(module)]
    if not lists:
        raise BiasInterveneError(
            "train.profile=fast: this model has no list of blocks to compile; use train.profile=exact"
        )
    for block in max(lists, key=len):
        block.compile()


def one_step(engine: Any, step: Step, *, device: torch.device, stop: StopFlag) -> StepResult:
    """One update over the global batch. Collective."""
    total = torch.zeros(2, dtype=torch.float64, device=device)
    for number, batch in enumerate(step.batches, start=1):
        loss = engine(*_to_device(batch, device))
        engine.backward(loss)
        total[0] += loss.detach().double() / len(step.batches)
        if number == len(step.batches):
            total[1] = float(stop.received is not None)
            dist.all_reduce(total)
            mean = float(total[0]) / dist.get_world_size()
            if not math.isfinite(mean):
                raise BiasInterveneError(_not_finite(mean, step))
        engine.step()
    return StepResult(float(total[0]) / dist.get_world_size(), bool(total[1] > 0))


def _not_finite(mean: float, step: Step) -> str:
    """The message about a loss that is no number."""
    first_rows = ", ".join(str(number) for batch in step.batches for number in batch.row_numbers[:1])
    last = step.batches[-1].row_numbers[-1]
    return (
        f"step {step.number}: the loss is {mean}; stopped before the update. Rows of this step on rank "
        f"{dist.get_rank()}: micro batches that begin at {first_rows}, the last row {last}. Lower "
        "train.learning_rate, or look at these rows"
    )


def _to_device(batch: MicroBatch, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """(rows_BS, num_tokens_B) as tensors on the device; from pinned memory, so that copying does not wait."""
    tensors = torch.from_numpy(batch.rows_BS), torch.from_numpy(batch.num_tokens_B)
    if device.type == "cuda":
        tensors = tensors[0].pin_memory(), tensors[1].pin_memory()
    return tensors[0].to(device, non_blocking=True), tensors[1].to(device, non_blocking=True)


def gradient_norm(engine: Any) -> float | None:
    """Norm of the last update's gradient before clipping; None where DeepSpeed does not keep it (ZeRO 0)."""
    norm = engine.get_global_grad_norm()
    return None if norm is None else float(norm)


def seed_everything(seed: int) -> None:
    """Seeds every generator a model could draw from."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
