"""From settings to what will run: checkpoint, steps, rows, batch arithmetic, memory, evaluations.

Input: settings. Output: the `Plan`, which plan.json holds and every later stage reads. Guarantees: no file, no hub and
no torch is touched; a request that cannot be met is refused with the nearest one that can. Steps are counted as in the
original training, so step 133,000 means the same everywhere.

`intervention.fraction` ends here: it becomes steps and a revision, and the plan keeps both the requested and the
realised value. `history` finds where a run starts, `memory` how a step is laid out on the ranks.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, cast

from bias_intervene.errors import PlanError
from bias_intervene.plan import pythia
from bias_intervene.plan.history import History, check_model, check_rows, history, published_steps, window
from bias_intervene.plan.memory import (
    Fit,
    check_engine,
    divide_batch,
    fits_in,
    fitting,
    gib,
    gib_a_gpu,
    memory_by_stage,
    num_parameters,
    num_ranks,
)  # fmt: skip
from bias_intervene.results import ExpectedEffect
from bias_intervene.settings import PileData, PythiaModel, Settings, WorldModel


@dataclass(frozen=True)
class Schedule:
    """Everything the learning rate of a step depends on; `training.schedule` computes it."""

    kind: str
    peak: float
    minimum: float
    warmup_steps: int
    total_steps: int
    start_step: int
    rewarmup_steps: int


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


def make_plan(settings: Settings, *, expected_effect: ExpectedEffect | None = None) -> Plan:
    """The plan of a run. Raises `PlanError` naming the key, what was asked and what can be had.

    expected_effect: that of the run's intervention, which is only described above this package.
    """
    check_model(settings)
    known = history(settings)
    check_rows(settings, known)
    start_step, num_steps, asked = window(settings, known)
    if isinstance(settings.model, WorldModel) and start_step == 0 and settings.evals.scored_benchmarks():
        raise PlanError(
            f"step 0 of {settings.model.name} holds random weights and is not kept; the first checkpoint is step "
            f"{settings.model.checkpoint_interval}"
        )
    train = settings.train
    fit = fitting(settings)
    check_engine(settings, fit)
    accumulation_steps = divide_batch(settings, fit.micro_batch_rows)
    warmup = train.optimizer_warmup_steps if num_steps else 0
    reads_original_rows = settings.data.kind in {"pile", "world"}
    if reads_original_rows and warmup > start_step:
        raise PlanError(
            f"train.optimizer_warmup_steps: {warmup} steps before step {start_step} do not exist; at most {start_step}"
        )
    # A user's own corpus starts with the warm-up's rows; the original rows have them just before the window.
    first_row = (start_step if reads_original_rows else warmup) * train.global_batch_rows
    rows = (first_row, first_row + num_steps * train.global_batch_rows)
    heldout = _rows_before(settings, rows[0] - warmup * train.global_batch_rows) if num_steps else None
    end_step = start_step + num_steps
    saved = checkpoints_between(start_step, end_step, train.save_interval)
    published = _published_to_score(settings, known)
    evaluated = evaluated_steps(settings, start_step=start_step, saved=saved, published=published)
    return Plan(
        arm=arm(settings),
        repository=repository(settings),
        revision=revision(settings, start_step),
        published_steps=tuple(step for step in published if not (step == start_step and step in evaluated)),
        start_step=start_step,
        num_steps=num_steps,
        rows=rows,
        heldout=heldout,
        shards=shards(heldout, rows[1]) if heldout else None,
        optimizer_warmup_steps=warmup,
        tokens=num_steps * train.global_batch_rows * train.sequence_length,
        asked_fraction=asked,
        realised_fraction=round(num_steps / known.total_steps, 6) if known else None,
        sequence_length=train.sequence_length,
        global_batch_rows=train.global_batch_rows,
        micro_batch_rows=fit.micro_batch_rows,
        accumulation_steps=accumulation_steps,
        num_ranks=num_ranks(settings),
        zero_stage=fit.zero_stage,
        activation_checkpointing=fit.activation_checkpointing,
        checkpoint_steps=saved,
        schedule=schedule(settings, known, start_step),
        original_schedule=original_schedule(known) if known else None,
        num_parameters=num_parameters(settings),
        memory_gib_by_zero_stage=memory_by_stage(settings, fit),
        evaluated_steps=evaluated,
        benchmarks=settings.evals.scored_benchmarks(with_heldout_rows=_holds_out(settings, num_steps)),
        notes=notes(settings, fit, start_step=start_step, num_steps=num_steps),
        expected_effect=expected_effect,
    )


def _rows_before(settings: Settings, end: int) -> tuple[int, int] | None:
    """The Pile's rows held out: the last before `end`, the first row that the run trains on."""
    if not isinstance(settings.data, PileData):
        return None
    return max(0, end - settings.data.heldout_rows), end


def shards(heldout: tuple[int, int], end: int) -> tuple[dict[str, Any], ...]:
    """The shards that hold the Pile's rows from the first held out to `end`, by the sizes the hub is known to keep."""
    named = pythia.shards_of_rows(heldout[0], end)
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


def _holds_out(settings: Settings, num_steps: int) -> bool:
    """Whether there are rows kept out of training; a run that trains nothing reads no corpus but the world's."""
    return settings.data.heldout_rows > 0 and (num_steps > 0 or settings.data.kind == "world")


