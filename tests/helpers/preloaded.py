"""What the fork server of `helpers.forked` imports: all that takes time in a command and its stages.

It computes nothing: a fork of a process whose libraries have started threads may hang.
"""

import os

# As `run.launch` has it for stages without a GPU; read while the libraries are imported.
os.environ |= {
    "DS_ACCELERATOR": "cpu", "CUDA_VISIBLE_DEVICES": "", "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR",
}  # fmt: skip

import deepspeed  # noqa: F401
import matplotlib.backends.backend_agg
import matplotlib.figure  # noqa: F401
import transformers.modeling_utils
import transformers.models.auto.modeling_auto
import transformers.models.gpt_neox.modeling_gpt_neox  # noqa: F401

import tests.helpers.forked  # noqa: F401
