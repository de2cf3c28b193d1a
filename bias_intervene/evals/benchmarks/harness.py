"""Any task of lm-evaluation-harness, scored on our checkpoints by the harness itself.

The harness is an optional dependency (`pip install "bias_intervene[harness]"`) and imported only when it is used. A row
of an item holds a metric only if the metric is the mean of its values over the items, so that a paired comparison of
the items is one of the metric.

Input: names of tasks, and a checkpoint.
Output: one row per item and task, and the harness's metrics with its standard errors, as benchmark `harness` with the
task as the protocol.
Guarantees: weights, tokenizer and prefix token are the same as for our own benchmarks. A task that does not exist is
refused before any checkpoint is loaded.
"""

import importlib
import importlib.metadata
import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bias_intervene.errors import DataError, HubError, did_you_mean, first_line
from bias_intervene.evals.benchmarks.benchmark import Benchmark, Scored, ScoringInputs, Sources
from bias_intervene.evals.benchmarks.naming import names_of
from bias_intervene.evals.metrics import ItemRow
from bias_intervene.record import fingerprint
from bias_intervene.results import MetricSpec, MetricValue
from bias_intervene.settings import EvalsSettings

if TYPE_CHECKING:
    from bias_intervene.evals.scoring import Scorer

_SUBSET = "all"


class Harness(Benchmark):
    """The tasks that a user names. Instead of `version`, the harness's version is part of the identity."""

    name = "harness"
    version = 0
    items_are_local = True
    # Which unit a metric has is known only of those that our own benchmarks have too.
    specs = (
        *(MetricSpec("harness", name, unit="share", pairing="mean_if_kept", listed=True)
          for name in ("pct_stereotype", "accuracy")),
        MetricSpec("harness", None, pairing="mean_if_kept", listed=True),
    )  # fmt: skip

    def items(self, evals: EvalsSettings, sources: Sources) -> Any:
        """The identity of the tasks; the harness reads their items itself."""
        return check(evals.harness_tasks, evals.harness_include_path)

    def score(self, items: Any, scorer: "Scorer", inputs: ScoringInputs) -> Scored:
        """Scores all tasks on the first rank; the other ranks get no rows."""
        evals = inputs.evals
        return score(evals.harness_tasks, evals.harness_include_path, scorer, folder=inputs.checkpoint)

    def fingerprint(self, items: Any) -> str:
        """Fingerprint of the tasks and the version."""
        return fingerprint(items)

    def identity(self, items: Any, evals: EvalsSettings, heldout_rows: list[Any] | None) -> dict[str, Any]:
        """Names of the tasks, version of the harness, fingerprint of the user's task files."""
        return items


def _task_manager(include_path: str | None) -> Any:
    """The harness's index of tasks, with the user's folder. Raises `DataError` if the harness is not installed."""
    try:
        from lm_eval.tasks import TaskManager
    except ImportError:
        raise DataError(
            'evals.harness_tasks: lm-evaluation-harness is not installed; run `pip install "bias_intervene[harness]"`'
        ) from None
    if include_path is not None and not Path(include_path).expanduser().is_dir():
        raise DataError(f"evals.harness_include_path={include_path}: no folder of that name")
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    return TaskManager(include_path=str(Path(include_path).expanduser()) if include_path else None)


def check(tasks: Sequence[str], include_path: str | None) -> dict[str, Any]:
    """The identity of the tasks: names, version, user's files. Raises `DataError` for an unknown task."""
    manager = _task_manager(include_path)
    unknown = [name for name in tasks if not manager.match_tasks([name])]
    if unknown:
        raise DataError(f"evals.harness_tasks: no task {unknown[0]!r}; {did_you_mean(unknown[0], manager.all_tasks)}")
    user_files = sorted(Path(include_path).expanduser().rglob("*.*")) if include_path else []
    return {
        "tasks": list(tasks),
        "version": importlib.metadata.version("lm_eval"),
        "own": fingerprint([[path.name, path.read_bytes().hex()] for path in user_files if path.is_file()]),
    }


def score(tasks: Sequence[str], include_path: str | None, scorer: "Scorer", *, folder: Path) -> Scored:
    """Scores all tasks on the first rank; the other ranks get no rows. Raises `DataError` or `HubError`.

    folder: of the checkpoint, from which the harness reads the tokenizer.
    """
    if scorer.ranks.rank > 0:
        return Scored([], [])
    manager = _task_manager(include_path)
    from transformers import AutoTokenizer

    models: Any = importlib.import_module("lm_eval.models.huggingface")
    evaluator: Any = importlib.import_module("lm_eval.evaluator")
    model = models.HFLM(
        pretrained=scorer.model,
        tokenizer=AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False),
        batch_size=max(1, scorer.batch_tokens // 256),
        prefix_token_id=scorer.tokenizer.prefix_id,
        max_length=min(scorer.context_length, 1 << 20),
        trust_remote_code=False,
    )
    try:
        results: Any = evaluator.simple_evaluate(model, tasks=list(tasks), task_manager=manager, bootstrap_iters=1_000)
    except (ConnectionError, OSError) as error:
        raise HubError(
            f"evals.harness_tasks={list(tasks)}: the data of a task cannot be fetched ({first_line(error)}). Without a "
            "hub give task files of your own that read local files, by evals.harness_include_path=FOLDER"
        ) from None
    metrics = list(_metrics_of(results))
    return Scored(list(_items_of(results, metrics)), metrics)


def _metrics_of(results: dict[str, Any]) -> Iterator[MetricValue]:
    """The harness's own metrics. results: as `simple_evaluate` returns them."""
    for task, values in results["results"].items():
        number = results.get("n-samples", {}).get(task, {}).get("effective")
        for key, value in values.items():
            metric, _, filtered = key.partition(",")
            if not filtered or metric.endswith("_stderr") or not isinstance(value, int | float):
                continue
            stderr = values.get(f"{metric}_stderr,{filtered}")
            known = isinstance(stderr, int | float) and not math.isnan(stderr)
            yield MetricValue(
                protocol=task,
                subset=_SUBSET,
                metric=metric if filtered == "none" else f"{metric},{filtered}",
                value=float(value),
                stderr=float(stderr) if known else None,
                n=number,
            )


def _items_of(results: dict[str, Any], metrics: Sequence[MetricValue]) -> Iterator[ItemRow]:
    """One row per item and task, with the metrics that are means over items."""
    for task, samples in (results.get("samples") or {}).items():
        means = [metric for metric in metrics if metric.protocol == task and _is_mean(metric, samples)]
        # The harness's own digest of a document, where it gives one: its number would name another one in another file.
        names = names_of([sample.get("doc_hash", sample["doc_id"]) for sample in samples])
        for name, sample in zip(names, samples, strict=True):
            values = {metric.metric: float(sample[metric.metric]) for metric in means}
            yield {"item": name, "protocol": task, "subsets": [_SUBSET], **values}


def _is_mean(metric: MetricValue, samples: Sequence[dict[str, Any]]) -> bool:
    """Whether the metric equals the mean of the values that the samples hold under its name."""
    values = [sample.get(metric.metric) for sample in samples]
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    return len(numbers) == len(samples) > 0 and math.isclose(float(np.mean(numbers)), metric.value, rel_tol=1e-9)
