"""The first stage: everything a run reads, located or made and checked before any of it is used.

Input: settings and a plan. Output: inputs.json, with the local folders and fingerprints of weights, tokenizer, rows and
benchmark items, and possessives.json. Guarantees: a mistyped path is refused before anything large is fetched; the
later stages take every path from inputs.json; a run that is continued has the inputs it began with (`stages.inputs`).
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from bias_intervene import models
from bias_intervene.data import corpus as own_corpus
from bias_intervene.data.corpus import Corpus
from bias_intervene.data.indexed import Layout, Rows
from bias_intervene.data.pile import prepare_pile
from bias_intervene.data.shards import bins
from bias_intervene.data.stream import row_order
from bias_intervene.data.validation import is_local, validation_rows
from bias_intervene.data.world import prepare_world
from bias_intervene.errors import DataError, ModelError
from bias_intervene.evals.suite import load_items
from bias_intervene.interventions import INTERVENTIONS
from bias_intervene.interventions.possessive import POSSESSIVES, WORD_LISTS, Possessives
from bias_intervene.interventions.possessive.fit import fit_to_rows
from bias_intervene.interventions.tokens import compiled
from bias_intervene.models import save_world_tokenizer, world_folder
from bias_intervene.plan import History, Plan, history
from bias_intervene.record import fingerprint, first_altered, made_once, read_json, write_json
from bias_intervene.settings import (
    CorpusData,
    DataSettings,
    FolderModel,
    IndexedData,
    InterventionSettings,
    JsonlData,
    ModelSettings,
    PileData,
    Settings,
    SuiteModel,
    TextData,
    WorldData,
    WorldModel,
)
from bias_intervene.stages.inputs import check_as_begun, states_of


def run(run_dir: Path, settings: Settings, plan: Plan) -> None:
    """Locates or makes all inputs and writes inputs.json."""
    model, data, intervention = settings.model, settings.data, settings.intervention
    known = history(model)
    pretraining = world_folder(settings) if isinstance(model, WorldModel) else None
    locate = partial(models.locate_checkpoint, model, cache=settings.cache, pretraining=pretraining)
    _check_local_paths(model, data, intervention, plan, locate)
    world_corpus, rows_folder = None, None
    if isinstance(data, WorldData):
        assert isinstance(model, WorldModel)
        world_corpus, rows_folder = prepare_world(data, model, settings.cache)
    # Items before weights: a misnamed file is refused before gigabytes are fetched.
    items = load_items(
        settings.evals, world_folder=rows_folder, world_data=data if isinstance(data, WorldData) else None
    )
    inputs: dict[str, Any] = {
        "base": None,
        "published": {},
        "tokenizer": None,
        "world": str(rows_folder) if rows_folder else None,
        "corpus": None,
        "benchmarks": items.notes(),
        "files": {},
        "sampled": [],
        "fingerprints": {"benchmarks": items.fingerprints()},
    }
    if isinstance(model, WorldModel) and plan.start_step == 0 and plan.trains:  # Its pretraining, from random weights.
        assert rows_folder is not None
        inputs["tokenizer"] = str(_save_world_tokenizer_once(rows_folder))
    else:
        inputs |= _locate_checkpoints(known, plan, locate, inputs["fingerprints"], inputs["files"])
    corpus = world_corpus
    if corpus is None and plan.trains:
        corpus = _prepare_rows(data, known, plan, inputs, cache=settings.cache)
        order = row_order(data, seed=settings.seed, num_rows=corpus.num_training_rows, window=range(*plan.rows))
        order.check(plan.rows[1])
    if corpus is not None:
        inputs["fingerprints"]["corpus"] = corpus.fingerprint
        inputs["corpus"] = corpus.to_json()
        if INTERVENTIONS[intervention.name].direction is not None:
            inputs["fingerprints"]["possessives"] = _prepare_swap(run_dir, intervention.possessives, plan, inputs)
        if isinstance(data, PileData) and data.source != "hub":
            inputs["sampled"] = [str(part.path) for part in corpus.layout.parts]
        parts = corpus.layout.parts
        if corpus.heldout_layout is not None:
            parts += corpus.heldout_layout.parts
            # Their folder in the cache is named after their content.
            inputs["fingerprints"]["heldout"] = corpus.heldout_layout.parts[0].path.parent.name
        inputs["files"] |= states_of([*(part.path for part in parts), run_dir / POSSESSIVES])
    check_as_begun(run_dir, inputs)
    write_json(run_dir / "inputs.json", inputs)


def _check_local_paths(
    model: ModelSettings,
    data: DataSettings,
    intervention: InterventionSettings,
    plan: Plan,
    locate: Callable[..., Path],
) -> None:
    """Refuses a mistyped path before anything is fetched or read."""
    if isinstance(model, FolderModel) or (isinstance(model, SuiteModel) and model.path is not None):
        locate(repository=plan.repository, revision=plan.revision)
    if isinstance(data, TextData | JsonlData) and plan.trains:
        own_corpus.files(data)
    if isinstance(data, IndexedData) and plan.trains:
        bins(Path(data.path).expanduser(), key=own_corpus.where(data))
    if isinstance(data, PileData) and data.source != "hub" and plan.trains:
        bins(Path(data.source).expanduser(), key=f"data.source={data.source}")
    if isinstance(data, PileData) and data.validation is not None and plan.trains and is_local(data.validation):
        path = Path(data.validation).expanduser()
        if not path.exists():
            raise DataError(f"data.validation={data.validation}: no such file or folder")
    is_rule = INTERVENTIONS[intervention.name].direction is not None
    if is_rule and intervention.possessives not in ("fit", "words"):
        Possessives.load(Path(intervention.possessives).expanduser())


def _save_world_tokenizer_once(rows_folder: Path) -> Path:
    """The world's tokenizer in Hugging Face's format, beside its rows."""
    folder = rows_folder / "tokenizer"
    with made_once(folder) as unfinished:
        if unfinished is not None:
            save_world_tokenizer(rows_folder / "tokenizer.json", unfinished)
    return folder


def _locate_checkpoints(
    known: History | None,
    plan: Plan,
    locate: Callable[..., Path],
    fingerprints: dict[str, Any],
    files: dict[str, list[int]],
) -> dict[str, Any]:
    """Local folders of the base and of the published checkpoints to score; adds what identifies the base, and the
    states of all files.
    """
    base = _intact(locate(repository=plan.repository, revision=plan.revision))
    files |= states_of([base])  # Before it is hashed, so that a change in between is seen.
    tokenizer = models.load_tokenizer(base)
    fingerprints["base_weights"] = models.weights_fingerprint(base)
    fingerprints["tokenizer"] = models.tokenizer_fingerprint(tokenizer)
    fingerprints["end_of_text"] = tokenizer.end_of_text
    fingerprints["prefix"] = tokenizer.prefix
    published: dict[str, str] = {}
    for step in plan.published_steps:
        assert known is not None  # The plan refuses published steps of a model whose history is not known.
        folder = _intact(locate(repository=plan.repository, revision=known.revision_of(step)))
        files |= states_of([folder])
        published[str(step)] = str(folder)
    located = {"base": str(base), "published": published, "tokenizer": str(base)}
    return located | {"architecture": _architecture(base)}


def _intact(checkpoint: Path) -> Path:
    """The checkpoint's folder, where a run of ours made it also as it was saved. Raises `ModelError`."""
    manifest = checkpoint / "manifest.json"
    altered = first_altered(checkpoint, without="resume/") if manifest.is_file() else None
    if altered is not None:
        raise ModelError(
            f"{altered}: {'altered' if altered.is_file() else 'missing'} since it was saved, as {manifest} tells; put "
            "it back, or remove the manifest if the change is meant"
        )
    return checkpoint


