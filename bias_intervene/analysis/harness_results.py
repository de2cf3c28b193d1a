"""Result files of lm-evaluation-harness as runs, so that anyone's numbers can stand beside ours.

Three layouts are read: today's (`"acc,none"`), that of 2023 (`"acc"`), and that of the BigScience fork, which scored
WinoBias for the case study (a list of results, each with a task name and a prompt name). The step of a checkpoint is
taken from the file's name (`..._step143000.json`), from `revision=step143000`, or from GPT-NeoX's `iteration`.

Input: paths of result files.
Output: one run per model, without items; the files of one model at several steps are joined.
Guarantees: values are copied from the files unchanged. A metric that one of our benchmarks has too gets our names;
every other one keeps the harness's. Differences between such runs are unpaired and marked as unpaired.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, cast

from bias_intervene.analysis.records import Run
from bias_intervene.errors import RunDirectoryError
from bias_intervene.record import read_json
from bias_intervene.results import MetricKey, MetricRow

_STEP_IN_FILE_NAME = re.compile(r"^(?P<name>.+?)[-_]step(?P<step>\d+)")
_STEP_IN_REVISION = re.compile(r"revision=step(\d+)")
_PRETRAINED = re.compile(r"pretrained=([^,]+)")
_OUR_METRIC_NAMES = {
    "likelihood_difference": "likelihood_diff", "likelihood_diff": "likelihood_diff",
    "pct_stereotype": "pct_stereotype", "ppl": "perplexity", "perplexity": "perplexity", "acc": "accuracy",
}  # fmt: skip
"""The harness's name of a metric -> ours."""
_QUESTION_PROTOCOLS = {"What does p stand for": "exact_match_stand", "refers_to": "exact_match_refers"}
"""The BigScience fork's name of a WinoBias prompt -> our protocol."""


class _ResultFile(NamedTuple):
    """The metrics of one file, all of one checkpoint."""

    model: str
    step: int
    path: Path
    metrics: list[MetricRow]


class _Cell(NamedTuple):
    """One number of a WinoBias file of the BigScience fork: the accuracy on one question and half of the sentences."""

    protocol: str
    sentence_type: str
    """type1 or type2."""
    stereotype: str
    """pro or anti."""


class _Estimate(NamedTuple):
    """A value with its standard error."""

    value: float
    stderr: float


def is_results(path: Path) -> bool:
    """Whether a file is a result file of the harness."""
    return _read_results(path) is not None


def _read_results(path: Path) -> dict[str, Any] | None:
    """The content of a result file of the harness; None for any other file."""
    try:
        content = read_json(path) if path.suffix == ".json" else None
    except RunDirectoryError:
        return None
    if not isinstance(content, dict):
        return None
    values = cast("dict[str, Any]", content)
    return values if "results" in values and {"versions", "config", "configs"} & values.keys() else None


def read_runs(paths: Iterable[Path]) -> list[Run]:
    """One run per model, its steps ascending. Raises `RunDirectoryError` for a file that the harness did not write."""
    files_by_model: dict[str, list[_ResultFile]] = {}
    for path in paths:
        content = _read_results(path)
        if content is None:
            raise RunDirectoryError(f"{path}: neither a run directory nor a result file of lm-evaluation-harness")
        file = _result_file(path, content)
        files_by_model.setdefault(file.model, []).append(file)
    return [_run_of_files(files) for files in files_by_model.values()]


def _result_file(path: Path, content: Mapping[str, Any]) -> _ResultFile:
    """The model, step and metrics of one file."""
    arguments = (content.get("config") or {}).get("model_args") or {}
    iteration = None
    if isinstance(arguments, dict):
        iteration = arguments.get("iteration")
        arguments = ",".join(f"{name}={value}" for name, value in arguments.items())
    in_file_name, in_revision = _STEP_IN_FILE_NAME.match(path.stem), _STEP_IN_REVISION.search(str(arguments))
    pretrained = _PRETRAINED.search(str(arguments))
    step = int(in_file_name["step"] if in_file_name else in_revision[1] if in_revision else iteration or 0)
    model = in_file_name["name"] if in_file_name else pretrained[1] if pretrained else path.parent.name or path.stem
    return _ResultFile(model, step, path, list(_metrics_of(content["results"], step)))


