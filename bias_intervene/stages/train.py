"""One rank of the training.

Input: inputs.json, settings and a plan. Output: the model, the tokenizer and the stream of rows, given to
`training.loop`, which writes everything. Guarantees: every rank builds the same model and reads its own rows.
"""

import os
from pathlib import Path

import torch

from bias_intervene import models
from bias_intervene.data.indexed import Layout, Rows
from bias_intervene.data.stream import RowStream, row_order
from bias_intervene.interventions import INTERVENTIONS
from bias_intervene.interventions.possessive import POSSESSIVES, WORD_LISTS, Possessives
from bias_intervene.interventions.row_swap import RowSwap
from bias_intervene.plan import Plan
from bias_intervene.record import read_json
from bias_intervene.settings import Settings, WorldData, WorldModel
from bias_intervene.stages.inputs import check_unchanged
from bias_intervene.training.loop import seed_everything
from bias_intervene.training.loop import train as run_steps

IMPORTED_LATER = ("transformers.modeling_utils", "deepspeed", "matplotlib.figure")
"""Modules that take long and that the stage imports where it uses them."""


def run(run_dir: Path, settings: Settings, plan: Plan) -> None:
    """Trains as the rank that $RANK names."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    seed_everything(settings.seed)
    inputs = read_json(run_dir / "inputs.json")
    check_unchanged(inputs)
    tokenizer_folder = Path(inputs["tokenizer"])
    tokenizer = models.load_tokenizer(tokenizer_folder)
    if inputs["base"] is None:
        assert isinstance(settings.model, WorldModel)
        assert isinstance(settings.data, WorldData)
        model = models.new_world_model(settings.model, seed=settings.data.seed, end_of_text_id=tokenizer.end_of_text_id)
    else:
        model = models.load_model(Path(inputs["base"]), dtype="float32", tokenizer=tokenizer)
    corpus = inputs["corpus"]
    swap = None
    if INTERVENTIONS[settings.intervention.name].alters_rows:
        # The literature's padding token where the tokenizer has it.
        padding = tokenizer.backend.token_to_id("<|padding|>")
        possessives = run_dir / POSSESSIVES
        swap = RowSwap(
            settings.intervention,
            tokenizer.backend,
            seed=settings.seed,
            padding_id=tokenizer.end_of_text_id if padding is None else padding,
            possessives=Possessives.load(possessives) if possessives.is_file() else WORD_LISTS,
        )
    stream = RowStream(
        rows=Rows(Layout.from_json(corpus["layout"])),
        order=row_order(
            settings.data, seed=settings.seed, num_rows=corpus["num_training_rows"], window=range(*plan.rows)
        ),
        plan=plan,
        rank=int(os.environ["RANK"]),
        swap=swap,
        vocabulary_size=model.config.vocab_size,
    )
    run_steps(
        run_dir,
        train=settings.train,
        tracking=settings.tracking,
        plan=plan,
        stream=stream,
        model=model,
        tokenizer_folder=tokenizer_folder,
    )