def _architecture(folder: Path) -> str:
    """Fingerprint of what says how a checkpoint's weights are used, and where its texts end."""
    files = [folder / name for name in ("config.json", "generation_config.json")]
    return fingerprint([read_json(file) for file in files if file.is_file()])


def _prepare_rows(
    data: DataSettings, known: History | None, plan: Plan, inputs: dict[str, Any], *, cache: Path
) -> Corpus:
    """The rows of a training, of any corpus but the generated world; adds where they come from."""
    assert not isinstance(data, WorldData)
    if isinstance(data, PileData):
        corpus, source = _prepare_pile_rows(data, known, plan, Path(inputs["tokenizer"]), cache=cache)
    else:
        corpus, source = _prepare_own_rows(data, plan, Path(inputs["tokenizer"]), cache=cache), own_corpus.where(data)
    inputs["fingerprints"]["corpus_source"] = source
    return corpus


def _prepare_pile_rows(
    data: PileData, known: History | None, plan: Plan, tokenizer_folder: Path, *, cache: Path
) -> tuple[Corpus, str]:
    """The rows of a suite's own training, which the plan found to be in the order of the Pile, and where they are."""
    assert known is not None
    assert plan.heldout is not None
    if known.rows_repository is None:
        raise DataError(f"data=pile: which data set holds the rows that {plan.repository} was trained on is not known")
    corpus = prepare_pile(
        data,
        rows=range(plan.heldout[1], plan.rows[1]),
        heldout=range(*plan.heldout),
        repository=known.rows_repository,
        cache=cache,
    )
    if data.validation is not None and data.heldout_rows:
        tokenizer = models.load_tokenizer(tokenizer_folder)
        layout = validation_rows(
            data.validation,
            num_rows=data.heldout_rows,
            tokenizer=tokenizer.backend,
            end_of_text_id=tokenizer.end_of_text_id,
            sequence_length=plan.sequence_length,
            cache=cache,
        )
        heldout = range(data.heldout_rows)
        corpus = replace(corpus, heldout=heldout, heldout_layout=layout, heldout_protocol=own_corpus.HELDOUT)
    return corpus, known.rows_repository if data.source == "hub" else f"data.source={data.source}"


