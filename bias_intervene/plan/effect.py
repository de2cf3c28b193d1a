"""Which settings change nothing in a run, and why: a value that a user gives and that has no effect is said.

Input: settings, and what the plan has made of them. Output: dotted key -> the reason why its value has no effect; notes
for the keys that a user gave. Guarantees: pure; a key that is not in the result has an effect. What would ruin a run is
refused by the plan instead.

Presets give every key a value, so only keys that were given on the command line are worth a word.
"""

from collections.abc import Iterable
from typing import NamedTuple

from bias_intervene.plan.history import History
from bias_intervene.settings import Settings, known_keys
from bias_intervene.settings.intervention import OPTIONS, kind_of

_HEEDED_WITHOUT_TRAINING = {"train.num_steps", "train.num_processes", "train.num_threads", "train.device"}
"""Keys of train that an evaluation alone heeds: what says that it is one, and what scores."""
_OF_EVALUATION = tuple(
    f"evals.{key}" for key in ("base", "published_final", "saved", "steps", "batch_tokens", "dtype", "too_long")
)
_ROLE_OPTIONS = ("intervention.length", "intervention.possessives", "intervention.margin")


class _Case(NamedTuple):
    """One circumstance in which keys have no effect."""

    holds: bool
    reason: str
    keys: Iterable[str]


def without_effect(
    settings: Settings, known: History | None, *, saved: tuple[int, ...], swaps_pronouns: bool
) -> dict[str, str]:
    """Key -> why its value has no effect. saved: the steps that the plan saves; none: nothing is trained."""
    cases = (
        *_of_training(settings, known, saved=saved),
        *_of_intervention(settings, trains=bool(saved), swaps_pronouns=swaps_pronouns),
        *_of_data(settings, trains=bool(saved)),
        *_of_evals(settings, known, trains=bool(saved)),
        _Case(settings.tracking.name != "wandb", "it is W&B's", ("tracking.project", "tracking.mode")),
    )
    return {key: case.reason for case in reversed(cases) if case.holds for key in case.keys}


def effect_notes(given: Iterable[str], idle: dict[str, str]) -> list[str]:
    """A note for each reason. given: keys of the command line. idle: as `without_effect` gives them."""
    by_reason: dict[str, list[str]] = {}
    for key in sorted(set(given) & idle.keys()):
        by_reason.setdefault(idle[key], []).append(key)
    return [f"No effect here: {', '.join(keys)}; {reason}." for reason, keys in by_reason.items()]


def _of_training(settings: Settings, known: History | None, *, saved: tuple[int, ...]) -> list[_Case]:
    """Keys of train, and those of model that only decide where a training starts."""
    train, model = settings.train, settings.model
    is_open = None in (train.micro_batch_rows, train.zero_stage, train.activation_checkpointing)
    has_estimate = train.device != "cpu" and known is not None and known.shape is not None
    starts_elsewhere = (
        settings.intervention.fraction is not None
        or train.num_steps is not None
        or getattr(model, "step", None) is not None
    )
    return [
        _Case(not saved, "nothing is trained", set(known_keys("train")) - _HEEDED_WITHOUT_TRAINING),
        _Case(train.num_nodes == 1, "there is one machine", ("train.rendezvous",)),
        _Case(
            len(saved) == 1 and saved[0] % train.save_interval != 0,
            "no multiple of it lies within the run, and only the last step is saved",
            ("train.save_interval",),
        ),
        _Case(
            not is_open and not has_estimate,
            "nothing is left to be chosen by the memory of a GPU",
            ("train.gpu_memory_gib",),
        ),
        _Case(
            starts_elsewhere,
            "intervention.fraction, model.step or train.num_steps decides where the run starts",
            ("model.default_fraction",),
        ),
    ]


def _of_intervention(settings: Settings, *, trains: bool, swaps_pronouns: bool) -> list[_Case]:
    """Options of the intervention; what a kind of intervention has not got at all is refused by the settings."""
    intervention = settings.intervention
    is_unaltered = kind_of(intervention.name) == "unaltered"
    options = tuple(f"intervention.{option}" for option in OPTIONS)
    probability = intervention.probability
    return [
        _Case(not trains, "nothing is trained, so nothing is altered", options),
        _Case(not trains and not is_unaltered, "nothing is trained, so nothing is altered", ("intervention.name",)),
        # Of its probability the plan has a note whoever set it.
        _Case(is_unaltered, "the control reads its rows unaltered", ("intervention.unit", *_ROLE_OPTIONS)),
        _Case(
            not is_unaltered and not swaps_pronouns,
            "this intervention changes no pronoun",
            ("intervention.probability", "intervention.unit"),
        ),
        _Case(probability == 0, "with intervention.probability=0 nothing is altered", _ROLE_OPTIONS),
        _Case(probability in (0, 1), "with intervention.probability 0 or 1 nothing is drawn", ("intervention.unit",)),
    ]


def _of_data(settings: Settings, *, trains: bool) -> list[_Case]:
    """Keys of the rows."""
    data, evals = settings.data, settings.evals
    is_world = data.kind == "world"
    return [
        _Case(not trains and is_world, "nothing is trained", ("data.shuffle",)),
        _Case(not trains and not is_world, "nothing is trained, so no row is read", ("seed", *known_keys("data"))),
        _Case(
            data.kind == "world" and not data.unmentioned,
            "with data.unmentioned=0 every occupation is mentioned",
            ("data.unmentioned_fraction",),
        ),
        _Case(data.kind == "pile" and data.source != "hub", "nothing is fetched from the hub", ("data.fetch",)),
        _Case(
            data.kind == "pile" and not (evals.pronouns.enabled or evals.perplexity.enabled),
            "no benchmark reads them",
            ("data.heldout_rows",),
        ),
    ]


def _of_evals(settings: Settings, known: History | None, *, trains: bool) -> list[_Case]:
    """Keys of the evaluation."""
    evals = settings.evals
    crows_pairs, winobias = evals.crows_pairs, evals.winobias
    is_read_locally = "a path is given, which is read instead"
    return [
        _Case(not evals.scored_benchmarks(), "nothing is scored", _OF_EVALUATION),
        _Case(not trains, "nothing is trained, so the run has no checkpoints of its own", ("evals.saved",)),
        _Case(known is None, "the original training's last checkpoint is not known", ("evals.published_final",)),
        *(
            _Case(
                not benchmark.enabled,
                f"{name} is not scored (evals.{name}.enabled)",
                [f"evals.{name}.{key}" for key in type(benchmark).model_fields if key != "enabled"],
            )
            for name, benchmark in evals.of_benchmarks.items()
        ),
        _Case(
            crows_pairs.path is not None, is_read_locally, ("evals.crows_pairs.source", "evals.crows_pairs.language")
        ),
        _Case(crows_pairs.source == "world", "the generated world has one language", ("evals.crows_pairs.language",)),
        _Case(winobias.path is not None, is_read_locally, ("evals.winobias.source",)),
        _Case(not evals.harness_tasks, "evals.harness_tasks names no task", ("evals.harness_include_path",)),
    ]
