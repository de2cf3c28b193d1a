"""How fast the evaluation is against lm-evaluation-harness: `python -m tests.measurements.evaluation [--json]`.

A model of the 70m shape with random weights (or --model FOLDER), float32, the same items, threads and machine, in one
run. Ratios are the harness's seconds over ours, so more than 1 is faster:

- crows_pairs: the pairs of CrowS-Pairs, two sentences each;
- lambada: rows of about 80 tokens, the last word of each;
- referent_choice: WinoBias's two questions on pro- and anti-stereotypical sentences, two persons each; the harness is
  asked in its way, one request a choice;
- whole_process: all three from the command line, start-up included, and the peak memory of both;
- trajectory: --checkpoints checkpoints in one of our processes over one process for one.

Largest differences of log-likelihoods are printed beside the ratios: what is faster must be the same.
CrowS-Pairs and WinoBias: ../shared/data where it is, else the generated world's; the rows: English that every Python
brings, or --text.
"""

import argparse
import gc
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import AutoTokenizer, GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast

from bias_intervene import models
from bias_intervene.data import world
from bias_intervene.evals.benchmarks import crows_pairs, lambada
from bias_intervene.evals.benchmarks.winobias import items as winobias
from bias_intervene.evals.benchmarks.winobias import questions
from bias_intervene.evals.requests import Request
from bias_intervene.evals.scoring import Scorer
from tests.conftest import SHARED, composed, english, trained, world_data
from tests.helpers.pythia import pythia_history, pythia_shape

PARTS = ("scoring", "process", "trajectory")
WORDS_A_ROW = 60
THEIR_BATCH = 32
"""Requests at once in the harness; on this machine 16 to 64 differ by less than a tenth."""


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="70m", help="shape of the model with random weights")
    parser.add_argument("--model", type=Path, help="a checkpoint folder instead")
    parser.add_argument("--items", type=int, default=1000, help="pairs, rows and sentences at most, of each")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what is measured (default: all)")
    parser.add_argument("--checkpoints", type=int, default=10, help="of the trajectory")
    parser.add_argument("--text", type=Path, help="English for the rows of the last words")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args(argv)
    torch.set_num_threads(asked.threads)
    if not torch.cuda.is_available():  # Or a library that looks for an accelerator says so on standard output.
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    with tempfile.TemporaryDirectory() as name:
        found = measured(asked, Path(name))
    print(json.dumps(found)) if asked.json else Console().print(table(found))


def measured(asked: argparse.Namespace, folder: Path) -> dict[str, dict[str, float]]:
    """Every figure."""
    model = asked.model or random_model(asked.size, folder / "model")
    files = benchmark_files(folder / "data", asked)
    device = torch.device(device_name())
    found: dict[str, dict[str, float]] = {}
    if "scoring" in asked.parts:
        found |= in_one_process(model, files, device)
    if "process" in asked.parts:
        found["whole_process"] = whole_process(model, files, folder, asked)
    if "trajectory" in asked.parts:
        found["trajectory"] = trajectory(model, files, folder, asked)
    return found


# --- what is scored --------------------------------------------------------------------------------------------


def random_model(size: str, folder: Path) -> Path:
    """A checkpoint of a Pythia's shape with random weights; GPT-NeoX's tokenizer where ../shared is."""
    shape = pythia_shape(size)
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=shape.vocabulary_size,
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        intermediate_size=4 * shape.hidden_size,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=0,
    )
    GPTNeoXForCausalLM(config).save_pretrained(folder)
    published = SHARED / "tokenizer" / "20B_tokenizer.json"
    backend = Tokenizer.from_file(str(published)) if published.is_file() else trained("gpt2")
    end = "<|endoftext|>"
    PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=end, eos_token=end, unk_token=end).save_pretrained(
        folder
    )
    return folder


