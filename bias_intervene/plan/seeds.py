"""What a training draws from `seed`: without it, trainings that differ only in their seeds are one training.

Input: settings, whether anything is trained, whether the intervention changes pronouns. Output: whether something is
drawn, and what to do where nothing is. Guarantees: pure. The seed of a generated world (`data.seed`) and that of a
suite's original training (`model.seed`) are settings of their own, and choose other rows and other checkpoints.

There are two draws: the order of the rows (`data.shuffle`), and which rows or pronouns are altered where a share of
them is. A checkpoint is fixed. Dropout would be a third, but no model whose training is known here has any; of other
models it is only known once their files are read.
"""

from bias_intervene.plan.history import History
from bias_intervene.settings import Settings, WorldData
from bias_intervene.settings.intervention import kind_of


def draws_from_seed(settings: Settings, *, trains: bool, swaps_pronouns: bool) -> bool:
    """Whether two runs of these settings that differ in `seed` alone can differ in their weights."""
    alters = swaps_pronouns and kind_of(settings.intervention.name) != "unaltered"
    return trains and (settings.data.shuffle or (alters and 0 < settings.intervention.probability < 1))


def seed_note(settings: Settings, known: History | None, *, trains: bool, swaps_pronouns: bool) -> str | None:
    """What the plan of a training says where nothing is drawn from its seed. None: something is."""
    data, intervention = settings.data, settings.intervention
    is_seed_of_world = isinstance(data, WorldData) and data.seed == settings.seed  # By default it follows the seed.
    if not trains or is_seed_of_world or draws_from_seed(settings, trains=True, swaps_pronouns=swaps_pronouns):
        return None
    alters = swaps_pronouns and kind_of(intervention.name) != "unaltered"
    share = f" and intervention.probability is {intervention.probability:g}" if alters else ""
    remedy = " or an intervention.probability between 0 and 1" if alters else ""
    dropout = "" if known else " (unless the model has dropout)"
    return (
        f"Nothing is drawn from seed={settings.seed}: data.shuffle is false{share}, so every seed trains the same "
        f"weights{dropout} and several seeds are no replicates. For replicates set data.shuffle=true{remedy}."
    )
