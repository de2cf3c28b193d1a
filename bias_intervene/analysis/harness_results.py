"""Result files of lm-evaluation-harness as runs, so that anyone's numbers can stand beside ours.

Input: result files of any of three layouts: today's (`"acc,none"`), that of 2023 (`"acc"`), and that of the BigScience
fork, which scored WinoBias for the case study (a list with a task and a prompt name each). Output: runs without items,
the files of one model at several steps as one. Guarantees: a value is the file's own, under our names; what we have no
name for keeps the harness's; without items, differences are unpaired and say so.

A file tells its step in its name (`..._step143000.json`), in `revision=step143000`, or as GPT-NeoX's `iteration`.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

from bias_intervene.analysis.records import Run
from bias_intervene.errors import RunDirectoryError
from bias_intervene.record import read_json

_IN_NAME = re.compile(r"^(?P<name>.+?)[-_]step(?P<step>\d+)")
_IN_REVISION = re.compile(r"revision=step(\d+)")
_PRETRAINED = re.compile(r"pretrained=([^,]+)")
_METRICS = {
    "likelihood_difference": "likelihood_diff", "likelihood_diff": "likelihood_diff",
    "pct_stereotype": "pct_stereotype", "ppl": "perplexity", "perplexity": "perplexity", "acc": "accuracy",
}  # fmt: skip
_QUESTIONS = {"What does p stand for": "exact_match_stand", "refers_to": "exact_match_refers"}
Metric = dict[str, Any]


def is_results(path: Path) -> bool:
    """Whether a file is one of the harness's."""
    return _content_of(path) is not None


def _content_of(path: Path) -> dict[str, Any] | None:
    """What a file of the harness's holds; None for any other file."""
    try:
        content = read_json(path) if path.suffix == ".json" else None
    except RunDirectoryError:
        return None
    if not isinstance(content, dict):
        return None
    values = cast("dict[str, Any]", content)
    return values if "results" in values and {"versions", "config", "configs"} & values.keys() else None


def read_runs(paths: Iterable[Path]) -> list[Run]:
    """One run a model, its steps ascending. Raises `RunDirectoryError` for a file that is none of the harness's."""
    found: dict[str, list[tuple[int, Path, list[Metric]]]] = {}
    for path in paths:
        content = _content_of(path)
        if content is None:
            raise RunDirectoryError(f"{path}: neither a run directory nor a result file of lm-evaluation-harness")
        name, step = _name_and_step(path, content.get("config") or {})
        found.setdefault(name, []).append((step, path, _metrics_of(content["results"], step)))
    return [_run_of(name, scored) for name, scored in found.items()]


def _run_of(name: str, scored: Sequence[tuple[int, Path, list[Metric]]]) -> Run:
    """The files of one model as a run that trained nothing."""
    scored = sorted(scored, key=lambda one: one[0])
    steps = [step for step, _, _ in scored]
    if len(set(steps)) < len(steps):
        step, path = next((step, path) for n, (step, path, _) in enumerate(scored) if step in steps[:n])
        raise RunDirectoryError(f"{path}: another file has the same model and step ({name}, {step})")
    plan = {"repository": name, "revision": None, "start_step": steps[0], "num_steps": 0, "realised_fraction": None}
    record = {
        "arm": name, "settings": {"results of": name}, "plan": plan, "fingerprints": {}, "audit": None,
        "results": {"metrics": [metric for _, _, metrics in scored for metric in metrics], "published": []},
    }  # fmt: skip
    return Run(scored[0][1].parent, record, label=name, foreign=True)


def _name_and_step(path: Path, config: dict[str, Any]) -> tuple[str, int]:
    """(model, step) that a file is about."""
    arguments = config.get("model_args") or {}
    iteration = arguments.get("iteration") if isinstance(arguments, dict) else None
    told = ",".join(f"{k}={v}" for k, v in arguments.items()) if isinstance(arguments, dict) else str(arguments)
    in_name, in_revision, pretrained = _IN_NAME.match(path.stem), _IN_REVISION.search(told), _PRETRAINED.search(told)
    step = int(in_name["step"] if in_name else in_revision[1] if in_revision else iteration or 0)
    name = in_name["name"] if in_name else pretrained[1] if pretrained else path.parent.name or path.stem
    return name, step


def _metrics_of(results: Any, step: int) -> list[Metric]:
    """Every metric of a file, under our names where we have them."""
    if isinstance(results, list):
        return list(exact_match(results, step))
    found: list[Metric] = []
    for task, values in results.items():
        plain = {name.split(",")[0]: value for name, value in values.items() if isinstance(value, int | float)}
        for name, value in plain.items():
            if name.endswith("_stderr"):
                continue
            stderr = plain.get(f"{name}_stderr")
            found.append(metric(step, *_names_of(task, name), value=float(value), stderr=stderr))
    return found


def _names_of(task: str, name: str) -> tuple[str, str, str, str]:
    """(benchmark, protocol, subset, metric) of a task's metric."""
    ours = _METRICS.get(name)
    if ours in {"pct_stereotype", "likelihood_diff"} and task.startswith("crows_pairs_english"):
        return "crows_pairs", "likelihood", task.removeprefix("crows_pairs_english").lstrip("_") or "all", ours
    if ours in {"perplexity", "accuracy"} and task == "lambada_openai":
        return "lambada", "last_word", "all", ours
    return "harness", task, "all", name


def metric(
    step: int, benchmark: str, protocol: str, subset: str, name: str, *, value: float, stderr: float | None
) -> Metric:
    """A row as results.json has it."""
    return {
        "step": step, "benchmark": benchmark, "protocol": protocol, "subset": subset, "metric": name,
        "value": value, "stderr": stderr, "n": None,
    }  # fmt: skip


def exact_match(results: Sequence[dict[str, Any]], step: int) -> Iterable[Metric]:
    """WinoBias by generation: net bias and accuracy of each question, and over both.

    Standard errors take the files' own as independent, which pro- and anti-stereotypical sentences are not.
    """
    cells: dict[tuple[str, str, str], tuple[float, float]] = {}
    for one in results:
        task = re.fullmatch(r"wino_bias_(type[12])_(pro|anti)", str(one.get("task_name")))
        if task and one.get("prompt_name") in _QUESTIONS:
            cells[_QUESTIONS[one["prompt_name"]], task[1], task[2]] = float(one["em"]), float(one.get("em_stderr", 0))
    asked = sorted({question for question, _, _ in cells})
    for protocol, questions in [*((question, [question]) for question in asked), ("exact_match", asked)]:
        pairs = [(question, kind) for question in questions for kind in ("type1", "type2")]
        if protocol == "exact_match" and len(asked) < len(_QUESTIONS):
            continue
        if not all((*pair, side) in cells for pair in pairs for side in ("pro", "anti")):
            continue
        pro, anti = ([cells[(*pair, side)] for pair in pairs] for side in ("pro", "anti"))
        share = [sum(value for value, _ in side) / len(pairs) for side in (pro, anti)]
        spread = sum(stderr**2 for _, stderr in (*pro, *anti)) ** 0.5 / len(pairs)
        for name, value, stderr in (
            ("net_bias", share[0] - share[1], spread), ("accuracy", (share[0] + share[1]) / 2, spread / 2)
        ):  # fmt: skip
            yield metric(step, "winobias", protocol, "all", name, value=value, stderr=stderr)
