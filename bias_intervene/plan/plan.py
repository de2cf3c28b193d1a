"""From settings to what will run: checkpoint, steps, rows, batch arithmetic, memory, evaluations.

Input: settings. Output: the `Plan`, which plan.json holds and every later stage reads. Guarantees: no file, no hub and
no torch is touched; a request that cannot be met is refused with the nearest one that can. Steps are counted as in the
original training, so step 133,000 means the same everywhere.

`intervention.fraction` ends here: it becomes steps and a revision, and the plan keeps both the requested and the
realised value. `history` says what is known of the original training, `window` which steps of it are repeated, `memory`
how a step is laid out on the ranks.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from bias_intervene.errors import PlanError
from bias_intervene.plan.effect import effect_notes, without_effect
from bias_intervene.plan.history import History, history
from bias_intervene.plan.memory import (
    Fit,
    check_engine,
    divide_batch,
    fits_in,
    fitting,
    gib,
    gib_a_gpu,
    memory_by_stage,
    num_ranks,
)
from bias_intervene.plan.pile_rows import shards_of_rows
from bias_intervene.plan.schedule import Schedule, original_schedule, schedule_of_run
from bias_intervene.plan.seeds import seed_note
from bias_intervene.plan.window import check_rows, published_steps, window
from bias_intervene.results import ExpectedEffect
from bias_intervene.settings import DataSettings, EvalsSettings, ModelSettings, PileData, Settings
from bias_intervene.settings.intervention import kind_of


@dataclass(frozen=True)
class Plan:
    """What one run does. Written to plan.json; every later stage reads it and not the settings behind it."""

    arm: str
    repository: str
    revision: str | None
    published_steps: tuple[int, ...]
    """Checkpoints of the original run scored besides the base. Those after start_step are a control free of training.
    """
    start_step: int
    num_steps: int
    rows: tuple[int, int]
    """[first, end) of the rows read by the training steps, the intervention applied."""
    heldout: tuple[int, int] | None
    """[first, end) of the Pile's rows that the manipulation check reads. None: the last rows of another corpus."""
    shards: tuple[dict[str, Any], ...] | None
    """The Pile's shards that hold the rows read: name, bytes needed of it. None: another corpus."""
    optimizer_warmup_steps: int
    """Steps before start_step at learning rate 0, on the rows just before `rows`, unaltered."""
    tokens: int
    asked_fraction: float | None
    realised_fraction: float | None
    sequence_length: int
    global_batch_rows: int
    micro_batch_rows: int
    accumulation_steps: int
    num_ranks: int
    zero_stage: int
    activation_checkpointing: bool
    checkpoint_steps: tuple[int, ...]
    schedule: Schedule
    original_schedule: Schedule | None
    """The original training's. None: not known."""
    num_parameters: int | None
    memory_gib_by_zero_stage: dict[str, float] | None
    """Estimated GiB a GPU by ZeRO stage. None: the architecture is only known once the files are read."""
    evaluated_steps: tuple[int, ...]
    benchmarks: tuple[str, ...]
    notes: tuple[str, ...]
    expected_effect: ExpectedEffect | None
    """What the manipulation check looks for. None: the arm is not judged."""

    @property
    def end_step(self) -> int:
        """The step after the last one trained, as checkpoints are named."""
        return self.start_step + self.num_steps

    @property
    def trains(self) -> bool:
        """False for an evaluation without training."""
        return self.num_steps > 0

    def to_json(self) -> dict[str, Any]:
        """The plan as plan.json holds it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Plan":
        """The plan back from plan.json."""
        effect = values.get("expected_effect")  # Plans of earlier versions have none.
        values = {**values, "expected_effect": None if effect is None else ExpectedEffect(**effect)}
        taken: dict[str, Any] = {
            field.name: tuple(cast("list[Any]", value)) if isinstance(value := values[field.name], list) else value
            for field in dataclasses.fields(cls)
        }
        for name in ("schedule", "original_schedule"):
            taken[name] = Schedule(**taken[name]) if taken[name] is not None else None
        return cls(**taken)


def make_plan(
    settings: Settings,
    *,
    expected_effect: ExpectedEffect | None = None,
    swaps_pronouns: bool = True,
    given: Iterable[str] = (),
) -> Plan:
    """The plan of a run. Raises `PlanError` naming the key, what was asked and what can be had.

    expected_effect, swaps_pronouns: of the run's intervention, which is only described above this package. given: keys
    of the command line, of which the notes say which have no effect.
    """
    model, train = settings.model, settings.train
    known = history(model)
    if known and known.arm and settings.intervention.fraction != 0:
        raise PlanError(
            f"{known.repository}: the released interventions are evaluated, not trained further; set "
            "intervention.fraction=0"
        )
    check_rows(model, known, data_kind=settings.data.kind, train=train)
    start_step, num_steps, asked = window(
        model, known, fraction=settings.intervention.fraction, num_steps=train.num_steps
    )
    if known and start_step in known.random_steps and settings.evals.scored_benchmarks():
        raise PlanError(
            f"step {start_step} of {model.name} holds random weights and is not kept; the first checkpoint is step "
            f"{min(set(known.checkpoint_steps) - set(known.random_steps))}"
        )
    shape = known.shape if known else None
    fit = fitting(train, shape, model_name=model.name)
    check_engine(train, fit)
    accumulation_steps = divide_batch(train, fit.micro_batch_rows)
    warmup = train.optimizer_warmup_steps if num_steps else 0
    reads_original_rows = known is not None and settings.data.kind == known.row_order
    if reads_original_rows and warmup > start_step:
        raise PlanError(
            f"train.optimizer_warmup_steps: {warmup} steps before step {start_step} do not exist; at most {start_step}"
        )
    # A user's own corpus starts with the warm-up's rows; the original rows have them just before the window.
    first_row = (start_step if reads_original_rows else warmup) * train.global_batch_rows
    rows = (first_row, first_row + num_steps * train.global_batch_rows)
    heldout = _rows_before(settings.data, rows[0] - warmup * train.global_batch_rows) if num_steps else None
    end_step = start_step + num_steps
    saved = checkpoints_between(start_step, end_step, train.save_interval)
    published = _published_to_score(model, known, settings.evals)
    evaluated = _evaluated_steps(settings.evals, start_step=start_step, saved=saved, published=published)
    idle = without_effect(settings, known, saved=saved, swaps_pronouns=swaps_pronouns)
    return Plan(
        arm=(known.arm if known else None) or settings.intervention.name,
        repository=_repository(model, known),
        revision=_revision(model, known, start_step),
        published_steps=tuple(step for step in published if not (step == start_step and step in evaluated)),
        start_step=start_step,
        num_steps=num_steps,
        rows=rows,
        heldout=heldout,
        shards=_shards(heldout, rows[1]) if heldout else None,
        optimizer_warmup_steps=warmup,
        tokens=num_steps * train.global_batch_rows * train.sequence_length,
        asked_fraction=asked,
        realised_fraction=round(num_steps / known.total_steps, 6) if known else None,
        sequence_length=train.sequence_length,
        global_batch_rows=train.global_batch_rows,
        micro_batch_rows=fit.micro_batch_rows,
        accumulation_steps=accumulation_steps,
        num_ranks=num_ranks(train),
        zero_stage=fit.zero_stage,
        activation_checkpointing=fit.activation_checkpointing,
        checkpoint_steps=saved,
        schedule=schedule_of_run(train, known, start_step=start_step, num_steps=num_steps, model_name=model.name),
        original_schedule=original_schedule(known),
        num_parameters=shape.num_parameters if shape else None,
        memory_gib_by_zero_stage=memory_by_stage(train, shape, fit),
        evaluated_steps=evaluated,
        benchmarks=settings.evals.scored_benchmarks(with_heldout_rows=_holds_out(settings.data, num_steps)),
        notes=(
            *_notes(settings, known, fit, start_step=start_step, num_steps=num_steps, swaps_pronouns=swaps_pronouns),
            *effect_notes(given, idle),
        ),
        expected_effect=expected_effect,
    )


def _rows_before(data: DataSettings, end: int) -> tuple[int, int] | None:
    """The Pile's rows that are scored: those before `end`, the first that is trained on; none with `validation`."""
    if not isinstance(data, PileData):
        return None
    return (max(0, end - data.heldout_rows) if data.validation is None else end, end)


