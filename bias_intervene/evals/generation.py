"""Greedy continuations of prompts.

Input: prompts.
Output: the continuation of each, which has the likeliest token at every step.
Guarantees: the same as with one prompt at a time, because only prompts of equal length are batched and nothing is
padded. A continuation ends after `max_new_tokens`, when `is_long_enough`, or at an end token: each of the model's
generation config, where transformers' `generate` ends too, and the tokenizer's end-of-sequence and end-of-text tokens.
A model tuned for chat ends its turn with the second and goes on after it as if somebody else spoke. Special tokens are
left out of the text.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from bias_intervene.errors import BiasInterveneError

if TYPE_CHECKING:
    import torch

    from bias_intervene.evals.scoring import Scorer


def continuations(
    scorer: "Scorer",
    prompts: Sequence[str],
    *,
    is_long_enough: Callable[[int, str], bool],
    max_new_tokens: int,
    label: str,
) -> list[str]:
    """The text after each prompt. Raises `BiasInterveneError` for a prompt that leaves no room for `max_new_tokens`.

    is_long_enough: takes the number of a prompt and its continuation so far; True ends it. label: for messages.
    """
    import torch

    encoded = [scorer.tokenizer.encode(prompt) for prompt in prompts]
    longest = max(map(len, encoded), default=0) + max_new_tokens
    if longest > scorer.context_length:
        raise BiasInterveneError(
            f"{label}: a prompt with {max_new_tokens} tokens after it has {longest}, and the model reads at most "
            f"{scorer.context_length}"
        )
    by_length: dict[int, list[int]] = defaultdict(list)
    for number, ids in enumerate(encoded):
        by_length[len(ids)].append(number)
    groups = [
        numbers[first : first + rows]
        for length, numbers in sorted(by_length.items())
        for rows in [max(1, scorer.batch_tokens // (length + max_new_tokens))]
        for first in range(0, len(numbers), rows)
    ]
    texts: dict[int, str] = {}
    bar = tqdm(total=len(prompts), desc=label, leave=False, mininterval=2, disable=scorer.ranks.rank > 0)
    with torch.inference_mode(), bar:
        for numbers in groups[scorer.ranks.rank :: scorer.ranks.count]:
            ids_BT = torch.tensor([encoded[number] for number in numbers], device=scorer.device)
            texts |= _continue_batch(
                scorer, ids_BT, numbers, is_long_enough=is_long_enough, max_new_tokens=max_new_tokens
            )
            bar.update(len(numbers) * scorer.ranks.count)
    text_of = {number: text for part in scorer.ranks.gather(texts) for number, text in part.items()}
    return [text_of[number] for number in range(len(prompts))]


def _end_ids(scorer: "Scorer") -> set[int]:
    """The tokens that end a continuation."""
    configured = scorer.model.generation_config.eos_token_id
    of_model = configured if isinstance(configured, list) else [configured]
    of_tokenizer = (scorer.tokenizer.end_of_sequence_id, scorer.tokenizer.end_of_text_id)
    return {token for token in (*of_model, *of_tokenizer) if token is not None}


def _continue_batch(
    scorer: "Scorer",
    ids_BT: "torch.Tensor",
    numbers: list[int],
    *,
    is_long_enough: Callable[[int, str], bool],
    max_new_tokens: int,
) -> dict[int, str]:
    """Number of a prompt -> its continuation, for prompts of one length; a finished row is removed from the batch.

    ids_BT: the prompts. numbers: their numbers.
    """
    import torch

    end_ids = _end_ids(scorer)
    active, new_ids, texts = list(numbers), {number: [] for number in numbers}, {}
    cache: Any = None
    for _ in range(max_new_tokens):
        logits_BV, cache = _next_token_logits(scorer, ids_BT, cache)
        likeliest = logits_BV.argmax(dim=-1)
        unfinished: list[int] = []
        for row, token in enumerate(likeliest.tolist()):
            number = active[row]
            is_end = token in end_ids
            if not is_end:
                new_ids[number].append(token)
            texts[number] = scorer.tokenizer.backend.decode(new_ids[number], skip_special_tokens=True)
            if not is_end and not is_long_enough(number, texts[number]):
                unfinished.append(row)
        if not unfinished:
            break
        if len(unfinished) < len(active):
            rows = torch.tensor(unfinished, device=scorer.device)
            cache.batch_select_indices(rows)
            likeliest, active = likeliest[rows], [active[row] for row in unfinished]
        ids_BT = likeliest[:, None]
    return texts


def _next_token_logits(scorer: "Scorer", ids_BT: "torch.Tensor", cache: Any) -> tuple["torch.Tensor", Any]:
    """(float32 (B, vocabulary), the cache of keys and values with the tokens of `ids_BT` added)."""
    inputs = {"input_ids": ids_BT, "past_key_values": cache, "use_cache": True}
    if not scorer.split_head:
        outputs = scorer.model(**inputs)
        return outputs.logits[:, -1].float(), outputs.past_key_values
    outputs = scorer.model.base_model(**inputs)
    return scorer.model.get_output_embeddings()(outputs.last_hidden_state[:, -1]).float(), outputs.past_key_values
