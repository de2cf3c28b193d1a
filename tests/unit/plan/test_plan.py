"""Settings -> plan: the case study's numbers, and every request that cannot be met."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bias_intervene.errors import PlanError
from bias_intervene.models import pretraining_settings
from bias_intervene.plan import Plan, checkpoints_between, make_plan, rows_of_step
from bias_intervene.settings import SuiteModel
from tests.conftest import TINY, composed


def plan(*overrides: str):
    return make_plan(composed(*overrides))


def test_seven_per_cent_of_6_9b():
    made = plan("model=6.9b", "intervention.fraction=0.07")
    assert (made.repository, made.revision) == ("EleutherAI/pythia-6.9b-deduped", "step133000")
    assert (made.start_step, made.num_steps, made.end_step) == (133_000, 10_000, 143_000)
    assert made.rows == (136_192_000, 146_432_000)
    assert made.tokens == 20_971_520_000
    assert (made.asked_fraction, round(made.realised_fraction, 4)) == (0.07, 0.0699)
    assert made.checkpoint_steps == tuple(range(134_000, 143_001, 1_000))
    assert made.evaluated_steps[0] == 133_000
    assert made.published_steps == (143_000,)
    assert (made.micro_batch_rows * made.accumulation_steps * made.num_ranks) == 1_024


def test_twenty_one_per_cent_and_none():
    long = plan("model=1.4b", "intervention.fraction=0.21")
    assert (long.revision, long.num_steps) == ("step113000", 30_000)
    nothing = plan("model=6.9b", "intervention.fraction=0")
    assert (nothing.revision, nothing.num_steps, nothing.evaluated_steps) == ("step143000", 0, (143_000,))


def test_seven_per_cent_is_the_default():
    assert plan("model=70m").start_step == 133_000


@pytest.mark.parametrize(
    ("overrides", "repository"),
    [
        (("model=70m",), "EleutherAI/pythia-70m-deduped"),
        (("model=70m", "model.deduped=false"), "EleutherAI/pythia-70m"),
        (("model=70m", "model.deduped=false", "model.seed=3"), "EleutherAI/pythia-70m-seed3"),
    ],
)
def test_repository_names(overrides: tuple[str, ...], repository: str):
    assert plan(*overrides).repository == repository


def test_a_step_can_be_named():
    made = plan("model=70m", "model.step=142000")
    assert (made.start_step, made.num_steps, made.asked_fraction) == (142_000, 1_000, None)


def test_steps_can_be_capped():
    made = plan("model=70m", "intervention.fraction=0.07", "train.num_steps=5")
    assert (made.start_step, made.num_steps, made.checkpoint_steps) == (133_000, 5, (133_005,))
    assert made.realised_fraction == round(5 / 143_000, 6)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("model=70m", "model.seed=3"), r"model\.deduped=false"),
        (("model=1.4b", "model.deduped=false", "model.seed=3"), r"14m, 31m, 70m, 160m, 410m"),
        (("model=70m", "train.micro_batch_rows=3"), r"does not divide.*micro_batch_rows may be 1, 2, 4"),
        (("model=70m", "train.num_processes=3"), r"num_processes must divide 1024"),
        (("model=70m", "train.zero_stage=0"), r"zero_stage=1"),
        (("model=smollm2", "data.path=x", "train.schedule=original", "train.num_steps=2"), r"schedule=constant"),
        (("model=smollm2", "data.path=x", "train=pythia", "train.num_steps=2"), r"micro_batch_rows.*must be given"),
        (("model=70m", "train.num_nodes=2"), r"train\.rendezvous=slurm"),
        (("model=12b", "train.profile=fast", "train.zero_stage=3"), r"train\.profile=exact"),
        (("model=demo", "model.step=0"), r"random weights"),
        (("model=demo", "model.warmup_steps=501"), r"pretraining has 500 steps.*at most 500"),
        (("model=demo", "model.hidden_size=130"), r"multiple of model\.num_heads"),
        (("model=70m", "model.step=1", "train.optimizer_warmup_steps=2"), r"at most 1"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(overrides: tuple[str, ...], message: str):
    with pytest.raises(PlanError, match=message):
        plan(*overrides)


def test_warm_up_rows_lie_before_the_window():
    made = plan("model=70m", "train.optimizer_warmup_steps=10")
    assert rows_of_step(made, 132_990) == range(132_990 * 1024, 132_991 * 1024)
    assert made.rows[0] == 133_000 * 1024
    without_history = plan(
        "model=smollm2", "data.path=x", "train.num_steps=3", "train.optimizer_warmup_steps=2", "train.save_interval=9"
    )
    assert rows_of_step(without_history, -2) == range(4)
    assert without_history.rows == (8, 20)


@pytest.mark.parametrize(
    ("words", "original", "ours"),
    [
        (["model=70m"], "fp16", "bf16"),
        (["model=70m", "train.precision=fp32", "train.zero_stage=1"], "fp16", "fp32"),
        (["model=1b"], None, None),
        (["model=1b", "train.precision=fp32"], "bf16", "fp32"),
        (["model=demo", "data=world"], None, None),
        (["model=demo", "data=world", "train.precision=bf16"], "fp32", "bf16"),
        (["model=70m", "intervention.fraction=0"], None, None),
    ],
    ids=str,
)
def test_another_precision_than_that_of_the_original_is_said(words: list[str], original: str | None, ours: str | None):
    told = [note for note in plan(*words).notes if "computed in" in note]
    if original is None:
        assert told == []
    else:
        assert told[0].startswith(
            f"The original training computed in {original}, this one computes in {ours} (train.pr"
        )


def test_every_size_of_pythia_has_its_precision():
    facts = composed("model=70m").model
    assert isinstance(facts, SuiteModel)
    assert facts.facts.precision.keys() == facts.facts.sizes.keys()
    assert [size for size, precision in facts.facts.precision.items() if precision != "fp16"] == ["1b"]


def test_a_corpus_of_ones_own_is_read_from_its_beginning():
    made = plan("model=70m", "data=text", "data.path=x", "train.num_steps=1000", "train.optimizer_warmup_steps=2")
    assert (made.start_step, made.rows) == (142_000, (2 * 1024, 1_002 * 1024))
    assert rows_of_step(made, 142_000)[0] == 2 * 1024
    assert any("not the ones the original training read" in note for note in made.notes)


@pytest.mark.parametrize(
    ("overrides", "states"),
    [
        (("model=70m",), "were published for step 143000 only"),
        (("model=demo",), "were not published"),
        (("model=smollm2", "data.path=x", "train.num_steps=3"), "are not known"),
        (("model=local", "model.path=m", "data.path=x", "train.num_steps=3"), "are not known"),
        (("model=70m", "train.optimizer_warmup_steps=10"), None),
        (("model=70m", "intervention.fraction=0"), None),
    ],
)
def test_adams_moments_that_start_empty_are_said_of_every_checkpoint(overrides: tuple[str, ...], states: str | None):
    """Of models whose training is not known, which count their steps from 0, too."""
    notes = [note for note in plan(*overrides).notes if note.startswith("Adam's moments start empty")]
    assert [states is not None and states in note for note in notes] == [True] * (states is not None)


def test_a_training_from_random_weights_has_no_moments_to_miss():
    assert not any("Adam" in note for note in make_plan(pretraining_settings(composed("model=demo"))).notes)


def test_rows_outside_the_plan_are_refused():
    with pytest.raises(ValueError, match="143000"):
        rows_of_step(plan("model=70m"), 143_000)


def test_a_plan_survives_json():
    made = plan("model=70m", "intervention.fraction=0.07")
    assert Plan.from_json(json.loads(json.dumps(made.to_json()))) == made


@pytest.mark.parametrize("size", ["14m", "31m", "70m", "160m", "410m", "1b", "1.4b", "2.8b", "6.9b", "12b"])
@pytest.mark.parametrize("preset", ["pythia", "pythia_4gpu", "pythia_8gpu", "pythia_64gpu"])
def test_presets_fit_the_gpus_they_are_for(size: str, preset: str):
    made = plan(f"model={size}", f"train={preset}")
    assert made.micro_batch_rows * made.accumulation_steps * made.num_ranks == 1_024
    assert made.memory_gib_by_zero_stage is not None
    too_large = preset == "pythia" and size in {"6.9b", "12b"}
    assert (made.memory_gib_by_zero_stage[str(made.zero_stage)] > 72) == too_large
    assert any("A GPU needs about" in note for note in made.notes) == too_large


def test_a_larger_gpu_takes_more_rows_and_no_more_stages():
    small = plan("model=6.9b", "train=pythia_8gpu", "train.gpu_memory_gib=24")
    large = plan("model=6.9b", "train=pythia_8gpu", "train.gpu_memory_gib=141")
    assert (small.zero_stage, large.zero_stage) == (3, 1)
    assert large.micro_batch_rows > small.micro_batch_rows
    asked = plan("model=6.9b", "train=pythia_8gpu", "train.micro_batch_rows=4", "train.zero_stage=2")
    assert (asked.micro_batch_rows, asked.zero_stage) == (4, 2)


def test_the_shards_of_the_window_are_named():
    made = plan("model=6.9b", "data.heldout_rows=0")
    assert made.shards is not None
    assert [shard["name"][9:14] for shard in made.shards] == ["00018", "00019", "00020"]
    assert sum(shard["bytes_needed"] for shard in made.shards) == 10_240_000 * 2_049 * 2
    long = plan("model=1.4b", "intervention.fraction=0.21")
    assert long.shards is not None
    assert len(long.shards) == 6
    assert long.heldout == (113_000 * 1_024 - 64, 113_000 * 1_024)
    assert plan("model=6.9b", "intervention.fraction=0").shards is None


def test_rows_before_the_window_are_not_called_held_out():
    """The base model was trained on them last of all."""
    note = "The rows that perplexity and pronouns are scored on (before_window) are not held out"
    made = plan("model=6.9b")
    assert any(text.startswith(note) and "data.validation" in text for text in made.notes)
    given = plan("model=6.9b", "data.validation=mit-han-lab/pile-val-backup")
    assert not any(text.startswith(note) for text in given.notes)
    assert given.heldout == (136_192_000, 136_192_000)
    assert given.benchmarks == made.benchmarks
    for words in (("data.heldout_rows=0",), ("intervention.fraction=0",)):
        assert not any(text.startswith(note) for text in plan("model=6.9b", *words).notes)


def test_memory_falls_with_the_zero_stage():
    memory = plan("model=6.9b", "train.num_processes=8").memory_gib_by_zero_stage
    assert memory is not None
    assert memory["0"] > memory["1"] > memory["2"] > memory["3"]
    # States of 6.9b in bf16 are 18 bytes a weight without ZeRO: 115 GiB.
    assert memory["0"] > 18 * 6_857_302_016 / 1024**3


def test_pretraining_does_not_depend_on_how_the_model_is_continued():
    ours = pretraining_settings(composed("model=demo", *TINY, "sweep=x"))
    theirs = pretraining_settings(
        composed(
            "model=demo",
            *TINY,
            "sweep=x",  # By default its name is the time of day.
            "intervention=both",
            "train.learning_rate=0.5",
            "train.zero_stage=2",
            "model.step=10",
            "train.num_nodes=2",
            "train.rendezvous=slurm",
            "train.profile=fast",
            "train.keep_resumable=3",
            "train.on_damaged=previous",
            "train.gpu_memory_gib=20",
            "intervention.length=shift",
        )
    )
    assert ours == theirs
    assert make_plan(ours).start_step == 0


@given(st.integers(0, 5_000), st.integers(1, 5_000), st.integers(1, 1_200))
def test_the_last_step_is_always_saved(start: int, length: int, interval: int):
    saved = checkpoints_between(start, start + length, interval)
    assert saved[-1] == start + length
    assert all(start < step <= start + length for step in saved)
    assert all(step % interval == 0 for step in saved[:-1])


def test_the_released_interventions():
    made = plan("model=1.4b", "model.variant=intervention_long", "intervention.fraction=0", "evals.steps=[114000]")
    assert (made.repository, made.arm) == (
        "EleutherAI/pythia-intervention-long-1.4b-deduped",
        "released_intervention_long",
    )