def _run_of_files(files: Sequence[_ResultFile]) -> Run:
    """The files of one model as a run that trained nothing. Raises `RunDirectoryError` where two have one step."""
    files = sorted(files, key=lambda file: file.step)
    model = files[0].model
    for file, following in pairwise(files):
        if file.step == following.step:
            raise RunDirectoryError(
                f"{following.path}: another file has the same model and step ({model}, {following.step})"
            )
    plan = {
        "repository": model, "revision": None, "start_step": files[0].step, "num_steps": 0, "realised_fraction": None,
    }  # fmt: skip
    metrics = [row.to_json() for file in files for row in file.metrics]
    record = {
        "arm": model, "settings": {"results of": model}, "plan": plan, "fingerprints": {}, "audit": None,
        "results": {"metrics": metrics, "published": []},
    }  # fmt: skip
    return Run(files[0].path.parent, record, label=model, foreign=True)


def _metrics_of(results: Any, step: int) -> Iterator[MetricRow]:
    """Every metric of a file, under our names where one of our benchmarks has it."""
    if isinstance(results, list):
        yield from _winobias_metrics(cast("list[dict[str, Any]]", results), step)
        return
    for task, values in results.items():
        numbers = {name.split(",")[0]: value for name, value in values.items() if isinstance(value, int | float)}
        for name, value in numbers.items():
            if not name.endswith("_stderr"):
                yield _metric_row(_key_of(task, name), step, value, numbers.get(f"{name}_stderr"))


def _metric_row(key: MetricKey, step: int, value: float, stderr: float | None) -> MetricRow:
    """A row of results.json. The files do not say over how many items a value was computed."""
    return MetricRow(**key._asdict(), step=step, value=float(value), stderr=stderr, n=None)


def _key_of(task: str, name: str) -> MetricKey:
    """Our four names of a task's metric; benchmark `harness` where none of ours has it."""
    ours = _OUR_METRIC_NAMES.get(name)
    if ours in {"pct_stereotype", "likelihood_diff"} and task.startswith("crows_pairs_english"):
        category = task.removeprefix("crows_pairs_english").lstrip("_") or "all"
        return MetricKey("crows_pairs", "likelihood", category, ours)
    if ours in {"perplexity", "accuracy"} and task == "lambada_openai":
        return MetricKey("lambada", "last_word", "all", ours)
    return MetricKey("harness", task, "all", name)


def _winobias_metrics(results: Sequence[Mapping[str, Any]], step: int) -> Iterator[MetricRow]:
    """WinoBias by generation, from a file of the BigScience fork: net bias and accuracy of each question and over both.

    Standard errors treat the file's numbers as independent, which pro- and anti-stereotypical sentences are not.
    """
    accuracies: dict[_Cell, _Estimate] = {}
    for result in results:
        task = re.fullmatch(r"wino_bias_(type[12])_(pro|anti)", str(result.get("task_name")))
        if task and result.get("prompt_name") in _QUESTION_PROTOCOLS:
            cell = _Cell(_QUESTION_PROTOCOLS[result["prompt_name"]], task[1], task[2])
            accuracies[cell] = _Estimate(float(result["em"]), float(result.get("em_stderr", 0)))
    protocols = sorted({cell.protocol for cell in accuracies})
    for protocol in protocols:
        yield from _net_bias_and_accuracy(protocol, [protocol], accuracies, step)
    if len(protocols) == len(_QUESTION_PROTOCOLS):
        yield from _net_bias_and_accuracy("exact_match", protocols, accuracies, step)


def _net_bias_and_accuracy(
    name: str, protocols: Sequence[str], accuracies: Mapping[_Cell, _Estimate], step: int
) -> Iterator[MetricRow]:
    """The two metrics over some protocols, under the protocol `name`; none where a number is missing."""
    kinds = [(protocol, sentence_type) for protocol in protocols for sentence_type in ("type1", "type2")]
    if not all(_Cell(*kind, stereotype) in accuracies for kind in kinds for stereotype in ("pro", "anti")):
        return
    pro, anti = ([accuracies[_Cell(*kind, stereotype)] for kind in kinds] for stereotype in ("pro", "anti"))
    mean_pro, mean_anti = (sum(estimate.value for estimate in half) / len(kinds) for half in (pro, anti))
    stderr = sum(estimate.stderr**2 for estimate in (*pro, *anti)) ** 0.5 / len(kinds)
    yield _metric_row(MetricKey("winobias", name, "all", "net_bias"), step, mean_pro - mean_anti, stderr)
    yield _metric_row(MetricKey("winobias", name, "all", "accuracy"), step, (mean_pro + mean_anti) / 2, stderr / 2)
