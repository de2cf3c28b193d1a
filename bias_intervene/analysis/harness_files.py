"""One result file of lm-evaluation-harness: the checkpoint it scored, how each task was scored, and the metrics.

Three layouts are read: today's (`"acc,none"`), that of 2023 (`"acc"`), and that of the BigScience fork, which scored
WinoBias for the case study (a list of results, each with a task name and a prompt name). The step of a checkpoint is
taken from the file's name (`..._step143000.json`), from the revision (`step143000`, `stage1-step140000-tokens294B`),
from the name of the model (`.../checkpoint-500`), or from GPT-NeoX's `iteration`; without any of these it is None.

Input: the path of a result file.
Output: a `ResultFile`.
Guarantees: values are copied unchanged. A metric that one of our benchmarks has too gets our names; every other one
keeps the harness's, with the filter of the answers where there is one, so that metrics with different filters are
different metrics. A file with a value of the wrong type is refused, with the key.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from pydantic import BaseModel, Field, ValidationError

from bias_intervene.errors import RunDirectoryError
from bias_intervene.record import fingerprint, read_json
from bias_intervene.results import MetricKey, MetricRow

_STEP_IN_FILE_NAME = re.compile(r"^(?P<name>.+?)[-_]step(?P<step>\d+)")
_STEP = re.compile(
    r"(?<![a-z])(?:(?:global_?)?step[-_]?(?P<step>\d+)(?P<thousands>k?)|checkpoint[-_](?P<checkpoint>\d+))(?![a-z\d])",
    re.IGNORECASE,
)
"""The step in a published name: step1000, global_step1000, step-125000, step_20k, checkpoint-500."""
_TOKENS = re.compile(r"[-_](?:tokens)?\d+(?:\.\d+)?[bt]", re.IGNORECASE)
"""How many tokens were read by the step: -tokens294B, -1T."""
_SCORED_BY = (
    "dtype",
    "add_bos_token",
    "max_length",
    "prefix_token_id",
    "load_in_8bit",
    "load_in_4bit",
    "enable_thinking",
)
"""Arguments of the harness's models on which scores depend, besides the checkpoint."""
_DEFINES_TASK = (
    "dataset_path", "dataset_name", "dataset_kwargs", "test_split", "fewshot_split", "description", "doc_to_text",
    "doc_to_target", "doc_to_choice", "process_docs", "output_type", "generation_kwargs", "target_delimiter",
    "fewshot_delimiter",
)  # fmt: skip
"""Keys of a task's configuration that say which items are asked and how."""
_EARLIER_NAMES = {"gpt2": "hf", "hf-causal": "hf", "hf-causal-experimental": "hf", "hf-auto": "hf"}
"""The harness's class for models of transformers by its earlier names -> today's."""
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_OUR_METRIC_NAMES = {
    "likelihood_difference": "likelihood_diff", "likelihood_diff": "likelihood_diff",
    "pct_stereotype": "pct_stereotype", "ppl": "perplexity", "perplexity": "perplexity", "acc": "accuracy",
}  # fmt: skip
"""The harness's name of a metric -> ours."""
_QUESTION_PROTOCOLS = {"What does p stand for": "exact_match_stand", "refers_to": "exact_match_refers"}
"""The BigScience fork's name of a WinoBias prompt -> our protocol."""


class _Config(BaseModel):
    """How the harness was called: the values that are read of `config`."""

    model: str | None = None
    """The harness's class for the model: hf, vllm, neox."""
    model_args: str | dict[str, Any] | None = None
    model_dtype: str | None = None
    num_fewshot: int | None = None
    limit: int | float | None = None
    gen_kwargs: Any = None
    fewshot_seed: int | None = None


class _Content(BaseModel):
    """The values that are read of a result file."""

    results: dict[str, dict[str, Any]] | list[dict[str, Any]]
    config: _Config | None = None
    configs: dict[str, dict[str, Any]] = {}
    versions: dict[str, str | int | float | None] = {}
    shots: dict[str, int | str] = Field({}, alias="n-shot")
    samples: dict[str, dict[str, int]] = Field({}, alias="n-samples")
    task_hashes: dict[str, str] = {}
    chat_template_sha: str | None = None
    system_instruction_sha: str | None = None


