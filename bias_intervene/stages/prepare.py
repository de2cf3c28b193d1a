"""The first stage: everything a run reads, located or made and checked before any of it is used.

Input: settings and a plan. Output: inputs.json, with the local folders and fingerprints of weights, tokenizer, rows and
benchmark items, and possessives.json. Guarantees: a mistyped path is refused before anything large is fetched; the
later stages take every path from inputs.json.
"""

from pathlib import Path
from typing import Any

from bias_intervene import models
from bias_intervene.data import corpus as own_corpus
from bias_intervene.data.corpus import Corpus
from bias_intervene.data.indexed import Layout, Rows
from bias_intervene.data.pile import prepare_pile
from bias_intervene.data.shards import bins
from bias_intervene.data.stream import row_order
from bias_intervene.data.world import prepare_world
from bias_intervene.errors import DataError
from bias_intervene.evals.suite import load_items
from bias_intervene.interventions import INTERVENTIONS
from bias_intervene.interventions.possessive import POSSESSIVES, WORD_LISTS, Possessives
from bias_intervene.interventions.possessive.fit import fit_to_rows
from bias_intervene.interventions.tokens import compiled
from bias_intervene.models import save_world_tokenizer
from bias_intervene.plan import Plan, history
from bias_intervene.record import whole_folder, write_json
from bias_intervene.settings import (
    FolderModel,
    IndexedData,
    JsonlData,
    PileData,
    Settings,
    SuiteModel,
    TextData,
    WorldData,
    WorldModel,
)


def run(run_dir: Path, settings: Settings, plan: Plan) -> None:
    """Locates or makes all inputs and writes inputs.json."""
    data = settings.data
    _check_local_paths(settings, plan)
    world_corpus, world_folder = None, None
    if isinstance(data, WorldData):
        assert isinstance(settings.model, WorldModel)
        world_corpus, world_folder = prepare_world(data, settings.model, settings.cache)
    # Items before weights: a misnamed file is refused before gigabytes are fetched.
    items = load_items(
        settings.evals, world_folder=world_folder, world_data=data if isinstance(data, WorldData) else None
    )
    inputs: dict[str, Any] = {
        "base": None,
        "published": {},
        "tokenizer": None,
        "world": str(world_folder) if world_folder else None,
        "corpus": None,
        "benchmarks": items.notes(),
        "fingerprints": {"benchmarks": items.fingerprints()},
    }
    if _is_pretraining(settings, plan):
        assert world_folder is not None
        inputs["tokenizer"] = str(_save_world_tokenizer_once(world_folder))
    else:
        inputs |= _locate_checkpoints(settings, plan, inputs["fingerprints"])
    inputs["corpus"] = _prepare_corpus(settings, plan, inputs, world_corpus)
    if INTERVENTIONS[settings.intervention.name].direction is not None and inputs["corpus"] is not None:
        inputs["fingerprints"]["possessives"] = _prepare_swap(run_dir, settings, plan, inputs)
    write_json(run_dir / "inputs.json", inputs)


def _check_local_paths(settings: Settings, plan: Plan) -> None:
    """Refuses a mistyped path before anything is fetched or read."""
    model = settings.model
    if isinstance(model, FolderModel) or (isinstance(model, SuiteModel) and model.path is not None):
        models.locate_checkpoint(settings, repository=plan.repository, revision=plan.revision)
    if isinstance(settings.data, TextData | JsonlData) and plan.trains:
        own_corpus.files(settings.data)
    if isinstance(settings.data, IndexedData) and plan.trains:
        bins(Path(settings.data.path).expanduser(), key=own_corpus.where(settings.data))
    if isinstance(settings.data, PileData) and settings.data.source != "hub" and plan.trains:
        bins(Path(settings.data.source).expanduser(), key=f"data.source={settings.data.source}")
    is_rule = INTERVENTIONS[settings.intervention.name].direction is not None
    if is_rule and settings.intervention.possessives not in ("fit", "words"):
        Possessives.load(Path(settings.intervention.possessives).expanduser())


