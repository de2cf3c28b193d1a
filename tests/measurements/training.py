"""How fast a training step is: `python -m tests.measurements.training [--size 410m ...] [--json]`.

Random weights of the true shapes, rows of random tokens with pronouns among them, the swap on. Measured in turn, a step
of each, in one process on one device:

- harness: a step of ours, rows read ahead, swapped, loss in chunks, DeepSpeed, gradient clipping, metrics and all;
- bare: the same model, batch and AdamW in a plain PyTorch loop with whole logits (the peer on a CPU, in fp32);
- plain: the same through `transformers` and DeepSpeed as their pages show it, labels given to the model (the peer on a
  GPU, in bf16);
- feed: reading and swapping the rows of a step alone.

Model FLOPs utilisation counts 6 FLOPs a weight and token, the embedding's left out, and 12 x layers x hidden x sequence
for attention (Chowdhery et al. 2022, appendix B), against --peak TFLOP/s.
"""

import argparse
import gc
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, GPTNeoXConfig

from bias_intervene.data.indexed import Rows, write_rows
from bias_intervene.data.stream import RowOrder, RowStream
from bias_intervene.interventions.row_swap import RowSwap
from bias_intervene.plan import Plan, make_plan, pile_rows
from bias_intervene.settings import Settings
from bias_intervene.training.engine import deepspeed_config
from bias_intervene.training.loop import StopFlag, gradient_norm, one_step, start_distributed, start_engine
from tests.conftest import SENTENCES, SHARED, composed, intervention, trained
from tests.helpers.pythia import pythia_shape

H200_TFLOPS = 989.0
"""Dense bf16, of H100 and H200."""


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs="+", help="default: 14m on a CPU; 410m 1.4b 2.8b on a GPU")
    parser.add_argument("--rows", type=int, help="rows a step (default: 2 on a CPU, 64 on a GPU)")
    parser.add_argument("--micro", type=int, help="rows at once (default: 1 on a CPU, the plan's choice on a GPU)")
    parser.add_argument("--sequence-length", type=int, default=pile_rows.SEQUENCE_LENGTH)
    parser.add_argument("--profile", choices=["exact", "fast"], help="default: exact on a CPU, fast on a GPU")
    parser.add_argument("--peer", choices=["bare", "plain"], help="default: bare on a CPU, plain on a GPU")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--gpu-memory-gib", type=float, default=139.0)
    parser.add_argument("--peak", type=float, default=H200_TFLOPS, help="TFLOP/s of the GPU, dense bf16")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args(argv)
    is_gpu = torch.cuda.is_available()
    asked.size = asked.size or (["410m", "1.4b", "2.8b"] if is_gpu else ["14m"])
    asked.rows = asked.rows or (64 if is_gpu else 2)
    asked.profile = asked.profile or ("fast" if is_gpu else "exact")
    if not is_gpu:
        os.environ["DS_ACCELERATOR"] = "cpu"
    ranks = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "0"}
    os.environ.update({name: os.environ.get(name, value) for name, value in ranks.items()})
    with tempfile.TemporaryDirectory() as folder:
        found = {size: measured(size, asked, Path(folder) / size, is_gpu=is_gpu) for size in asked.size}
    if asked.json:
        print(json.dumps(found))
    else:
        Console().print(table(found))


def measured(size: str, asked: argparse.Namespace, folder: Path, *, is_gpu: bool) -> dict[str, Any]:
    """The figures of one size."""
    settings = composed(
        f"model={size}", "data=indexed", "data.path=x", "data.heldout_rows=0", "model.step=142000",
        f"train.num_steps={2 * asked.steps + 4}", f"train.global_batch_rows={asked.rows}",
        f"train.sequence_length={asked.sequence_length}", f"train.profile={asked.profile}",
        f"train.precision={'bf16' if is_gpu else 'fp32'}", f"train.gpu_memory_gib={asked.gpu_memory_gib}",
        f"train.micro_batch_rows={asked.micro or ('null' if is_gpu else 1)}",
        *(() if is_gpu else ("train.activation_checkpointing=false", "train.zero_stage=1")),
    )  # fmt: skip
    plan = make_plan(settings)
    device = start_distributed("auto" if is_gpu else "cpu")
    stream = rows_of(plan, folder)
    feed = feed_seconds(rows_of(plan, folder, again=True), plan, asked.steps)
    name = asked.peer or ("plain" if is_gpu else "bare")
    peer = {"plain": plain, "bare": bare}[name]
    batch = np.stack([stream.rows[number] for number in range(asked.rows)]).astype(np.int64)
    if is_gpu:  # One after the other: two sets of optimizer states may not fit.
        ours = timed(harness(settings, plan, device, stream, size), asked.steps, device)
        memory = torch.cuda.max_memory_allocated() / 2**30
        theirs = timed(peer(settings, plan, device, batch), asked.steps, device)
    else:
        runs = harness(settings, plan, device, stream, size), peer(settings, plan, device, batch)
        ours, theirs = in_turn(runs, asked.steps)
        memory = None
    tokens = asked.rows * asked.sequence_length
    flops = tokens * flops_a_token(size, asked.sequence_length)
    return {
        "device": torch.cuda.get_device_name() if is_gpu else "cpu",
        "profile": asked.profile,
        "micro_batch_rows": plan.micro_batch_rows,
        "activation_checkpointing": plan.activation_checkpointing,
        "tokens_per_second": tokens / ours,
        "model_flops_utilisation": flops / ours / (asked.peak * 1e12) if is_gpu else None,
        "step_seconds": ours,
        f"step_seconds_{name}": theirs,
        "feed_seconds": feed,
        f"speed_against_{name}": theirs / ours,
        "feed_share_of_step": feed / ours,
        "memory_gib": memory,
        "estimated_gib": (plan.memory_gib_by_zero_stage or {}).get(str(plan.zero_stage)),
    }