def _shards(heldout: tuple[int, int], end: int) -> tuple[dict[str, Any], ...]:
    """The shards that hold the Pile's rows from the first held out to `end`, by the sizes the hub is known to keep."""
    named = shards_of_rows(heldout[0], end)
    return tuple({"name": name, "bytes_needed": needed} for name, needed in named)


def checkpoints_between(start: int, end: int, interval: int) -> tuple[int, ...]:
    """Steps saved: multiples of `interval` after `start`, and `end`.

    >>> checkpoints_between(133_000, 135_500, 1_000)
    (134000, 135000, 135500)
    """
    if end <= start:
        return ()
    first = (start // interval + 1) * interval
    return tuple(sorted({*range(first, end + 1, interval), end}))


def _holds_out(data: DataSettings, num_steps: int) -> bool:
    """Whether there are rows kept out of training; a run that trains nothing reads no corpus but the world's."""
    return data.heldout_rows > 0 and (num_steps > 0 or data.kind == "world")


def _published_to_score(model: ModelSettings, known: History | None, evals: EvalsSettings) -> tuple[int, ...]:
    """Steps of the original run's checkpoints that are scored: those asked for, and the last one."""
    if not evals.scored_benchmarks():
        return ()
    last = {known.total_steps} if known and evals.published_final else set[int]()
    return tuple(sorted({*published_steps(model, known, asked=evals.steps), *last}))


def _evaluated_steps(
    evals: EvalsSettings, *, start_step: int, saved: tuple[int, ...], published: tuple[int, ...]
) -> tuple[int, ...]:
    """Steps of the checkpoints scored of this run: base, its own, each once, ascending."""
    if not evals.scored_benchmarks():
        return ()
    own = saved if evals.saved == "all" else saved[-1:]
    base = (start_step,) if evals.base or not (saved or published) else ()
    return tuple(sorted({*base, *own}))


def _repository(model: ModelSettings, known: History | None) -> str:
    """Where the weights come from, as a user would name it."""
    if known is not None:
        return known.repository
    if model.kind == "hub":
        return model.repository
    assert model.kind == "folder" or model.kind == "gguf"
    return model.path


def _revision(model: ModelSettings, known: History | None, start_step: int) -> str | None:
    """Branch, tag, commit or folder of the base checkpoint."""
    if known is not None:
        return known.revision_of(start_step)
    return model.revision if model.kind == "hub" else None


def _notes(
    settings: Settings, known: History | None, fit: Fit, *, start_step: int, num_steps: int, swaps_pronouns: bool
) -> tuple[str, ...]:
    """What a reader of the record must know and no number says."""
    notes: list[str] = []
    train = settings.train
    is_from_scratch = known is not None and start_step == 0
    if num_steps and not is_from_scratch and train.optimizer_warmup_steps == 0:
        steps = ", ".join(map(str, known.optimizer_steps)) if known else ""
        states = (
            f"were published for step {steps} only" if steps else "were not published" if known else "are not known"
        )
        notes.append(
            f"Adam's moments start empty: optimizer states {states}. Compare with the control arm, which starts the "
            "same way, or set train.optimizer_warmup_steps."
        )
    if num_steps and known and known.precision not in {None, train.precision}:
        notes.append(
            f"The original training computed in {known.precision}, this one computes in {train.precision} "
            "(train.precision): the published final checkpoint differs from the control arm in that too."
        )
    if num_steps and known and settings.data.kind != known.row_order:
        notes.append(
            "These rows are not the ones the original training read at these steps: the published final "
            "checkpoint is no matched control."
        )
    shape = known.shape if known else None
    if num_steps and train.device != "cpu" and not fits_in(train, shape, fit):
        notes.append(
            f"A GPU needs about {gib(gib_a_gpu(train, shape, fit) or 0)} GiB, and train.gpu_memory_gib="
            f"{train.gpu_memory_gib:g}, a tenth of it kept free, is less: take more GPUs "
            "(train=pythia_4gpu, pythia_8gpu, pythia_64gpu) or say how large yours are."
        )
    if kind_of(settings.intervention.name) == "unaltered" and settings.intervention.probability < 1:
        notes.append("intervention.probability has no effect on the control: it is the control of every value of it.")
    data = settings.data
    if num_steps and isinstance(data, PileData) and data.heldout_rows and data.validation is None:
        notes.append(
            "The rows that perplexity and pronouns are scored on (before_window) are not held out: the base model was "
            "trained on them last of all, so the base against an arm says nothing about cost. data.validation=FILE, or "
            "a data set of the hub, scores rows that were not trained on."
        )
    without_draw = seed_note(settings, known, trains=num_steps > 0, swaps_pronouns=swaps_pronouns)
    notes += [without_draw] if without_draw else []
    if not num_steps:
        notes.append("Evaluation only: no step is trained.")
    evals = settings.evals
    if evals.scored_benchmarks() != evals.scored_benchmarks(with_heldout_rows=_holds_out(settings.data, num_steps)):
        notes.append("No perplexity and no pronouns of held-out rows: no row is kept out of a training.")
    return tuple(notes)


def rows_of_step(plan: Plan, step: int) -> range:
    """Rows of the corpus that a step reads, warm-up steps (before start_step) included.

    Raises `ValueError` outside the plan.
    """
    if not plan.start_step - plan.optimizer_warmup_steps <= step < plan.end_step:
        raise ValueError(f"step {step} is not part of the plan [{plan.start_step}, {plan.end_step})")
    first = plan.rows[0] + (step - plan.start_step) * plan.global_batch_rows
    return range(first, first + plan.global_batch_rows)
