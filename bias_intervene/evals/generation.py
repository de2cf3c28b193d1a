"""Greedy continuations of prompts.

Enters: prompts. Leaves: what the model says after each, the likeliest token at every step. Promised: the same as one
prompt at a time: prompts are put together by length, so that nothing is padded; a continuation ends at the tokenizer's
end-of-text, after `max_new_tokens`, or as soon as `enough` says that more would not be looked at.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from tqdm import tqdm

from bias_intervene.errors import BiasInterveneError
from bias_intervene.evals.scoring import Scorer


@torch.inference_mode()
def continuations(
    scorer: Scorer, prompts: Sequence[str], *, enough: Callable[[int, str], bool], max_new_tokens: int, label: str
) -> list[str]:
    """The text after each prompt. enough: takes the prompt's number and the text so far."""
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
    said: dict[int, str] = {}
    with tqdm(total=len(prompts), desc=label, leave=False, mininterval=2, disable=scorer.ranks.rank > 0) as bar:
        for numbers in groups[scorer.ranks.rank :: scorer.ranks.count]:
            ids_BT = torch.tensor([encoded[number] for number in numbers], device=scorer.device)
            said |= continue_together(scorer, ids_BT, numbers, enough=enough, max_new_tokens=max_new_tokens)
            bar.update(len(numbers) * scorer.ranks.count)
    everything = {number: text for part in scorer.ranks.gather(said) for number, text in part.items()}
    return [everything[number] for number in range(len(prompts))]


def continue_together(
    scorer: Scorer, ids_BT: torch.Tensor, numbers: list[int], *, enough: Callable[[int, str], bool], max_new_tokens: int
) -> dict[int, str]:
    """The texts after prompts of one length; a row that is done leaves the batch."""
    end = scorer.tokenizer.end_of_text_id
    going, written, said = list(numbers), {number: [] for number in numbers}, {}
    cache: Any = None
    for _ in range(max_new_tokens):
        logits_BV, cache = last_logits(scorer, ids_BT, cache)
        likeliest = logits_BV.argmax(dim=-1)
        staying: list[int] = []
        for row, token in enumerate(likeliest.tolist()):
            number = going[row]
            if token != end:
                written[number].append(token)
            said[number] = scorer.tokenizer.backend.decode(written[number], skip_special_tokens=False)
            if token != end and not enough(number, said[number]):
                staying.append(row)
        if not staying:
            break
        if len(staying) < len(going):
            kept = torch.tensor(staying, device=scorer.device)
            cache.batch_select_indices(kept)
            likeliest, going = likeliest[kept], [going[row] for row in staying]
        ids_BT = likeliest[:, None]
    return said


def last_logits(scorer: Scorer, ids_BT: torch.Tensor, cache: Any) -> tuple[torch.Tensor, Any]:
    """(logits of the next token, what the model keeps of the tokens read so far)."""
    given = {"input_ids": ids_BT, "past_key_values": cache, "use_cache": True}
    if not scorer.split_head:
        out = scorer.model(**given)
        return out.logits[:, -1].float(), out.past_key_values
    out = scorer.model.base_model(**given)
    return scorer.model.get_output_embeddings()(out.last_hidden_state[:, -1]).float(), out.past_key_values