def flops_a_token(size: str, sequence_length: int) -> float:
    """Model FLOPs of forward and backward pass."""
    shape = pythia_shape(size)
    weights = shape.num_parameters - shape.vocabulary_size * shape.hidden_size
    return 6 * weights + 12 * shape.num_layers * shape.hidden_size * sequence_length


# --- what is measured ------------------------------------------------------------------------------------------


def rows_of(plan: Plan, folder: Path, *, again: bool = False) -> RowStream:
    """A stream over rows of prose, as long as the plan reads, the swap on."""
    found = SHARED / "tokenizer" / "20B_tokenizer.json"
    tokenizer = Tokenizer.from_file(str(found)) if found.is_file() else trained("gpt2", 4000)
    if not again:
        folder.mkdir(parents=True)
        size = plan.sequence_length + 1
        ids = np.resize(np.asarray(tokenizer.encode(SENTENCES * 50).ids), 64 * size).reshape(64, size)
        rows = (ids[number % 64] for number in range(plan.rows[1]))
        write_rows(folder / "rows", rows, row_tokens=size, dtype=np.uint16)
    rows = Rows.open(folder / "rows")
    order = RowOrder(num_rows=len(rows), seed=None, allow_repeats=False)
    swap = RowSwap(intervention("masculine_to_feminine"), tokenizer, seed=1, padding_id=0)
    return RowStream(rows=rows, order=order, plan=plan, rank=0, swap=swap, vocabulary_size=1 << 16)


def new_model(size: str) -> Any:
    """Random weights of the true shape, in fp32 on the CPU."""
    shape = pythia_shape(size)
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=shape.vocabulary_size, hidden_size=shape.hidden_size, num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads, intermediate_size=4 * shape.hidden_size, rotary_pct=0.25,
        use_parallel_residual=True, max_position_embeddings=2048, tie_word_embeddings=False,
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def harness(settings: Settings, plan: Plan, device: torch.device, stream: RowStream, size: str) -> Iterator[None]:
    """Our steps."""
    engine = start_engine(new_model(size), train=settings.train, plan=plan)
    engine.train()
    stop = StopFlag()
    for step in stream.steps(plan.start_step, plan.end_step):
        for group in engine.optimizer.param_groups:
            group["lr"] = 1e-5
        one_step(engine, step, device=device, stop=stop)
        gradient_norm(engine)
        yield


def bare(settings: Settings, plan: Plan, device: torch.device, batch: np.ndarray) -> Iterator[None]:
    """A plain PyTorch loop."""
    model = new_model(settings.model.name).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, betas=(0.9, 0.95), eps=1e-8, fused=True)
    rows = torch.from_numpy(batch).to(device)
    while True:
        for micro in rows.split(plan.micro_batch_rows):
            logits = model(input_ids=micro[:, :-1], use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), micro[:, 1:].flatten())
            (loss / plan.accumulation_steps).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        yield


def plain(settings: Settings, plan: Plan, device: torch.device, batch: np.ndarray) -> Iterator[None]:
    """transformers and DeepSpeed, labels given to the model."""
    import deepspeed

    model = new_model(settings.model.name)
    if plan.activation_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, betas=(0.9, 0.95), eps=1e-8)
    made: Any = deepspeed.initialize(model=model, optimizer=optimizer, config=deepspeed_config(settings.train, plan))
    engine = made[0]
    rows = torch.from_numpy(batch[:, :-1].copy()).to(device)
    while True:
        for micro in rows.split(plan.micro_batch_rows):
            engine.backward(engine(input_ids=micro, labels=micro, use_cache=False).loss)
            engine.step()
        yield


# --- the clock -------------------------------------------------------------------------------------------------


def in_turn(runs: Sequence[Iterator[None]], steps: int) -> list[float]:
    """Median seconds of a step of each, one step of each in turn."""
    seconds: list[list[float]] = [[] for _ in runs]
    for number in range(steps + 2):
        for run, taken in zip(runs, seconds, strict=True):
            began = time.perf_counter()
            next(run)
            if number >= 2:
                taken.append(time.perf_counter() - began)
    return [statistics.median(taken) for taken in seconds]


def timed(run: Iterator[None], steps: int, device: torch.device) -> float:
    """Median seconds of a step on a GPU, compiled and warm."""
    torch.cuda.reset_peak_memory_stats()
    taken: list[float] = []
    for number in range(steps + 3):
        torch.cuda.synchronize(device)
        began = time.perf_counter()
        next(run)
        torch.cuda.synchronize(device)
        if number >= 3:
            taken.append(time.perf_counter() - began)
    del run
    gc.collect()
    torch.cuda.empty_cache()
    return statistics.median(taken)


def feed_seconds(stream: RowStream, plan: Plan, steps: int) -> float:
    """Median seconds of making a step's rows ready."""
    taken: list[float] = []
    for number in range(steps + 2):
        began = time.perf_counter()
        stream.step(plan.start_step + number)
        if number >= 2:
            taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def table(found: dict[str, dict[str, Any]]) -> Table:
    """The figures for people."""
    shown = Table(title="A training step")
    shown.add_column("")
    for size in found:
        shown.add_column(size, justify="right")
    for name in next(iter(found.values())):
        values = [figures[name] for figures in found.values()]
        shown.add_row(name, *(f"{value:,.4g}" if isinstance(value, float) else str(value) for value in values))
    return shown


if __name__ == "__main__":
    main()