class Checkpoint(NamedTuple):
    """What a file says it scored."""

    model: str
    step: int | None
    """None: it does not say."""


class ResultFile(NamedTuple):
    """The metrics of one file, all of one checkpoint."""

    checkpoint: Checkpoint
    path: Path
    metrics: list[MetricRow]
    scoring: dict[str, dict[str, Any]]
    """Name of a task -> how it was scored."""
    unlike_ours: dict[str, dict[str, Any]]
    """Name of a benchmark of ours -> in what the file's scoring differs from ours: without examples, over all items."""


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
    stderr: float | None
    """None: the file does not say it."""


def read_results(path: Path) -> dict[str, Any] | None:
    """The content of a result file of the harness; None for any other file."""
    try:
        content = read_json(path) if path.suffix == ".json" else None
    except RunDirectoryError:
        return None
    if not isinstance(content, dict):
        return None
    values = cast("dict[str, Any]", content)
    return values if "results" in values and {"versions", "config", "configs"} & values.keys() else None


def result_file(path: Path, raw: Mapping[str, Any]) -> ResultFile:
    """The checkpoint, the metrics and the scoring of one file. Raises `RunDirectoryError` for a wrong type."""
    try:
        content = _Content.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise RunDirectoryError(
            f"{path}: {key}: found {first['input']!r:.60}; {first['msg']}, as lm-evaluation-harness writes it"
        ) from None
    arguments = _model_arguments(content.config or _Config())
    checkpoint = _checkpoint(path, arguments)
    scoring = {task: _scoring(content, arguments, task) for task in _tasks(content)}
    unlike_ours: dict[str, dict[str, Any]] = {}
    for task, values in scoring.items():
        benchmark, differing = _benchmark_of_ours(task), _unlike_ours(content, task, values)
        if benchmark is not None and differing:
            unlike_ours.setdefault(benchmark, {}).update(differing)
    return ResultFile(checkpoint, path, list(_metrics_of(path, content, checkpoint.step)), scoring, unlike_ours)


def _model_arguments(config: _Config) -> dict[str, Any]:
    """The arguments of the harness's model: `pretrained=NAME,revision=step1000` or the same as an object."""
    if isinstance(config.model_args, dict):
        return config.model_args
    pairs = (part.partition("=") for part in (config.model_args or "").split(","))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _checkpoint(path: Path, arguments: Mapping[str, Any]) -> Checkpoint:
    """The model and the step of a file: from its name, or from the arguments of the model."""
    in_file_name = _STEP_IN_FILE_NAME.match(path.stem)
    if in_file_name:
        return Checkpoint(in_file_name["name"], int(in_file_name["step"]))
    name, revision = str(arguments.get("pretrained") or "").rstrip("/"), str(arguments.get("revision") or "")
    of_name, of_revision = _without_step(name), _without_step(revision)
    iteration = arguments.get("iteration")
    steps = [of_revision.step, of_name.step, iteration if isinstance(iteration, int) else None]
    step = next((step for step in steps if step is not None), None)
    # A model that was changed after loading, or comes from another branch, is another model.
    parts = [
        of_name.model or path.parent.name or path.stem,
        of_revision.model if of_revision.model != "main" else "",
        *(str(arguments[key]) for key in ("subfolder", "peft", "delta", "gguf_file") if arguments.get(key)),
    ]
    return Checkpoint(" ".join(filter(None, parts)), step)


def _without_step(name: str) -> Checkpoint:
    """A published name without its step and the number of tokens behind it, and the step.

    >>> _without_step("stage1-step140000-tokens294B"), _without_step("runs/a/checkpoint-500")
    (Checkpoint(model='stage1', step=140000), Checkpoint(model='runs/a', step=500))
    """
    found = _STEP.search(name)
    if found is None:
        return Checkpoint(name, None)
    step = int(found["step"] or found["checkpoint"]) * (1000 if found["thousands"] else 1)
    before, after = name[: found.start()].rstrip("-_/."), name[found.end() :]
    return Checkpoint(before + ("" if _TOKENS.fullmatch(after) else after), step)


