"""Published facts of the Pile's rows in the order in which Pythia read them, and the shards that hold a range of them.

Input: row numbers. Output: names and sizes of shards. Guarantees: every constant is a published fact of the data sets
named, so the plan of a run can say which files it needs without a hub.

Sources: the data sets' file lists and the README of EleutherAI/pythia.
"""

SEQUENCE_LENGTH = 2_048
ROW_TOKENS = SEQUENCE_LENGTH + 1
"""Tokens stored for a row: 2,048 inputs and the label of the last one."""
BATCH_ROWS = 1_024
"""Rows a step of Pythia's training."""
NUM_ROWS = 143_000 * BATCH_ROWS
"""Rows of the whole training."""
SHARD_BYTES = 30_000_000_000
"""Bytes of every shard of the preshuffled rows but the last. A plan counts with it; readers take the true sizes."""
DEDUPED_REPOSITORY = "EleutherAI/pile-deduped-pythia-preshuffled"
STANDARD_REPOSITORY = "EleutherAI/pile-standard-pythia-preshuffled"
"""Names on the hub of the rows of the Pile with its duplicates removed, and as it is."""


def num_shards() -> int:
    """Shards of the whole corpus, by SHARD_BYTES.

    >>> num_shards()
    21
    """
    return -(-NUM_ROWS * ROW_TOKENS * 2 // SHARD_BYTES)


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
