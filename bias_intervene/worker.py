"""One process of one stage: `python -m bias_intervene.worker STAGE RUN_DIR`.

Enters: settings.json and plan.json of a run directory. Leaves: what its stage leaves. It imports no Hydra. Stages:
`prepare` finds or makes every input (checkpoint, rows, benchmark items) and writes inputs.json; `train` is one rank of
the training; `evaluate` scores the checkpoints. What became of it is said in the stage's outcome file; a rank that
fails ends with status 1, so that its launcher ends the others, which would wait for it.
"""

import contextlib
import errno
import logging
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

from bias_intervene import checking, pythia
from bias_intervene import plan as planning
from bias_intervene.errors import BiasInterveneError, StageStopped
from bias_intervene.interventions.lexicon import DIRECTIONS
from bias_intervene.interventions.possessive import POSSESSIVES, WORD_LISTS, Possessives
from bias_intervene.launch import end_with_parent, outcome_path
from bias_intervene.plan import Plan
from bias_intervene.record import read_json, write_json
from bias_intervene.settings import (
    FolderModel,
    IndexedData,
    JsonlData,
    PileData,
    PythiaModel,
    Settings,
    TextData,
    WorldData,
    WorldModel,
)

PLACE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}
"""What a place to write to can do to a program that is right: full, not ours, read-only."""


def main(argv: list[str] | None = None) -> int:
    """Runs a stage. argv: STAGE RUN_DIR."""
    stage, folder = sys.argv[1:] if argv is None else argv
    run_dir = Path(folder)
    if "RANK" in os.environ:  # No rank goes on by itself when its launcher is killed.
        end_with_parent(signal.SIGKILL)()
    quiet()
    outcome = outcome_path(run_dir, stage, int(os.environ.get("GROUP_RANK", "0")))
    settings = checking.read(read_json(run_dir / "settings.json"))
    plan = planning.from_json(read_json(run_dir / "plan.json"))
    try:
        STAGES[stage](run_dir, settings, plan)
    except StageStopped as stopped:
        write_json(outcome, {"status": "stopped", "message": str(stopped)})
    except BiasInterveneError as error:
        write_json(outcome, {"status": "failed", "message": str(error)})
        return 1
    except Exception as error:
        if isinstance(error, OSError) and error.errno in PLACE_ERRORS:
            place = error.filename or run_dir
            say_on_a_full_disk(outcome, f"{place}: {error.strerror}; what was saved before is intact")
        elif not outcome.is_file():  # Otherwise another rank has said what happened, and this one lost touch with it.
            raise
        return 1
    else:
        write_json(outcome, {"status": "done"})
    return 0


def say_on_a_full_disk(outcome: Path, message: str) -> None:
    """Writes the outcome if the place still takes it; on the screen in any case."""
    print(message, file=sys.stderr)
    with contextlib.suppress(OSError):
        write_json(outcome, {"status": "failed", "message": message})


def quiet() -> None:
    """Leaves the screen to the progress bars: libraries speak when something is wrong."""
    warnings.filterwarnings("ignore")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    for name in ("DeepSpeed", "torch.distributed", "huggingface_hub", "httpx"):
        # A filter and not a level: DeepSpeed sets the level of its logger when it is imported.
        logging.getLogger(name).addFilter(lambda record: record.levelno >= logging.ERROR)
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()


# --- prepare ---------------------------------------------------------------------------------------------------


def prepare(run_dir: Path, settings: Settings, plan: Plan) -> None:
    """Everything the later stages read, found or made and checked, before any of it is used."""
    from bias_intervene.evals.suite import load_items

    data = settings.data
    check_local_paths(settings, plan)
    world_corpus, world_folder = None, None
    if isinstance(data, WorldData):
        from bias_intervene.data.world import prepare_world

        assert isinstance(settings.model, WorldModel)
        world_corpus, world_folder = prepare_world(data, settings.model, settings.cache)
    # Items before weights: a misnamed file is found before gigabytes are fetched.
    items = load_items(
        settings.evals, world_folder=world_folder, world_data=data if isinstance(data, WorldData) else None
    )
    inputs: dict[str, Any] = {
        "base": None,
        "final": None,
        "tokenizer": None,
        "world": str(world_folder) if world_folder else None,
        "corpus": None,
        "fingerprints": {"benchmarks": items.fingerprints()},
    }
    if is_pretraining(settings, plan):
        assert world_folder is not None
        inputs["tokenizer"] = str(save_world_tokenizer_once(world_folder))
    else:
        inputs |= locate_checkpoints(settings, plan, inputs["fingerprints"])
    inputs["corpus"] = prepare_corpus(settings, plan, inputs, world_corpus)
    if settings.intervention.name in DIRECTIONS and inputs["corpus"] is not None:
        inputs["fingerprints"]["possessives"] = prepare_swap(run_dir, settings, plan, inputs)
    write_json(run_dir / "inputs.json", inputs)


