"""The generated world's own model: how it is pretrained, where it is kept, what it is before it has read anything.

Input: settings, and conf/train/_world_pretraining.yaml. Output: the settings of its pretraining run, the folder of that
run, and a model with random weights. Guarantees: the folder's name is a fingerprint of every setting the weights depend
on, so runs that share these settings share one pretraining, and a changed setting never meets an old one's weights.
torch and transformers are imported where they are used.
"""

from pathlib import Path
from typing import Any

from bias_intervene.record import fingerprint
from bias_intervene.settings import Settings, TrainSettings, WorldModel, option_values, read_intervention

END_OF_TEXT = "<|endoftext|>"


def pretraining_settings(settings: Settings) -> Settings:
    """The settings of the run that makes the generated world's model: its whole original training, from step 0.

    Nothing of how the model is later continued enters but the device and the number of threads, on which its bits
    depend; so the arms of a sweep share one pretraining.
    """
    model = settings.model
    assert isinstance(model, WorldModel)
    return settings.model_copy(
        update={
            "dry_run": False,
            "experiment": None,
            "data": settings.data.model_copy(update={"shuffle": False}),
            "model": model.model_copy(update={"step": 0, "default_fraction": 1.0}),
            "intervention": read_intervention("none", {}),
            "train": _pretraining(model, device=settings.train.device, num_threads=settings.train.num_threads),
            "evals": settings.evals.without_benchmarks(),
            "tracking": settings.tracking.model_copy(update={"name": "none"}),
        }
    )


def _pretraining(model: WorldModel, *, device: str, num_threads: int | None) -> TrainSettings:
    """conf/train/_world_pretraining.yaml, with the rows and the length that the model says."""
    return TrainSettings.model_validate(
        {
            **option_values("train", "_world_pretraining"),
            "sequence_length": model.sequence_length,
            "global_batch_rows": model.batch_rows,
            "micro_batch_rows": model.batch_rows,
            "save_interval": model.checkpoint_interval,
            "device": device,
            "num_threads": num_threads,
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
