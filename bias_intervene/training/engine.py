"""The DeepSpeed configuration of a run.

Input: settings and a plan. Output: a dictionary. Guarantees: pure; every default that matters is written down.

The optimizer is torch's AdamW, handed over as an object, because the ones DeepSpeed builds from its configuration
compile extensions for minutes. In the exact profile communication does not overlap with computation: the order of
sums is then fixed.
"""

from typing import Any

from bias_intervene.plan import Plan
from bias_intervene.settings import TrainSettings


def deepspeed_config(train: TrainSettings, plan: Plan) -> dict[str, Any]:
    """The `config` of `deepspeed.initialize`."""
    return {
        "train_batch_size": plan.global_batch_rows,
        "train_micro_batch_size_per_gpu": plan.micro_batch_rows,
        "gradient_accumulation_steps": plan.accumulation_steps,
        "gradient_clipping": train.gradient_clipping,
        "bf16": {"enabled": train.precision == "bf16"},
        "fp16": {"enabled": False},
        "data_types": {"grad_accum_dtype": "fp32"},
        "zero_optimization": {
            "stage": plan.zero_stage,
            "overlap_comm": train.profile == "fast",
            "contiguous_gradients": True,
            "reduce_scatter": True,
            "round_robin_gradients": False,
        },
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 10**9,
        "wall_clock_breakdown": False,
    }