def arm(settings: Settings) -> str:
    """What was done to the model: the intervention of this run, or that of the released model it evaluates."""
    model = settings.model
    if isinstance(model, PythiaModel) and model.variant != "original":
        return f"released_{model.variant}"
    return settings.intervention.name


def _published_to_score(settings: Settings, known: History | None) -> tuple[int, ...]:
    """Steps of the original run's checkpoints that are scored: those asked for, and the last one."""
    if not settings.evals.scored_benchmarks():
        return ()
    last = {known.total_steps} if known and settings.evals.published_final else set[int]()
    return tuple(sorted({*published_steps(settings, known), *last}))


def evaluated_steps(
    settings: Settings, *, start_step: int, saved: tuple[int, ...], published: tuple[int, ...]
) -> tuple[int, ...]:
    """Steps of the checkpoints scored of this run: base, its own, each once, ascending."""
    if not settings.evals.scored_benchmarks():
        return ()
    own = saved if settings.evals.saved == "all" else saved[-1:]
    base = (start_step,) if settings.evals.base or not (saved or published) else ()
    return tuple(sorted({*base, *own}))


def repository(settings: Settings) -> str:
    """Where the weights come from, as a user would name it."""
    model = settings.model
    match model.kind:
        case "pythia":
            return pythia.repository(model.name, deduped=model.deduped, seed=model.seed, variant=model.variant)
        case "hub":
            return model.repository
        case "folder" | "gguf":
            return model.path
        case "world":
            return f"world/{model.name}"


def revision(settings: Settings, start_step: int) -> str | None:
    """Branch, tag or commit of the base checkpoint."""
    model = settings.model
    if model.kind == "hub":
        return model.revision
    return f"step{start_step}" if isinstance(model, PythiaModel | WorldModel) else None


def schedule(settings: Settings, known: History | None, start_step: int) -> Schedule:
    """The learning rate's parameters in effect."""
    train = settings.train
    if train.schedule == "original":
        if known is None:
            raise PlanError(
                f"train.schedule=original: how {settings.model.name} was trained is not known; "
                "use train.schedule=constant with a train.learning_rate"
            )
        peak = train.learning_rate or known.peak_learning_rate
        minimum = known.minimum_learning_rate / known.peak_learning_rate * peak
        warmup, total = known.warmup_steps, known.total_steps
    else:
        if train.learning_rate is None:
            raise PlanError("train.learning_rate: needed with train.schedule=constant")
        peak = minimum = train.learning_rate
        warmup, total = 0, 0
    return Schedule(
        kind=train.schedule,
        peak=peak,
        minimum=minimum,
        warmup_steps=warmup,
        total_steps=total,
        start_step=start_step,
        rewarmup_steps=train.rewarmup_steps,
    )


def original_schedule(known: History) -> Schedule:
    """The learning rate of the original training."""
    return Schedule(
        kind="original",
        peak=known.peak_learning_rate,
        minimum=known.minimum_learning_rate,
        warmup_steps=known.warmup_steps,
        total_steps=known.total_steps,
        start_step=0,
        rewarmup_steps=0,
    )


def notes(settings: Settings, fit: Fit, *, start_step: int, num_steps: int) -> tuple[str, ...]:
    """What a reader of the record must know and no number says."""
    said: list[str] = []
    if num_steps and start_step > 0 and settings.train.optimizer_warmup_steps == 0:
        said.append(
            "Adam's moments start empty: optimizer states were published for the final step only. Compare with the "
            "control arm, which starts the same way, or set train.optimizer_warmup_steps."
        )
    if num_steps and isinstance(settings.model, PythiaModel) and settings.data.kind != "pile":
        said.append(
            "These rows are not the ones the original training read at these steps: the published final "
            "checkpoint is no matched control."
        )
    if num_steps and settings.train.device != "cpu" and not fits_in(settings, fit):
        said.append(
            f"A GPU needs about {gib(gib_a_gpu(settings, fit) or 0)} GiB, and train.gpu_memory_gib="
            f"{settings.train.gpu_memory_gib:g}, a tenth of it kept free, is less: take more GPUs "
            "(train=pythia_4gpu, pythia_8gpu, pythia_64gpu) or say how large yours are."
        )
    if settings.intervention.name == "none" and settings.intervention.probability < 1:
        said.append("intervention.probability has no effect on the control: it is the control of every value of it.")
    if not num_steps:
        said.append("Evaluation only: no step is trained.")
    evals = settings.evals
    if evals.scored_benchmarks() != evals.scored_benchmarks(with_heldout_rows=_holds_out(settings, num_steps)):
        said.append("No perplexity and no pronouns of held-out rows: no row is kept out of a training.")
    return tuple(said)


def rows_of_step(plan: Plan, step: int) -> range:
    """Rows of the corpus that a step reads, warm-up steps (before start_step) included.

    Raises `ValueError` outside the plan.
    """
    if not plan.start_step - plan.optimizer_warmup_steps <= step < plan.end_step:
        raise ValueError(f"step {step} is not part of the plan [{plan.start_step}, {plan.end_step})")
    first = plan.rows[0] + (step - plan.start_step) * plan.global_batch_rows
    return range(first, first + plan.global_batch_rows)
