"""Result files of lm-evaluation-harness as runs, so that anyone's numbers can stand beside ours.

Input: paths of result files (`harness_files` reads one).
Output: one run per model, without items; the files of one model are joined, whether of several steps or of several
tasks at one step. A file that does not say its step is a run of its own, whose step is None.
Guarantees: how each task was scored (shots, limit, number of items, version, type of the weights) is kept under
`fingerprints.evaluations`, so that files scored differently are refused as our own runs are; files of one model that do
not fit together are refused. Differences between such runs are unpaired and marked as unpaired.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bias_intervene.analysis.harness_files import ResultFile, read_results, result_file
from bias_intervene.analysis.records import Run
from bias_intervene.errors import RunDirectoryError
from bias_intervene.results import MetricKey


def is_results(path: Path) -> bool:
    """Whether a file is a result file of the harness."""
    return read_results(path) is not None


def read_runs(paths: Iterable[Path]) -> list[Run]:
    """One run per model, its steps ascending, and one per file of unknown step.

    Raises `RunDirectoryError` for a file that the harness did not write, and for files of one model that do not fit
    together.
    """
    files_of_run: dict[tuple[str, Path | None], list[ResultFile]] = {}
    for path in paths:
        raw = read_results(path)
        if raw is None:
            raise RunDirectoryError(f"{path}: neither a run directory nor a result file of lm-evaluation-harness")
        file = result_file(path, raw)
        files_of_run.setdefault((file.checkpoint.model, path if file.checkpoint.step is None else None), []).append(
            file
        )
    _keep_what_all_state(file for files in files_of_run.values() for file in files)
    models = [model for model, _ in files_of_run]
    return [
        _run_of_files(files, label=model if models.count(model) == 1 or path is None else f"{model} ({path})")
        for (model, path), files in files_of_run.items()
    ]


def _keep_what_all_state(files: Iterable[ResultFile]) -> None:
    """Drops the fingerprint of the items of a task unless every file has it: it is written with samples only."""
    files = list(files)
    for task in {task for file in files for task in file.scoring}:
        scorings = [file.scoring[task] for file in files if task in file.scoring]
        if not all("items" in scoring for scoring in scorings):
            for scoring in scorings:
                scoring.pop("items", None)


def _run_of_files(files: Sequence[ResultFile], *, label: str) -> Run:
    """The files of one model as a run that trained nothing. Raises `RunDirectoryError` if they do not fit together."""
    files = sorted(files, key=lambda file: file.checkpoint.step or 0)
    model = files[0].checkpoint.model
    path_of_metric: dict[tuple[int | None, MetricKey], Path] = {}
    file_of_task: dict[str, ResultFile] = {}
    for file in files:
        for row in file.metrics:
            if path_of_metric.setdefault((row.step, row.key), file.path) != file.path:
                raise RunDirectoryError(
                    f"{file.path}: another file has the same model and step ({model}, {row.step}) and "
                    f"{row.protocol} {row.metric}: {path_of_metric[row.step, row.key]}; give one of them"
                )
        for task, scoring in file.scoring.items():
            first = file_of_task.setdefault(task, file)
            if differing := _differing(scoring, first.scoring[task]):
                raise RunDirectoryError(
                    f"{file.path} and {first.path}: {task} of {model} was scored differently: {differing}. Give files "
                    "that were scored in the same way"
                )
    plan = {
        "repository": model, "revision": None, "start_step": files[0].checkpoint.step, "num_steps": 0,
        "realised_fraction": None,
    }  # fmt: skip
    metrics = [row.to_json() for file in files for row in file.metrics]
    # Two of such runs are held against each other by task, one of them and a run of ours by benchmark.
    evaluations = {f"{task} (lm-evaluation-harness)": file.scoring[task] for task, file in file_of_task.items()}
    for file in files:
        evaluations |= file.unlike_ours
    record = {
        "arm": label, "settings": {"results of": label}, "plan": plan, "fingerprints": {"evaluations": evaluations},
        "audit": None, "results": {"metrics": metrics, "published": []},
    }  # fmt: skip
    place = files[0].path if len(files) == 1 else files[0].path.parent
    return Run(place, record, label=label, foreign=True)


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The entries that differ, with both values."""
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    return ", ".join(f"{name} ({one.get(name)} and {other.get(name)})" for name in names)
