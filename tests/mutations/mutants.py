"""The faults: each a place in the code, what stands there, what is put in its place.

The first three are the ones that matter most. The swap that is computed and not applied is the fault of the case
study's public code; the evaluation that still passes through it would hide any effect; exchanged labels would turn it
round.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One fault."""

    name: str
    path: str
    old: str
    new: str
    anew: bool = False
    """It touches what the cache keeps (the world, the pretraining), so that nothing is taken from there."""


MUTANTS = (
    Mutant(
        "the swap is computed, counted and not applied", "bias_intervene/interventions/row_swap.py",
        "            apply_tokens(rows_BS, found, out=out)\n", "            np.copyto(out, rows_BS)\n",
    ),
    Mutant(
        "evaluation reads its rows through the swap", "bias_intervene/stages/evaluate.py",
        "    with ranks() as shared:\n",
        "    if heldout is not None and settings.intervention.name != \"none\":\n"
        "        from bias_intervene.interventions.row_swap import RowSwap\n"
        "        from bias_intervene.models import load_tokenizer\n"
        "        swap = RowSwap(settings.intervention, load_tokenizer(base).backend, seed=1, padding_id=0)\n"
        "        heldout = swap(range(len(heldout)), heldout)[0].astype(heldout.dtype)\n"
        "    with ranks() as shared:\n",
    ),
    Mutant(
        "the labels of two arms are exchanged", "bias_intervene/analysis/records.py",
        '        return self.record["arm"]\n',
        '        arm = self.record["arm"]\n'
        '        one, other = "masculine_to_feminine", "feminine_to_masculine"\n'
        "        return {one: other, other: one}.get(arm, arm)\n",
    ),
    Mutant(
        "the direction is turned round", "bias_intervene/interventions/lexicon.py",
        '_to_feminine": {"masculine": "feminine"},\n    "feminine_to_masculine": {"feminine": "masculine"},\n',
        '_to_feminine": {"feminine": "masculine"},\n    "feminine_to_masculine": {"masculine": "feminine"},\n',
    ),
    Mutant(
        "probability is ignored", "bias_intervene/interventions/choice.py",
        "    if probability >= 1:\n", "    if probability > 0:\n",
    ),
    Mutant(
        "the control is swapped too", "bias_intervene/stages/train.py",
        '    if settings.intervention.name != "none":\n',
        "    from bias_intervene.settings import read_intervention\n"
        '    if settings.intervention.name == "none" and inputs["base"] is not None:\n'
        '        other = read_intervention("masculine_to_feminine", {})\n'
        '        settings = settings.model_copy(update={"intervention": other})\n'
        '    if settings.intervention.name != "none":\n',
    ),
    Mutant(
        "retokenize swaps", "bias_intervene/interventions/text_swap.py",
        'UNCHANGING = frozenset({"none", "retokenize", "pythia_pushed"})',
        'UNCHANGING = frozenset({"none", "pythia_pushed"})',
    ),
    Mutant(
        "the window begins elsewhere", "bias_intervene/plan/plan.py",
        "    first = plan.rows[0] + (step - plan.start_step) * plan.global_batch_rows\n",
        "    first = (step - plan.start_step) * plan.global_batch_rows\n",
    ),
    Mutant(
        "targets are not shifted", "bias_intervene/training/loss.py",
        "inputs_BT, targets_BT = rows_BS[:, :-1], rows_BS[:, 1:]",
        "inputs_BT, targets_BT = rows_BS[:, 1:], rows_BS[:, 1:]",
    ),
    Mutant(
        "nothing is learnt", "bias_intervene/training/schedule.py",
        "    rate = original_rate(step, schedule) if schedule.kind == \"original\" else schedule.peak\n",
        "    rate = 0.0 if schedule.start_step else original_rate(step, schedule)\n",
    ),
    Mutant(
        "every checkpoint scored is the base", "bias_intervene/stages/evaluate.py",
        'base if step == plan.start_step else own / f"step{step}"', "base",
    ),
    Mutant(
        "log-odds with the wrong sign", "bias_intervene/evals/benchmarks/pronouns/scoring.py",
        "prompt.form, feminine - masculine)", "prompt.form, masculine - feminine)",
    ),
    Mutant(
        "a token's probability is read one place late", "bias_intervene/evals/scoring.py",
        "            (place, owners_BT[row, position] * owners_BT.shape[1] + position, target)\n",
        "            (place, owners_BT[row, position] * owners_BT.shape[1] + min(position + 1, owners_BT.shape[1] - 1),"
        " target)\n",
    ),
    Mutant(
        "pro and anti are exchanged", "bias_intervene/evals/benchmarks/winobias/scoring.py",
        "    return pair.pro.pronoun.lower() in MASCULINE\n", "    return pair.pro.pronoun.lower() not in MASCULINE\n",
    ),
    Mutant(
        "more and less stereotypical are exchanged", "bias_intervene/evals/benchmarks/crows_pairs.py",
        '"pct_stereotype": float(more > less)', '"pct_stereotype": float(more < less)',
    ),
    Mutant(
        "baseline minus arm", "bias_intervene/statistics.py",
        "    differences = treatment.astype(np.float64) - baseline.astype(np.float64)\n",
        "    differences = baseline.astype(np.float64) - treatment.astype(np.float64)\n",
    ),
    Mutant(
        "the planted odds are not those that are told", "bias_intervene/data/world.py",
        "        masculine = draw.random() < 1 / (1 + math.exp(-odds[person]))\n",
        "        masculine = draw.random() < 1 / (1 + math.exp(-odds[person] / 3))\n", anew=True,
    ),
    Mutant(
        "one sex's pronouns are left out of the training's text", "bias_intervene/data/world.py",
        "        masculine = draw.random() < 1 / (1 + math.exp(-odds[person]))\n",
        "        masculine = draw.random() < 1\n", anew=True,
    ),
)  # fmt: skip
