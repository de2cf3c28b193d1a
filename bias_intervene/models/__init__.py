"""A checkpoint and its tokenizer: located, loaded, or made for the generated world."""

from bias_intervene.models.loading import (
    TextTokenizer,
    check_vocabulary,
    configured_end_ids,
    copy_tokenizer,
    head_is_plain,
    load_model,
    load_tokenizer,
    tokenizer_fingerprint,
    weights_fingerprint,
)
from bias_intervene.models.locate import fetch, gguf_file, locate_checkpoint
from bias_intervene.models.world_model import (
    END_OF_TEXT,
    new_world_model,
    pretraining_settings,
    save_world_tokenizer,
    world_folder,
)

__all__ = [
    "END_OF_TEXT",
    "TextTokenizer",
    "check_vocabulary",
    "configured_end_ids",
    "copy_tokenizer",
    "fetch",
    "gguf_file",
    "head_is_plain",
    "load_model",
    "load_tokenizer",
    "locate_checkpoint",
    "new_world_model",
    "pretraining_settings",
    "save_world_tokenizer",
    "tokenizer_fingerprint",
    "weights_fingerprint",
    "world_folder",
]
