"""Is a run that is killed the run that never was? `python -m tests.measurements.kills [--kills 10] [--steps 24]`.

A 14m-shaped model with random weights, shards cut without regard to rows, as the Pile's are, two ranks on the CPU. One
run is left alone. The other is killed (`kill -9`, of a rank or of the controller) at random moments while it starts,
trains or saves, and started again each time. Printed: who was killed after how many steps, how many processes outlived
it, and whether the sha256 of the last model.safetensors and the audits are the same. Some minutes.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from bias_intervene.record import sha256_of_file
from tests.conftest import NO_BENCHMARKS, SENTENCES, SHARED, trained
from tests.measurements.training import new_model

SHARD_BYTES = 150_001
ROW_TOKENS = 2049


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 1 where the two runs differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--seed", type=int, default=3, help="of the moments")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        words = inputs(folder, asked.steps)
        left_alone, killed = folder / "left_alone", folder / "killed"
        start(left_alone, words).wait()
        kills = kill(killed, words, asked)
        start(killed, words).wait()
        weights = f"training/checkpoints/step{142_000 + asked.steps}/model.safetensors"
        found = {
            "kills": kills,
            "same_weights": sha256_of_file(left_alone / weights) == sha256_of_file(killed / weights),
            "same_audit": (left_alone / "audit.json").read_bytes() == (killed / "audit.json").read_bytes(),
            "sha256": sha256_of_file(killed / weights),
        }
    print(json.dumps(found) if asked.json else "\n".join(f"{name}: {value}" for name, value in found.items()))
    return 0 if found["same_weights"] and found["same_audit"] else 1


def inputs(folder: Path, steps: int) -> list[str]:
    """Makes checkpoint and shards; returns the overrides of the run."""
    known = SHARED / "tokenizer" / "20B_tokenizer.json"
    tokenizer = Tokenizer.from_file(str(known)) if known.is_file() else trained("gpt2", 4000)
    base = folder / "14m" / "step142000"
    new_model("14m").save_pretrained(base)
    end = "<|endoftext|>"
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=end, bos_token=end).save_pretrained(base)
    ids = np.asarray(tokenizer.encode(SENTENCES * 50).ids, dtype=np.uint16)
    rows = np.resize(ids, (2 * steps + 20) * ROW_TOKENS)
    stream = rows.tobytes()
    pieces = [stream[at : at + SHARD_BYTES] for at in range(0, len(stream), SHARD_BYTES)]
    (folder / "shards").mkdir()
    for number, piece in enumerate(pieces):
        (folder / "shards" / f"document-{number:05}-of-{len(pieces) - 1:05}.bin").write_bytes(piece)
    return [
        "model=14m", f"model.path={folder / '14m'}", "model.step=142000", "data=indexed",
        f"data.path={folder / 'shards'}", "data.shuffle=false", f"train.num_steps={steps}",
        "train.global_batch_rows=2", "train.micro_batch_rows=1", "train.num_processes=2", "train.num_threads=1",
        "train.precision=fp32", "train.zero_stage=1", "train.activation_checkpointing=false", "train.device=cpu",
        "train.save_interval=2", *NO_BENCHMARKS, "evals.pronouns.enabled=false",
        f"cache_dir={folder / 'cache'}",
    ]  # fmt: skip


def start(run_dir: Path, words: Sequence[str]) -> "subprocess.Popen[bytes]":
    """The run, started or continued."""
    return subprocess.Popen(
        [sys.executable, "-m", "bias_intervene", *words, f"hydra.run.dir={run_dir}"],
        env=dict(os.environ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def steps_done(run_dir: Path) -> int:
    """Lines of the curve."""
    path = run_dir / "training" / "metrics.jsonl"
    return len(path.read_text().splitlines()) if path.is_file() else 0


def kill(run_dir: Path, words: Sequence[str], asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Kills as often as asked; returns what was killed when."""
    draw, kills = random.Random(asked.seed), []
    for number in range(asked.kills):
        process = start(run_dir, words)
        controller = psutil.Process(process.pid)
        if number % 3:
            wanted = asked.steps * number // (asked.kills + 1)
            until = time.monotonic() + 120
            while time.monotonic() < until and steps_done(run_dir) < wanted:
                time.sleep(0.05)
            time.sleep(draw.uniform(0, 2))
        else:
            time.sleep(draw.uniform(1, 20))
        below = controller.children(recursive=True)
        ranks = [child for child in below if child.ppid() != controller.pid]
        victim = draw.choice(ranks) if ranks and draw.random() < 0.7 else controller
        victim.kill()
        process.wait()
        _, alive = psutil.wait_procs(below, timeout=60)
        kills.append(
            {
                "killed": "controller" if victim is controller else "rank",
                "steps": steps_done(run_dir),
                "alive_after": len(alive),
            }
        )
    return kills


if __name__ == "__main__":
    sys.exit(main())