def check_local_paths(settings: Settings, plan: Plan) -> None:
    """Finds a mistyped path before anything is fetched or read."""
    from bias_intervene.data.corpus import files
    from bias_intervene.models import locate

    model = settings.model
    if isinstance(model, FolderModel) or (isinstance(model, PythiaModel) and model.path is not None):
        locate(settings, repository=plan.repository, revision=plan.revision)
    if isinstance(settings.data, TextData | JsonlData) and plan.trains:
        files(settings.data)
    if settings.intervention.name in DIRECTIONS and settings.intervention.possessives not in ("fit", "words"):
        Possessives.load(Path(settings.intervention.possessives))


def is_pretraining(settings: Settings, plan: Plan) -> bool:
    """Whether this run makes the generated world's model from random weights."""
    return isinstance(settings.model, WorldModel) and plan.start_step == 0 and plan.trains


def save_world_tokenizer_once(world_folder: Path) -> Path:
    """The world's tokenizer in Hugging Face's format, beside its rows."""
    from bias_intervene.record import whole_folder
    from bias_intervene.world_model import save_world_tokenizer

    folder = world_folder / "tokenizer"
    if not folder.is_dir():
        with whole_folder(folder) as partial:
            save_world_tokenizer(world_folder / "tokenizer.json", partial)
    return folder


def locate_checkpoints(settings: Settings, plan: Plan, fingerprints: dict[str, Any]) -> dict[str, Any]:
    """Local folders of the base and of the published last checkpoint; adds what identifies them."""
    from bias_intervene import models

    base = models.locate(settings, repository=plan.repository, revision=plan.revision)
    tokenizer = models.load_tokenizer(base)
    fingerprints["base_weights"] = models.weights_fingerprint(base)
    fingerprints["tokenizer"] = models.tokenizer_fingerprint(tokenizer)
    fingerprints["end_of_text"] = tokenizer.end_of_text
    fingerprints["prefix"] = tokenizer.prefix
    final = None
    if plan.final_revision is not None and plan.final_revision != plan.revision and plan.benchmarks:
        final = models.locate(settings, repository=plan.repository, revision=plan.final_revision)
        fingerprints["published_final_weights"] = models.weights_fingerprint(final)
    return {"base": str(base), "final": str(final) if final else None, "tokenizer": str(base)}


def prepare_corpus(
    settings: Settings, plan: Plan, inputs: dict[str, Any], world_corpus: Any | None
) -> dict[str, Any] | None:
    """The rows of the run; None where nothing is trained and no row is needed."""
    corpus, data, prints = world_corpus, settings.data, inputs["fingerprints"]
    if corpus is None:
        if not plan.trains:
            return None
        if isinstance(data, PileData):
            corpus = prepare_pile_rows(settings, plan, data, prints)
        else:
            corpus = prepare_own_rows(settings, plan, inputs)
        row_order(settings, corpus.num_training_rows).check(plan.rows[1])
    prints["corpus"] = corpus.fingerprint
    return corpus.to_json()


def prepare_pile_rows(settings: Settings, plan: Plan, data: PileData, prints: dict[str, Any]) -> Any:
    """Pythia's own rows."""
    from bias_intervene.data.pile import prepare_pile

    assert isinstance(settings.model, PythiaModel)
    assert plan.heldout is not None
    repository = pythia.rows_repository(deduped=settings.model.deduped)
    prints["corpus_source"] = repository if data.source == "hub" else f"data.source={data.source}"
    return prepare_pile(
        data,
        rows=range(plan.heldout[1], plan.rows[1]),
        heldout=range(*plan.heldout),
        repository=repository,
        cache=settings.cache,
    )


def prepare_own_rows(settings: Settings, plan: Plan, inputs: dict[str, Any]) -> Any:
    """Rows of the user's."""
    from bias_intervene.data import corpus as own
    from bias_intervene.models import load_tokenizer

    data = settings.data
    assert not isinstance(data, WorldData | PileData)
    inputs["fingerprints"]["corpus_source"] = own.where(data)
    if isinstance(data, IndexedData):
        return own.prepare_indexed(data, sequence_length=plan.sequence_length)
    tokenizer = load_tokenizer(Path(inputs["tokenizer"]))
    return own.prepare(
        data,
        tokenizer=tokenizer.backend,
        end_of_text_id=tokenizer.end_of_text_id,
        sequence_length=plan.sequence_length,
        cache=settings.cache,
    )


def prepare_swap(run_dir: Path, settings: Settings, plan: Plan, inputs: dict[str, Any]) -> str:
    """Finds a tokenizer that cannot be swapped in, and keeps in the run directory what decides between her and hers,
    his and him; returns its fingerprint.
    """
    from bias_intervene.data.indexed import Layout, Rows
    from bias_intervene.data.row_swap import fit_to_rows
    from bias_intervene.interventions.tokens import compiled
    from bias_intervene.models import load_tokenizer

    tokenizer = load_tokenizer(Path(inputs["tokenizer"])).backend
    compiled(tokenizer)
    kept, asked = run_dir / POSSESSIVES, settings.intervention.possessives
    if kept.is_file():  # A run that goes on decides as it began.
        return Possessives.load(kept).fingerprint
    if asked == "fit":
        corpus = inputs["corpus"]
        window = plan.rows if plan.heldout else (0, corpus["num_training_rows"])
        found = fit_to_rows(Rows(Layout.from_json(corpus["layout"])), range(*window), tokenizer)
    else:
        found = WORD_LISTS if asked == "words" else Possessives.load(Path(asked))
    write_json(kept, found.to_json())
    return found.fingerprint