def _prepare_own_rows(data: CorpusData | IndexedData, plan: Plan, tokenizer_folder: Path, *, cache: Path) -> Corpus:
    """Rows of the user's own corpus."""
    if isinstance(data, IndexedData):
        return own_corpus.prepare_indexed(data, sequence_length=plan.sequence_length)
    tokenizer = models.load_tokenizer(tokenizer_folder)
    return own_corpus.prepare(
        data,
        tokenizer=tokenizer.backend,
        end_of_text_id=tokenizer.end_of_text_id,
        sequence_length=plan.sequence_length,
        cache=cache,
    )


def _prepare_swap(run_dir: Path, source: str, plan: Plan, inputs: dict[str, Any]) -> str:
    """Refuses a tokenizer whose rows cannot be swapped, and writes possessives.json, which decides between her and
    hers, his and him. source: `intervention.possessives`. Returns its fingerprint.
    """
    tokenizer = models.load_tokenizer(Path(inputs["tokenizer"])).backend
    compiled(tokenizer)
    path = run_dir / POSSESSIVES
    if path.is_file():  # A continued run decides as it began.
        return Possessives.load(path).fingerprint
    if source == "fit":
        corpus = inputs["corpus"]
        window = plan.rows if plan.heldout else (0, corpus["num_training_rows"])
        tables = fit_to_rows(Rows(Layout.from_json(corpus["layout"])), range(*window), tokenizer)
    else:
        tables = WORD_LISTS if source == "words" else Possessives.load(Path(source).expanduser())
    write_json(path, tables.to_json())
    return tables.fingerprint