def benchmark_files(folder: Path, asked: argparse.Namespace) -> dict[str, Path]:
    """crows.csv, winobias/, lambada.jsonl, of at most --items each, and a text to name as a corpus."""
    folder.mkdir()
    if SHARED.is_dir():
        source = {"crows": SHARED / "crows_pairs" / "crows_pairs_anonymized.csv", "winobias": SHARED / "winobias"}
    else:
        data = world_data(seed=1, bias_log_odds=2.0, heldout_rows=0)
        world.write_crows_pairs(folder / "all.csv", data)
        world.write_winobias(folder / "all", data)
        source = {"crows": folder / "all.csv", "winobias": folder / "all"}
    files = {"crows": folder / "crows.csv", "winobias": folder / "winobias", "lambada": folder / "lambada.jsonl"}
    lines = source["crows"].read_text(encoding="utf8").splitlines(keepends=True)
    files["crows"].write_text("".join(lines[: asked.items + 1]), encoding="utf8")
    files["winobias"].mkdir()
    for path in source["winobias"].glob("*.txt.*"):
        # Writers and bakers lean the other way in the generated world than by WinoBias's lists, and would be refused.
        lines = path.read_text(encoding="utf8").splitlines(keepends=True)
        sentences = lines if SHARED.is_dir() else [line for line in lines if not re.search("writer|baker", line)]
        (files["winobias"] / path.name).write_text("".join(sentences[: asked.items]), encoding="utf8")
    words = (asked.text.read_text(encoding="utf8") if asked.text else " ".join(english())).split()
    rows = [" ".join(words[n * WORDS_A_ROW : (n + 1) * WORDS_A_ROW]) for n in range(len(words) // WORDS_A_ROW)]
    with files["lambada"].open("w", encoding="utf8") as file:
        file.writelines(json.dumps({"text": row}) + "\n" for row in rows[: asked.items])
    return files


def settings_of(files: dict[str, Path]) -> tuple[str, ...]:
    """The evaluation as a user would ask for it."""
    return (
        f"evals.crows_pairs.path={files['crows']}", f"evals.winobias.path={files['winobias']}",
        "evals.winobias.protocols=[referent_choice]", f"evals.lambada.path={files['lambada']}",
        "evals.pronouns.enabled=false", "evals.perplexity.enabled=false",
    )  # fmt: skip


def requests_of(files: dict[str, Path], scorer: Scorer) -> dict[str, list[tuple[str, str]]]:
    """(context, continuation) of every request, by benchmark; "" is the beginning token alone."""
    evals = composed(
        "model=local", "model.path=x", "data=text", "data.path=x", "evals=paper", *settings_of(files)
    ).evals
    pairs = crows_pairs.read(evals.crows_pairs, world_folder=None)
    sentences = winobias.read(evals.winobias, world_folder=None)
    passages = lambada.read(evals.lambada)
    return {
        "crows_pairs": [("", text) for pair in pairs for text in (pair.sent_more, pair.sent_less)],
        "lambada": [(passage.context, passage.target) for passage in passages],
        "referent_choice": [
            (question, f" {person}")
            for pair in sentences
            for sentence in (pair.pro, pair.anti)
            for question in questions(sentence)
            for person in sentence.candidates or ()
        ],
    }


# --- in one process --------------------------------------------------------------------------------------------


def in_one_process(folder: Path, files: dict[str, Path], device: torch.device) -> dict[str, dict[str, float]]:
    """The scoring alone, the model loaded."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    tokenizer = models.load_tokenizer(folder)
    batch_tokens = composed("model=70m").evals.batch_tokens
    scorer = Scorer(
        models.load_model(folder, dtype="float32"), tokenizer, device=device, batch_tokens=batch_tokens
    )  # fmt: skip
    harness: Any = HFLM(
        pretrained=scorer.model,  # pyright: ignore
        tokenizer=AutoTokenizer.from_pretrained(folder),  # pyright: ignore
        batch_size=THEIR_BATCH,  # pyright: ignore
        prefix_token_id=tokenizer.prefix_id,  # pyright: ignore
    )
    found: dict[str, dict[str, float]] = {}
    for name, texts in requests_of(files, scorer).items():

        def ours(texts: list[tuple[str, str]] = texts, name: str = name) -> np.ndarray:
            made: list[Request] = [
                scorer.after(f"{n}", context, target) if context else scorer.whole(f"{n}", target)
                for n, (context, target) in enumerate(texts)
            ]
            return scorer.scores(made, label=name)[0] if name == "lambada" else scorer.log_likelihoods(made, label=name)

        def theirs(texts: list[tuple[str, str]] = texts) -> np.ndarray:
            made = [Instance("loglikelihood", {}, pair, n) for n, pair in enumerate(texts)]
            return np.array([float(value) for value, _ in harness.loglikelihood(made, disable_tqdm=True)])

        (our_values, our_seconds), (their_values, their_seconds) = timed(ours), timed(theirs)
        again = timed(ours)[1]
        found[name] = {
            "requests": len(texts),
            "ratio": their_seconds / min(our_seconds, again),
            "largest_difference_nats": float(np.abs(our_values - their_values).max()),
        }
    return found


def timed(work: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """(result, seconds)."""
    gc.collect()
    start = time.perf_counter()
    return work(), time.perf_counter() - start


# --- whole processes -------------------------------------------------------------------------------------------


def whole_process(model: Path, files: dict[str, Path], folder: Path, asked: argparse.Namespace) -> dict[str, float]:
    """Both command lines on all three."""
    (folder / "corpus.txt").write_text("No row of it is read.")
    words = (
        "model=local", f"model.path={model}", "intervention=none", "data=text", f"data.path={folder / 'corpus.txt'}",
        "evals=paper", "train.num_steps=0", f"train.device={device_name()}",
        *settings_of(files), f"hydra.run.dir={folder / 'run'}", f"cache_dir={folder / 'cache'}",
    )  # fmt: skip
    ours = process([sys.executable, "-m", "bias_intervene", *words], asked)
    theirs = process(
        [
            sys.executable, "-m", "lm_eval", "--model", "hf",
            "--model_args", f"pretrained={model},dtype=float32", "--tasks", "local_crows,local_lambada,local_referent",
            "--include_path", str(task_files(model, files, folder / "tasks")), "--device", device_name(),
            "--batch_size", str(THEIR_BATCH), "--output_path", str(folder / "theirs"), "--log_samples",
        ],
        asked,
    )  # fmt: skip
    return {
        "ratio": theirs[0] / ours[0],
        "our_peak_gib": ours[1],
        "their_peak_gib": theirs[1],
    }


def device_name() -> str:
    """Of both."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def process(command: list[str], asked: argparse.Namespace) -> tuple[float, float]:
    """(seconds, peak resident GiB of it and what it started, sampled) of a command that ends well."""
    import psutil

    variables = {"OMP_NUM_THREADS": str(asked.threads), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    start = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(command, env={**os.environ, **variables}, stdout=output, stderr=subprocess.STDOUT)
        peak = 0
        while child.poll() is None:
            peak = max(peak, resident(psutil.Process(child.pid)))
            time.sleep(0.2)
        if child.returncode:
            output.seek(0)
            raise SystemExit(f"{' '.join(command[:3])} ended with {child.returncode}: {output.read()[-3000:].decode()}")
    return time.perf_counter() - start, peak / 2**30


def resident(parent: Any) -> int:
    """Bytes resident of a process and its children."""
    import psutil

    total = 0
    try:
        for one in (parent, *parent.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total


def task_files(model: Path, files: dict[str, Path], folder: Path) -> Path:
    """The three benchmarks as tasks of the harness, reading local files."""
    import lm_eval

    packaged = Path(lm_eval.__file__).parent / "tasks"
    folder.mkdir()
    scorer: Any = type("Tokens", (), {"tokenizer": models.load_tokenizer(model)})()
    texts = requests_of(files, scorer)
    sentences = [text for _, text in texts["crows_pairs"]]
    choices = texts["referent_choice"]
    rows = {
        "crows": [{"sent_more": a, "sent_less": b} for a, b in zip(sentences[::2], sentences[1::2], strict=True)],
        "lambada": [{"text": context + target} for context, target in texts["lambada"]],
        "referent": [
            {"query": query, "choices": [one.strip(), other.strip()], "gold": 0}
            for (query, one), (_, other) in zip(choices[::2], choices[1::2], strict=True)
        ],
    }
    heads = {
        "crows": f"include: {packaged / 'crows_pairs' / 'crows_pairs_english.yaml'}\ntag: null\n",
        "lambada": f"include: {packaged / 'lambada' / 'lambada_openai.yaml'}\ntag: null\n",
        "referent": 'output_type: multiple_choice\ntest_split: test\ndoc_to_text: "{{query}}"\n'
        'doc_to_choice: "{{choices}}"\ndoc_to_target: gold\nmetric_list:\n  - metric: acc\n',
    }
    for name, head in heads.items():
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows[name]), encoding="utf8")
        (folder / f"{name}.yaml").write_text(
            f"{head}task: local_{name}\ndataset_path: json\ndataset_name: null\n"
            f"dataset_kwargs:\n  data_files:\n    test: {path}\n"
        )
    return folder


def trajectory(model: Path, files: dict[str, Path], folder: Path, asked: argparse.Namespace) -> dict[str, float]:
    """One process for several checkpoints over one process for one."""
    weights = load_file(model / "model.safetensors")
    steps = [1000 * (number + 1) for number in range(asked.checkpoints)]
    for step in steps:
        place = folder / "steps" / f"step{step}"
        place.mkdir(parents=True)
        for path in model.iterdir():
            if path.suffix != ".safetensors":
                (place / path.name).write_bytes(path.read_bytes())
        next(iter(weights.values())).view(-1)[0] += 1e-3
        save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    steps = [step for step in steps if step in pythia_history(asked.size).checkpoint_steps]

    def evaluate(chosen: list[int], name: str) -> float:
        words = (
            f"model={asked.size}", f"model.path={folder / 'steps'}", f"model.step={chosen[-1]}", "evals=trajectory",
            "intervention.fraction=null", "train.num_steps=0", f"evals.steps={str(chosen).replace(' ', '')}",
            f"train.device={device_name()}", *settings_of(files),
            f"hydra.run.dir={folder / name}", f"cache_dir={folder / f'cache-{name}'}",
        )  # fmt: skip
        return process([sys.executable, "-m", "bias_intervene", *words], asked)[0]

    return {"checkpoints": len(steps), "times_one": evaluate(steps, "many") / evaluate(steps[:1], "one")}


def table(found: dict[str, dict[str, float]]) -> Table:
    """For people."""
    made = Table(title="Evaluation against lm-evaluation-harness", title_justify="left")
    for name in ("what", "figures"):
        made.add_column(name)
    for what, figures in found.items():
        made.add_row(what, ", ".join(f"{name} {value:.4g}" for name, value in figures.items()))
    return made


if __name__ == "__main__":
    main()
