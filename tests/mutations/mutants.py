"""The faults: each names a definition of the package and says what takes its place.

A fault is pinned by the definition's module and qualified name, and written against its meaning: it is given the
original and returns what replaces it, with the same parameters. Other text in the definition may change freely; a
definition that was renamed, moved or given other parameters is refused by name (`check`, asked by the fast test beside
this module and again where the fault is put in).

The first three matter most. The swap that is computed and not applied is the fault of the case study's public code; the
evaluation that still passes through it would hide any effect; exchanged labels would turn it round.

The package's modules are imported inside the faults alone, because the package itself imports this module in a copy
with a fault.
"""

import dataclasses
import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any

Fault = Callable[[Any], Any]
"""The original definition -> what takes its place."""


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One fault."""

    name: str
    module: str
    definition: str
    """Qualified name: a function, a method, a property or a constant of the module."""
    fault: Fault
    changes_cache: bool = False
    """It touches what the cache keeps (the world, the pretraining), so that nothing is taken from there."""


MUTANTS: dict[str, Mutant] = {}
"""Name -> mutant, in the order of this file."""


def _mutant(name: str, module: str, definition: str, *, changes_cache: bool = False) -> Callable[[Fault], Fault]:
    """Registers the fault that it decorates."""

    def register(fault: Fault) -> Fault:
        MUTANTS[name] = Mutant(name, f"bias_intervene.{module}", definition, fault, changes_cache)
        return fault

    return register


def replace(name: str, original: Any) -> Any:
    """What takes the place of `original`. Raises `ValueError` where its parameters are not those of the fault."""
    mutant = MUTANTS[name]
    if isinstance(original, property):
        return property(replace(name, original.fget))
    faulty = mutant.fault(original)
    if not callable(original):
        return faulty
    expected, actual = (list(inspect.signature(function).parameters) for function in (faulty, original))
    if expected != actual:
        raise ValueError(f"{name}: {mutant.module}.{mutant.definition} takes {actual}, and the fault {expected}")
    return functools.wraps(original)(faulty)


def check(mutant: Mutant) -> None:
    """Raises `ValueError` where the code has changed so that the fault no longer applies."""
    try:
        module: Any = importlib.import_module(mutant.module)
        definition = functools.reduce(inspect.getattr_static, mutant.definition.split("."), module)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{mutant.name}: no {mutant.definition} in {mutant.module} ({error})") from error
    function = definition.fget if isinstance(definition, property) else definition
    if getattr(function, "__module__", mutant.module) != mutant.module:
        raise ValueError(f"{mutant.name}: {mutant.definition} is defined in {function.__module__}, not {mutant.module}")
    replace(mutant.name, definition)


@_mutant("the swap is computed, counted and not applied", "interventions.row_swap", "RowSwap.__call__")
def _(original: Any) -> Any:
    def faulty(self, numbers, rows_BS):
        swapped, num_tokens = original(self, numbers, rows_BS)
        return rows_BS.astype(swapped.dtype), num_tokens

    return faulty


@_mutant("evaluation reads its rows through the swap", "evals.suite", "evaluate")
def _(original: Any) -> Any:
    def faulty(run_dir, *, evals, items, checkpoints, heldout_rows, heldout_protocol, device, cache, ranks):
        from bias_intervene.interventions.row_swap import RowSwap
        from bias_intervene.models import load_tokenizer
        from bias_intervene.record import read_json
        from bias_intervene.settings import read_settings

        intervention = read_settings(read_json(run_dir / "settings.json")).intervention
        if heldout_rows is not None and intervention.name != "none":
            swap = RowSwap(intervention, load_tokenizer(checkpoints[0].folder).backend, seed=1, padding_id=0)
            heldout_rows = swap(range(len(heldout_rows)), heldout_rows)[0].astype(heldout_rows.dtype)
        return original(
            run_dir, evals=evals, items=items, checkpoints=checkpoints, heldout_rows=heldout_rows,
            heldout_protocol=heldout_protocol, device=device, cache=cache, ranks=ranks,
        )  # fmt: skip

    return faulty


@_mutant("the labels of two arms are exchanged", "analysis.records", "Run.arm")
def _(original: Any) -> Any:
    def faulty(self):
        ways = ("masculine_to_feminine", "feminine_to_masculine")
        return dict(zip(ways, reversed(ways), strict=True)).get(original(self), original(self))

    return faulty


@_mutant("the direction is turned round", "interventions.lexicon", "DIRECTIONS")
def _(original: Any) -> Any:
    ways = ("masculine_to_feminine", "feminine_to_masculine")
    return original | {way: original[other] for way, other in zip(ways, reversed(ways), strict=True)}


@_mutant("probability is ignored", "interventions.choice", "chosen")
def _(original: Any) -> Any:
    def faulty(*, seed, row, count, probability, unit):
        return original(seed=seed, row=row, count=count, probability=min(1.0, probability * 1e9), unit=unit)

    return faulty


@_mutant("the control is swapped too", "stages.train", "run")
def _(original: Any) -> Any:
    def faulty(run_dir, settings, plan):
        from bias_intervene.record import read_json
        from bias_intervene.settings import read_intervention

        # Not in the pretraining of the world's model, which has no checkpoint to start from.
        if settings.intervention.name == "none" and read_json(run_dir / "inputs.json")["base"] is not None:
            swap = read_intervention("masculine_to_feminine", {})
            settings = settings.model_copy(update={"intervention": swap})
        return original(run_dir, settings, plan)

    return faulty


@_mutant("retokenize swaps", "interventions.registry", "INTERVENTIONS")
def _(original: Any) -> Any:

    rewrite = original["pythia_replace"].rewrite
    return original | {"retokenize": dataclasses.replace(original["retokenize"], rewrite=rewrite)}


@_mutant("the window begins elsewhere", "plan.plan", "rows_of_step")
def _(original: Any) -> Any:
    def faulty(plan, step):
        rows = original(plan, step)
        return range(rows.start - plan.rows[0], rows.stop - plan.rows[0])

    return faulty


@_mutant("targets are not shifted", "training.loss", "NextTokenLoss.forward")
def _(original: Any) -> Any:
    def faulty(self, rows_BS, num_tokens_B):
        from torch.nn.functional import cross_entropy

        logits_BTV = self.model(input_ids=rows_BS[:, 1:], use_cache=False).logits
        return cross_entropy(logits_BTV.flatten(0, 1).float(), rows_BS[:, 1:].flatten())

    return faulty


@_mutant("nothing is learnt", "training.schedule", "learning_rate")
def _(original: Any) -> Any:
    def faulty(step, schedule):
        # The pretraining of the world's model starts at step 0 and still learns.
        return 0.0 if schedule.start_step else original(step, schedule)

    return faulty


@_mutant("every checkpoint scored is the base", "evals.suite", "evaluate")
def _(original: Any) -> Any:
    def faulty(run_dir, *, evals, items, checkpoints, heldout_rows, heldout_protocol, device, cache, ranks):

        checkpoints = [dataclasses.replace(checkpoint, folder=checkpoints[0].folder) for checkpoint in checkpoints]
        return original(
            run_dir, evals=evals, items=items, checkpoints=checkpoints, heldout_rows=heldout_rows,
            heldout_protocol=heldout_protocol, device=device, cache=cache, ranks=ranks,
        )  # fmt: skip

    return faulty


@_mutant("log-odds with the wrong sign", "evals.benchmarks.pronouns.scoring", "score_prompts")
def _(original: Any) -> Any:
    from bias_intervene.evals.benchmarks.pronouns.prompts import FORMS

    forms = [f"log_odds_{form}" for form in FORMS]

    def faulty(prompts, scorer):
        return [
            row | {form: -row[form] for form in forms if row[form] is not None} for row in original(prompts, scorer)
        ]

    return faulty


@_mutant("a token's probability is read one place late", "evals.scoring", "Scorer.log_probs")
def _(original: Any) -> Any:
    def faulty(self, inputs, where, inverse_N, target_N, greedy):
        row_U, position_U = where
        late_U = (position_U + 1).clip(max=max(map(len, inputs)) - 1)
        return original(self, inputs, (row_U, late_U), inverse_N, target_N, greedy)

    return faulty


@_mutant("pro and anti are exchanged", "evals.benchmarks.winobias.scoring", "_masculine_is_pro")
def _(original: Any) -> Any:
    def faulty(pair):
        return not original(pair)

    return faulty


@_mutant("more and less stereotypical are exchanged", "evals.benchmarks.crows_pairs", "score")
def _(original: Any) -> Any:
    def faulty(pairs, scorer, *, in_english=True):
        rows = original(pairs, scorer, in_english=in_english)
        return [row | {"pct_stereotype": 1 - row["pct_stereotype"]} for row in rows]

    return faulty


@_mutant("baseline minus arm", "statistics.differences", "compare_paired")
def _(original: Any) -> Any:
    def faulty(baseline, treatment, *, clusters=None, level=0.95):
        return original(treatment, baseline, clusters=clusters, level=level)

    return faulty


@_mutant("the planted odds are not those that are told", "data.world", "sentences", changes_cache=True)
def _(original: Any) -> Any:
    def faulty(data, *, without=(), salt=0):
        flatter = data.model_copy(update={"bias_log_odds": data.bias_log_odds / 3})
        return original(flatter, without=without, salt=salt)

    return faulty


@_mutant("one sex's pronouns are left out of the training's text", "data.world", "sentences", changes_cache=True)
def _(original: Any) -> Any:
    def faulty(data, *, without=(), salt=0):
        from bias_intervene.interventions.text import swap_text

        sentences = original(data, without=without, salt=salt)
        return (swap_text(sentence, "feminine_to_masculine").text for sentence in sentences)

    return faulty
