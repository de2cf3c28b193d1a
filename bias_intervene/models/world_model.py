"""The generated world's own model: how it is pretrained, where it is kept, what it is before it has read anything.

Enters: settings. Leaves: the settings of its pretraining run, the folder that run stands in, and a model with random
weights. Promised: everything follows from the settings it depends on, so runs that share them share one pretraining.
torch and transformers are imported where they are used.
"""

from pathlib import Path
from typing import Any

from bias_intervene.record import fingerprint
from bias_intervene.settings import Settings, WorldModel, read_intervention

END_OF_TEXT = "<|endoftext|>"


def pretraining_settings(settings: Settings) -> Settings:
    """The settings of the run that makes the generated world's model: its whole original training, from step 0.

    Nothing of how the model is later continued enters but the device and the number of threads, on which its bits
    depend; so the arms of a sweep share one pretraining.
    """
    model, train = settings.model, settings.train
    assert isinstance(model, WorldModel)
    return settings.model_copy(
        update={
            "dry_run": False,
            "experiment": None,
            "data": settings.data.model_copy(update={"shuffle": False}),
            "model": model.model_copy(update={"step": 0, "default_fraction": 1.0}),
            "intervention": read_intervention("none", {}),
            "train": train.model_copy(
                update={
                    "num_steps": None,
                    "sequence_length": model.sequence_length,
                    "global_batch_rows": model.batch_rows,
                    "micro_batch_rows": model.batch_rows,
                    "num_nodes": 1,
                    "num_processes": 1,
                    "rendezvous": "none",
                    "precision": "fp32",
                    "profile": "exact",
                    "zero_stage": 1,
                    "activation_checkpointing": False,
                    "gpu_memory_gib": 80.0,
                    "schedule": "original",
                    "learning_rate": None,
                    "rewarmup_steps": 0,
                    "optimizer_warmup_steps": 0,
                    "adam_beta1": 0.9,
                    "adam_beta2": 0.95,
                    "adam_epsilon": 1e-8,
                    "weight_decay": 0.1,
                    "gradient_clipping": 1.0,
                    "save_interval": model.checkpoint_interval,
                    "keep_resumable": 1,
                    "on_damaged": "refuse",
                }
            ),
            "evals": settings.evals.without_benchmarks(),
            "tracking": settings.tracking.model_copy(update={"name": "none"}),
        }
    )


def world_folder(settings: Settings) -> Path:
    """Where the pretraining run of the generated world's model stands, by everything it depends on."""
    values = pretraining_settings(settings).to_json()
    key = fingerprint({name: values[name] for name in ("model", "data", "train")})
    return settings.cache / "models" / f"world-{key}"


def new_world_model(model: WorldModel, *, seed: int, end_of_text_id: int) -> Any:
    """A GPT-NeoX of the world's shape with random weights drawn from `seed`, in float32."""
    import torch
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    torch.manual_seed(seed)
    config = GPTNeoXConfig(
        vocab_size=model.vocabulary_size,
        hidden_size=model.hidden_size,
        num_hidden_layers=model.num_layers,
        num_attention_heads=model.num_heads,
        intermediate_size=4 * model.hidden_size,
        max_position_embeddings=max(512, model.sequence_length),
        use_parallel_residual=True,
        tie_word_embeddings=False,
        bos_token_id=end_of_text_id,
        eos_token_id=end_of_text_id,
    )
    return GPTNeoXForCausalLM(config).float()


def save_world_tokenizer(source: Path, folder: Path) -> None:
    """Puts the generated world's tokenizer beside its model, so that AutoTokenizer loads it."""
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(
        tokenizer_file=str(source),
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        unk_token=END_OF_TEXT,
        clean_up_tokenization_spaces=False,
    ).save_pretrained(folder)
