"""What DeepSpeed is given."""

from bias_intervene.plan import make_plan
from bias_intervene.training.engine import deepspeed_config
from tests.conftest import composed


def test_the_batch_arithmetic_is_the_plans():
    settings = composed("model=70m", "train.num_processes=4", "train.micro_batch_rows=16", "train.zero_stage=2")
    config = deepspeed_config(settings.train, make_plan(settings))
    assert config["train_batch_size"] == 1024 == 16 * 4 * config["gradient_accumulation_steps"]
    assert config["zero_optimization"]["stage"] == 2
    assert config["bf16"]["enabled"]
    assert config["data_types"]["grad_accum_dtype"] == "fp32"
    assert config["gradient_clipping"] == 1.0
    assert not config["zero_optimization"]["overlap_comm"]