def _is_pretraining(settings: Settings, plan: Plan) -> bool:
    """Whether this run makes the generated world's model from random weights."""
    return isinstance(settings.model, WorldModel) and plan.start_step == 0 and plan.trains


def _save_world_tokenizer_once(world_folder: Path) -> Path:
    """The world's tokenizer in Hugging Face's format, beside its rows."""
    folder = world_folder / "tokenizer"
    if not folder.is_dir():
        with whole_folder(folder) as partial:
            save_world_tokenizer(world_folder / "tokenizer.json", partial)
    return folder


def _locate_checkpoints(settings: Settings, plan: Plan, fingerprints: dict[str, Any]) -> dict[str, Any]:
    """Local folders of the base and of the published checkpoints to score; adds what identifies the base."""
    base = models.locate_checkpoint(settings, repository=plan.repository, revision=plan.revision)
    tokenizer = models.load_tokenizer(base)
    fingerprints["base_weights"] = models.weights_fingerprint(base)
    fingerprints["tokenizer"] = models.tokenizer_fingerprint(tokenizer)
    fingerprints["end_of_text"] = tokenizer.end_of_text
    fingerprints["prefix"] = tokenizer.prefix
    known = history(settings.model)
    published = {
        str(step): str(models.locate_checkpoint(settings, repository=plan.repository, revision=known.revision_of(step)))
        for step in plan.published_steps
        if known is not None
    }
    return {"base": str(base), "published": published, "tokenizer": str(base)}


def _prepare_corpus(
    settings: Settings, plan: Plan, inputs: dict[str, Any], world_corpus: Corpus | None
) -> dict[str, Any] | None:
    """The rows of the run; None where nothing is trained and no row is needed."""
    corpus, data, prints = world_corpus, settings.data, inputs["fingerprints"]
    if corpus is None:
        if not plan.trains:
            return None
        if isinstance(data, PileData):
            corpus = _prepare_pile_rows(settings, plan, data, prints)
        else:
            corpus = _prepare_own_rows(settings, plan, inputs)
        order = row_order(data, seed=settings.seed, num_rows=corpus.num_training_rows, window=range(*plan.rows))
        order.check(plan.rows[1])
    prints["corpus"] = corpus.fingerprint
    return corpus.to_json()


def _prepare_pile_rows(settings: Settings, plan: Plan, data: PileData, prints: dict[str, Any]) -> Corpus:
    """The rows of a suite's own training, which `plan` has found to be in the order of the Pile."""
    known = history(settings.model)
    assert plan.heldout is not None
    repository = known.rows_repository if known else None
    if repository is None:
        raise DataError(f"data=pile: which data set holds the rows that {plan.repository} was trained on is not known")
    prints["corpus_source"] = repository if data.source == "hub" else f"data.source={data.source}"
    return prepare_pile(
        data,
        rows=range(plan.heldout[1], plan.rows[1]),
        heldout=range(*plan.heldout),
        repository=repository,
        cache=settings.cache,
    )


def _prepare_own_rows(settings: Settings, plan: Plan, inputs: dict[str, Any]) -> Corpus:
    """Rows of the user's own corpus."""
    data = settings.data
    assert not isinstance(data, WorldData | PileData)
    inputs["fingerprints"]["corpus_source"] = own_corpus.where(data)
    if isinstance(data, IndexedData):
        return own_corpus.prepare_indexed(data, sequence_length=plan.sequence_length)
    tokenizer = models.load_tokenizer(Path(inputs["tokenizer"]))
    return own_corpus.prepare(
        data,
        tokenizer=tokenizer.backend,
        end_of_text_id=tokenizer.end_of_text_id,
        sequence_length=plan.sequence_length,
        cache=settings.cache,
    )


def _prepare_swap(run_dir: Path, settings: Settings, plan: Plan, inputs: dict[str, Any]) -> str:
    """Refuses a tokenizer whose rows cannot be swapped, and writes possessives.json, which decides between her and
    hers, his and him. Returns its fingerprint.
    """
    tokenizer = models.load_tokenizer(Path(inputs["tokenizer"])).backend
    compiled(tokenizer)
    path, source = run_dir / POSSESSIVES, settings.intervention.possessives
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
