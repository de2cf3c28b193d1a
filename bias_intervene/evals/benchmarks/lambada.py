"""Passages of LAMBADA: the hub's `lambada_openai`, or JSON lines with the passages under `text`."""

from dataclasses import dataclass
from pathlib import Path

from bias_intervene.data.corpus import jsonl_documents
from bias_intervene.errors import DataError
from bias_intervene.evals.benchmarks.sources import fields, hub_rows
from bias_intervene.settings import LambadaSettings

HUB = "EleutherAI/lambada_openai"


@dataclass(frozen=True)
class LambadaPassage:
    """A passage and its last word, a space before it."""

    item: str
    context: str
    target: str


def read(settings: LambadaSettings) -> list[LambadaPassage]:
    """The passages in the order of their source."""
    if settings.path is None:
        rows = hub_rows(HUB, None, "test", remedy="evals.lambada.path=FILE.jsonl")
        places = [f"{HUB} row {n}" for n in range(len(rows))]
        texts = [str(fields(row, "text", place=place)[0]) for row, place in zip(rows, places, strict=True)]
    else:
        path = Path(settings.path).expanduser()
        if not path.is_file():
            raise DataError(f"evals.lambada.path={settings.path}: no file {path}")
        texts = list(jsonl_documents(path, "text", key="text"))
        places = [f"{path}, passage {n + 1}" for n in range(len(texts))]
    return [passage(str(n), text, place=place) for n, (text, place) in enumerate(zip(texts, places, strict=True))]


def passage(item: str, text: str, *, place: str) -> LambadaPassage:
    """A passage cut before its last word.

    >>> passage("0", "He met her at the old mill", place="").target
    ' mill'
    """
    context, _, word = text.rpartition(" ")
    if not context.strip() or not word:
        raise DataError(f"{place}: no last word after a context: {text!r}")
    return LambadaPassage(item, context, f" {word}")
