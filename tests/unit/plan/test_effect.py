"""Every key, in each mode of a run: it has an effect, or the plan says of what the user gave that it has none."""

import re

import pytest

from bias_intervene.errors import PlanError
from bias_intervene.plan import history, make_plan
from bias_intervene.plan.effect import without_effect
from bias_intervene.settings import known_keys
from tests.conftest import NO_BENCHMARKS, composed

M2F = "intervention=masculine_to_feminine"
OWN = ("model=smollm2", "data.path=x")
MODES = {
    "pile": ("model=70m", M2F),
    "control": ("model=70m", "intervention=none"),
    "retokenize": ("model=70m", "intervention=retokenize", "intervention.probability=0.5"),
    "share": ("model=70m", M2F, "intervention.probability=0.5"),
    "world": (M2F,),
    "own": (*OWN, M2F, "train.num_steps=3"),
    "pile alone": ("model=70m", M2F, "intervention.fraction=0"),
    "world alone": (M2F, "intervention.fraction=0"),
    "own alone": (*OWN, "intervention=none", "train.num_steps=0"),
    "unscored": ("model=70m", M2F, *NO_BENCHMARKS, "evals.pronouns.enabled=false"),
    "local items": (*OWN, "train.num_steps=3", "evals.crows_pairs.path=c", "evals.winobias.path=w"),
}

ALONE = "pile alone|world alone|own alone"
NOT_EVALUATED = {  # Benchmarks that are switched off by the option of evals.
    "lambada": "world|world alone|unscored",
    "crows_pairs": "unscored",
    "winobias": "unscored",
    "pronouns": "unscored",
}
IDLE = {
    # Keys, as a regular expression -> the modes in which they have no effect. Of two that match, the first holds.
    r"train\.(num_steps|num_processes|num_threads|device)": "",
    r"train\.rendezvous": ".*",
    r"train\.save_interval": f"{ALONE}|own|local items",
    r"train\.gpu_memory_gib": f"{ALONE}|own|local items",
    r"train\..*": ALONE,
    r"intervention\.fraction": "",
    r"intervention\.name": "pile alone|world alone",
    r"intervention\.probability": f"{ALONE}|retokenize",
    r"intervention\.unit": ".*(?<!share)",
    r"intervention\.(length|possessives|margin)": f"{ALONE}|control",
    r"seed": "pile alone|own alone",
    r"data\.shuffle": ALONE,
    r"data\.unmentioned_fraction": "world|.* alone",
    r"data\.heldout_rows": "pile alone|own alone|unscored",
    r"data\.(seed|bias_log_odds|unmentioned|pieces|kind|.*)": "pile alone|own alone",
    r"model\.default_fraction": "pile alone|world alone|own.*|local items",
    r"model\..*": "",
    r"evals\.(base|published_final|saved|steps|batch_tokens|dtype|too_long)": "unscored",
    r"evals\.\w+\.enabled": "",
    r"evals\.crows_pairs\.source": "unscored|local items",
    r"evals\.crows_pairs\.language": "world|world alone|unscored|local items",
    r"evals\.winobias\.source": "unscored|local items",
    **{rf"evals\.{name}\..*": modes for name, modes in NOT_EVALUATED.items()},
    r"evals\.harness_include_path": ".*",
    r"evals\.harness_tasks": "",
    r"tracking\.(project|mode)": ".*",
    r"tracking\.name|dry_run|cache_dir|experiment|sweep|objective|claims.*": "",
}
ALSO = {  # What one pattern cannot say.
    "evals.saved": ALONE,
    "evals.published_final": "own|own alone|local items",
}


def expected(key: str, mode: str) -> bool:
    """Whether a key has no effect in a mode."""
    modes = next(modes for pattern, modes in IDLE.items() if re.fullmatch(pattern, key))
    return any(re.fullmatch(each, mode) for each in (modes, ALSO.get(key, "")))


@pytest.mark.parametrize("mode", MODES)
def test_every_key_in_each_mode(mode: str):
    settings = composed(*MODES[mode])
    name = settings.intervention.name
    idle = without_effect(
        settings,
        history(settings.model),
        saved=make_plan(settings).checkpoint_steps,
        swaps_pronouns=name == "masculine_to_feminine",
    )
    there = set(known_keys("model", settings.model.kind)) | set(known_keys("data", settings.data.kind))
    keys = [key for key in known_keys() if key.split(".")[0] not in ("model", "data") or key in there]
    found = {key: key in idle for key in keys}
    assert found == {key: expected(key, mode) for key in keys}


@pytest.mark.parametrize(
    ("overrides", "given", "note"),
    [
        (MODES["own alone"], ["data.path"], "No effect here: data.path; nothing is trained, so no row is read."),
        (MODES["pile alone"], ["train.adam_beta1", "train.precision"],
         "No effect here: train.adam_beta1, train.precision; nothing is trained."),
        (MODES["control"], ["intervention.margin"],
         "No effect here: intervention.margin; the control reads its rows unaltered."),
    ],
)  # fmt: skip
def test_what_was_given_and_has_no_effect_is_noted(overrides: tuple[str, ...], given: list[str], note: str):
    settings = composed(*overrides)
    assert note in make_plan(settings, given=given).notes
    assert not any("No effect here" in other for other in make_plan(settings).notes)


def test_a_ramp_longer_than_the_run_is_refused():
    own = (*OWN, "train.num_steps=20")
    assert make_plan(composed(*own, "train.rewarmup_steps=20")).schedule.rewarmup_steps == 20
    with pytest.raises(PlanError, match=r"train\.rewarmup_steps=1000000: the run has 20 steps.*at most 20"):
        make_plan(composed(*own, "train.rewarmup_steps=1000000"))