# --- how a task was scored -------------------------------------------------------------------------------------


def _tasks(content: _Content) -> list[str]:
    """The tasks of a file."""
    if isinstance(content.results, dict):
        return list(content.results)
    return list(dict.fromkeys(f"{result.get('task_name')} {result.get('prompt_name')}" for result in content.results))


def _scoring(content: _Content, arguments: Mapping[str, Any], task: str) -> dict[str, Any]:
    """What the scores of a task depend on besides the checkpoint, as far as the file says."""
    config, of_task = content.config or _Config(), content.configs.get(task, {})
    definition = {key: of_task[key] for key in _DEFINES_TASK if of_task.get(key) is not None}
    shots = content.shots.get(task, of_task.get("num_fewshot", config.num_fewshot))
    values = {
        "shots": shots,
        "seed of the shots": config.fewshot_seed if shots else None,
        "limit": config.limit,
        "n-samples": _num_items(content, task),
        "version": content.versions.get(task, content.versions.get(task.replace(" ", "+"))),
        "model class": _EARLIER_NAMES.get(config.model or "", config.model),
        **{name: arguments.get(name) for name in _SCORED_BY},
        "dtype": config.model_dtype or arguments.get("dtype"),
        "gen_kwargs": config.gen_kwargs or None,
        "chat template": content.chat_template_sha,
        "system instruction": content.system_instruction_sha,
        "task": fingerprint(_ADDRESS.sub("", str(definition))) if definition else None,
        "items": content.task_hashes.get(task),
    }
    return {name: value for name, value in values.items() if value is not None}


def _unlike_ours(content: _Content, task: str, scoring: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a scoring that our benchmarks never have."""
    names = ["shots", "limit", "chat template", "system instruction"]
    count = content.samples.get(task, {})
    if count.get("effective") != count.get("original"):
        names.append("n-samples")
    return {name: scoring[name] for name in names if scoring.get(name)}


def _num_items(content: _Content, task: str) -> int | None:
    """The number of items that a task was scored on; None: the file does not say."""
    return content.samples.get(task, {}).get("effective")


# --- metrics ---------------------------------------------------------------------------------------------------


def _metrics_of(path: Path, content: _Content, step: int | None) -> Iterator[MetricRow]:
    """Every metric of a file, under our names where one of our benchmarks has it."""
    if isinstance(content.results, list):
        yield from _winobias_metrics(path, content.results, step)
        return
    for task, values in content.results.items():
        numbers = {name: value for name, value in values.items() if _is_number(value)}
        for name, value in values.items():
            if name not in numbers and value is not None and not isinstance(value, str):
                raise RunDirectoryError(f"{path}: results.{task}.{name}: found {value!r:.60}; a number belongs there")
        # Today's files name metric and filter; what has no filter there is no metric, but the length of a sample.
        filtered = any("," in name for name in values)
        for name, value in numbers.items():
            metric, comma, answers = name.partition(",")
            if metric.endswith("_stderr") or (filtered and not comma):
                continue
            own_name = metric if answers in {"", "none"} else name
            stderr = numbers.get(f"{metric}_stderr{comma}{answers}")
            yield _metric_row(_key_of(task, own_name), step, value, stderr, n=_num_items(content, task))


def _is_number(value: Any) -> bool:
    """Whether a value is a metric's. Names are texts, and so is what could not be computed (N/A)."""
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 63)


def _metric_row(key: MetricKey, step: int | None, value: float, stderr: float | None, *, n: int | None) -> MetricRow:
    """A row of results.json. n: None where the file does not say it."""
    return MetricRow(
        **key._asdict(), step=step, value=float(value), stderr=None if stderr is None else float(stderr), n=n
    )


