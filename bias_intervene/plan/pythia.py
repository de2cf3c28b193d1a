"""Published facts of the Pythia suite: sizes, steps, learning rates, checkpoints, repository names.

Input: none. Output: constants and pure look-ups. Guarantees: every value is a published fact with its source, so the
plan of a run can be checked without a hub.

Sources: Biderman et al. 2023 (arXiv 2304.01373), the configuration files of EleutherAI/pythia, and van der Wal et
al. 2025 (PolyPythias, arXiv 2503.09543). The peak learning rate of 1b is that of its configuration file (2.5e-4);
the paper's table says 3e-4.
"""

from bisect import bisect_left
from dataclasses import dataclass

TOTAL_STEPS = 143_000
BATCH_ROWS = 1_024
SEQUENCE_LENGTH = 2_048
ROW_TOKENS = SEQUENCE_LENGTH + 1
"""Tokens stored for a row: 2,048 inputs and the label of the last one."""
SHARD_BYTES = 30_000_000_000
"""Bytes of every shard of the preshuffled rows but the last. A plan counts with it; readers take the true sizes."""
WARMUP_STEPS = 1_430
MINIMUM_LEARNING_RATE_RATIO = 0.1

CHECKPOINT_STEPS: tuple[int, ...] = (0, *(2**k for k in range(10)), *range(1_000, TOTAL_STEPS + 1, 1_000))
"""Every step published as a branch `stepN`: 154 of them."""

POLYPYTHIA_SEEDS = range(1, 10)
"""Seeds of the PolyPythias repositories `pythia-{size}-seed{n}`; all of them were trained on the standard Pile."""


@dataclass(frozen=True)
class _Size:
    """Architecture and peak learning rate of one size."""

    num_layers: int
    hidden_size: int
    num_heads: int
    vocabulary_size: int
    peak_learning_rate: float
    has_polypythias: bool = False

    @property
    def num_parameters(self) -> int:
        """Weights of a GPT-NeoX model of this shape with untied embeddings, biases and layer norms included."""
        return neox_parameters(
            num_layers=self.num_layers, hidden_size=self.hidden_size, vocabulary_size=self.vocabulary_size
        )


SIZES: dict[str, _Size] = {
    "14m": _Size(6, 128, 4, 50_304, 1e-3, True),
    "31m": _Size(6, 256, 8, 50_304, 1e-3, True),
    "70m": _Size(6, 512, 8, 50_304, 1e-3, True),
    "160m": _Size(12, 768, 12, 50_304, 6e-4, True),
    "410m": _Size(24, 1024, 16, 50_304, 3e-4, True),
    "1b": _Size(16, 2048, 8, 50_304, 2.5e-4),
    "1.4b": _Size(24, 2048, 16, 50_304, 2e-4),
    "2.8b": _Size(32, 2560, 32, 50_304, 1.6e-4),
    "6.9b": _Size(32, 4096, 32, 50_432, 1.2e-4),
    "12b": _Size(36, 5120, 40, 50_688, 1.2e-4),
}


def neox_parameters(*, num_layers: int, hidden_size: int, vocabulary_size: int) -> int:
    """Number of weights of a GPT-NeoX model with a 4x feed-forward block and untied embeddings.

    >>> SIZES["70m"].num_parameters
    70426624
    """
    layer = 12 * hidden_size**2 + 13 * hidden_size
    return 2 * vocabulary_size * hidden_size + num_layers * layer + 2 * hidden_size


INTERVENTIONS: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "intervention": (("70m", "410m", "1.4b", "6.9b"), tuple(range(134_000, TOTAL_STEPS + 1, 1_000))),
    "intervention_long": (("1.4b",), tuple(range(114_000, TOTAL_STEPS + 1, 1_000))),
}
"""The case study's released models: variant -> (sizes, published steps). All of them of the deduplicated Pile."""


def repository(size: str, *, deduped: bool, seed: int | None, variant: str = "original") -> str:
    """Name on the hub.

    >>> repository("6.9b", deduped=True, seed=None), repository("70m", deduped=False, seed=3)
    ('EleutherAI/pythia-6.9b-deduped', 'EleutherAI/pythia-70m-seed3')
    >>> repository("1.4b", deduped=True, seed=None, variant="intervention_long")
    'EleutherAI/pythia-intervention-long-1.4b-deduped'
    """
    prefix = "" if variant == "original" else f"{variant.replace('_', '-')}-"
    suffix = "-deduped" if deduped else "" if seed is None else f"-seed{seed}"
    return f"EleutherAI/pythia-{prefix}{size}{suffix}"


def rows_repository(*, deduped: bool) -> str:
    """Name on the hub of the rows in the order they were trained on."""
    return f"EleutherAI/pile-{'deduped' if deduped else 'standard'}-pythia-preshuffled"


def num_shards() -> int:
    """Shards of the whole corpus, by SHARD_BYTES.

    >>> num_shards()
    21
    """
    return -(-TOTAL_STEPS * BATCH_ROWS * ROW_TOKENS * 2 // SHARD_BYTES)


def shards_of_rows(first: int, end: int) -> list[tuple[str, int]]:
    """(name, bytes needed of it) of each shard that holds rows [first, end), by SHARD_BYTES.

    >>> shards_of_rows(136_192_000, 146_432_000)[0]
    ('document-00018-of-00020.bin', 11885184000)
    """
    last = num_shards() - 1
    low, high = first * ROW_TOKENS * 2, end * ROW_TOKENS * 2
    return [
        (
            f"document-{number:05}-of-{last:05}.bin",
            min(high, (number + 1) * SHARD_BYTES) - max(low, number * SHARD_BYTES),
        )
        for number in range(low // SHARD_BYTES, (high - 1) // SHARD_BYTES + 1)
    ]


def neighbours(step: float, steps: tuple[int, ...]) -> tuple[int, ...]:
    """Members of the ascending `steps` on either side of `step`, or the one equal to it.

    >>> neighbours(132_990, CHECKPOINT_STEPS), neighbours(132_000, CHECKPOINT_STEPS)
    ((132000, 133000), (132000,))
    """
    at = bisect_left(steps, step)
    if at < len(steps) and steps[at] == step:
        return (steps[at],)
    return steps[max(0, at - 1) : at + 1]