def row_order(settings: Settings, num_rows: int) -> Any:
    """In which order the rows are read."""
    from bias_intervene.data.stream import RowOrder

    data = settings.data
    if isinstance(data, WorldData | PileData):
        return RowOrder(num_rows=num_rows, seed=None, allow_repeats=False)
    return RowOrder(num_rows=num_rows, seed=settings.seed if data.shuffle else None, allow_repeats=data.allow_repeats)


# --- train -----------------------------------------------------------------------------------------------------


def train(run_dir: Path, settings: Settings, plan: Plan) -> None:
    """One rank of the training."""
    import torch

    from bias_intervene import models
    from bias_intervene.data.indexed import Layout, Rows
    from bias_intervene.data.row_swap import RowSwap
    from bias_intervene.data.stream import RowStream
    from bias_intervene.training.loop import seed_everything
    from bias_intervene.training.loop import train as run_steps

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    seed_everything(settings.seed)
    inputs = read_json(run_dir / "inputs.json")
    tokenizer_folder = Path(inputs["tokenizer"])
    tokenizer = models.load_tokenizer(tokenizer_folder)
    if inputs["base"] is None:
        assert isinstance(settings.model, WorldModel)
        assert isinstance(settings.data, WorldData)
        from bias_intervene.world_model import new_world_model

        model = new_world_model(settings.model, seed=settings.data.seed, end_of_text_id=tokenizer.end_of_text_id)
    else:
        model = models.load_model(Path(inputs["base"]), dtype="float32", tokenizer=tokenizer)
    corpus = inputs["corpus"]
    swap = None
    if settings.intervention.name != "none":
        # The literature's padding token where the tokenizer has it.
        padding_id = tokenizer.backend.token_to_id("<|padding|>") or tokenizer.end_of_text_id
        kept = run_dir / POSSESSIVES
        swap = RowSwap(
            settings.intervention,
            tokenizer.backend,
            seed=settings.seed,
            padding_id=padding_id,
            possessives=Possessives.load(kept) if kept.is_file() else WORD_LISTS,
        )
    stream = RowStream(
        rows=Rows(Layout.from_json(corpus["layout"])),
        order=row_order(settings, corpus["num_training_rows"]),
        plan=plan,
        rank=int(os.environ["RANK"]),
        swap=swap,
        vocabulary_size=model.config.vocab_size,
    )
    run_steps(run_dir, settings=settings, plan=plan, stream=stream, model=model, tokenizer_folder=tokenizer_folder)


# --- evaluate --------------------------------------------------------------------------------------------------


def evaluate(run_dir: Path, settings: Settings, plan: Plan) -> None:
    """Scores the checkpoints of the plan."""
    import torch

    from bias_intervene.data.indexed import Layout, Rows
    from bias_intervene.evals.suite import Checkpoint, load_items
    from bias_intervene.evals.suite import evaluate as score_all
    from bias_intervene.models import weights_fingerprint

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    inputs = read_json(run_dir / "inputs.json")
    world_folder = Path(inputs["world"]) if inputs["world"] else None
    world_data = settings.data if isinstance(settings.data, WorldData) else None
    base, own = Path(inputs["base"]), run_dir / "training" / "checkpoints"
    checkpoints = [
        Checkpoint(step, base if step == plan.start_step else own / f"step{step}") for step in plan.evaluated_steps
    ]
    if inputs["final"] is not None and plan.final_revision is not None:
        final_step = int(plan.final_revision.removeprefix("step"))
        checkpoints.append(Checkpoint(final_step, Path(inputs["final"]), published=True))
    heldout = None
    if settings.evals.pronouns.enabled and inputs["corpus"] is not None:
        numbers = range(*inputs["corpus"]["heldout"])
        if numbers:
            heldout = Rows(Layout.from_json(inputs["corpus"]["layout"])).stack(numbers)
    score_all(
        run_dir,
        evals=settings.evals,
        items=load_items(settings.evals, world_folder=world_folder, world_data=world_data),
        checkpoints=checkpoints,
        heldout_rows=heldout,
        device=settings.train.device,
    )
    prints = {c.name: weights_fingerprint(c.folder) for c in checkpoints}
    write_json(run_dir / "evals" / "fingerprints.json", {"evaluated_weights": prints})


STAGES = {"prepare": prepare, "train": train, "evaluate": evaluate}

if __name__ == "__main__":
    sys.exit(main())