def _benchmark_of_ours(task: str) -> str | None:
    """The benchmark of ours that has metrics of a task; None: none."""
    if task.startswith("crows_pairs_english"):
        return "crows_pairs"
    return "lambada" if task == "lambada_openai" else "winobias" if task.startswith("wino_bias_type") else None


def _key_of(task: str, name: str) -> MetricKey:
    """Our four names of a task's metric; benchmark `harness` where none of ours has it."""
    ours, benchmark = _OUR_METRIC_NAMES.get(name), _benchmark_of_ours(task)
    if benchmark == "crows_pairs" and ours in {"pct_stereotype", "likelihood_diff"}:
        category = task.removeprefix("crows_pairs_english").lstrip("_") or "all"
        return MetricKey(benchmark, "likelihood", category, ours)
    if benchmark == "lambada" and ours in {"perplexity", "accuracy"}:
        return MetricKey(benchmark, "last_word", "all", ours)
    return MetricKey("harness", task, "all", name)


def _winobias_metrics(path: Path, results: Sequence[Mapping[str, Any]], step: int | None) -> Iterator[MetricRow]:
    """WinoBias by generation, from a file of the BigScience fork: net bias and accuracy of each question and over both.

    Standard errors treat the file's numbers as independent, which pro- and anti-stereotypical sentences are not.
    Raises `RunDirectoryError` for a value that is no number.
    """
    accuracies: dict[_Cell, _Estimate] = {}
    for result in results:
        task = re.fullmatch(r"wino_bias_(type[12])_(pro|anti)", str(result.get("task_name")))
        protocol = _QUESTION_PROTOCOLS.get(str(result.get("prompt_name")))
        if task and protocol:
            cell = _Cell(protocol, task[1], task[2])
            em, stderr = result.get("em"), result.get("em_stderr")
            if not _is_number(em) or not (stderr is None or _is_number(stderr)):
                raise RunDirectoryError(
                    f"{path}: results, {task[0]}: found em {em!r:.60}, em_stderr {stderr!r:.60}; numbers belong there"
                )
            estimate = _Estimate(float(cast("float", em)), None if stderr is None else float(stderr))
            if accuracies.setdefault(cell, estimate) != estimate:
                raise RunDirectoryError(f"{path}: results: {task[0]} by {result['prompt_name']} twice, and unlike")
    protocols = sorted({cell.protocol for cell in accuracies})
    for protocol in protocols:
        yield from _net_bias_and_accuracy(protocol, [protocol], accuracies, step)
    if len(protocols) == len(_QUESTION_PROTOCOLS):
        yield from _net_bias_and_accuracy("exact_match", protocols, accuracies, step)


def _net_bias_and_accuracy(
    name: str, protocols: Sequence[str], accuracies: Mapping[_Cell, _Estimate], step: int | None
) -> Iterator[MetricRow]:
    """The two metrics over some protocols, under the protocol `name`; none where a number is missing."""
    kinds = [(protocol, sentence_type) for protocol in protocols for sentence_type in ("type1", "type2")]
    if not all(_Cell(*kind, stereotype) in accuracies for kind in kinds for stereotype in ("pro", "anti")):
        return
    pro, anti = ([accuracies[_Cell(*kind, stereotype)] for kind in kinds] for stereotype in ("pro", "anti"))
    mean_pro, mean_anti = (sum(estimate.value for estimate in half) / len(kinds) for half in (pro, anti))
    stderrs = [estimate.stderr for estimate in (*pro, *anti) if estimate.stderr is not None]
    is_known = len(stderrs) == 2 * len(kinds)
    stderr = sum(value**2 for value in stderrs) ** 0.5 / len(kinds) if is_known else None
    half_stderr = None if stderr is None else stderr / 2
    yield _metric_row(MetricKey("winobias", name, "all", "net_bias"), step, mean_pro - mean_anti, stderr, n=None)
    yield _metric_row(
        MetricKey("winobias", name, "all", "accuracy"), step, (mean_pro + mean_anti) / 2, half_stderr, n=None
    )
