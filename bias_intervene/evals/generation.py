"""Greedy continuations of prompts.

Input: prompts. Output: the text that the model continues each with, the likeliest token at every step. Guarantees: the
same as one prompt at a time, because prompts of one length are batched and nothing is padded; a continuation ends at
the tokenizer's end-of-text, after `max_new_tokens`, or as soon as `enough` says that more would not be looked at.
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
    scorer: "Scorer", prompts: Sequence[str], *, enough: Callable[[int, str], bool], max_new_tokens: int, label: str
) -> list[str]:
    """The text after each prompt. enough: takes the prompt's number and the text so far."""
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
            texts |= _continue_together(scorer, ids_BT, numbers, enough=enough, max_new_tokens=max_new_tokens)
            bar.update(len(numbers) * scorer.ranks.count)
    everything = {number: text for part in scorer.ranks.gather(texts) for number, text in part.items()}
    return [everything[number] for number in range(len(prompts))]


def _continue_together(
    scorer: "Scorer",
    ids_BT: "torch.Tensor",
    numbers: list[int],
    *,
    enough: Callable[[int, str], bool],
    max_new_tokens: int,
) -> dict[int, str]:
    """The texts after prompts of one length; a row that is done leaves the batch."""
    import torch

    end = scorer.tokenizer.end_of_text_id
    going, written, texts = list(numbers), {number: [] for number in numbers}, {}
    cache: Any = None
    for _ in range(max_new_tokens):
        logits_BV, cache = _last_logits(scorer, ids_BT, cache)
        likeliest = logits_BV.argmax(dim=-1)
        staying: list[int] = []
        for row, token in enumerate(likeliest.tolist()):
            number = going[row]
            if token != end:
                written[number].append(token)
            texts[number] = scorer.tokenizer.backend.decode(written[number], skip_special_tokens=False)
            if token != end and not enough(number, texts[number]):
                staying.append(row)
        if not staying:
            break
        if len(staying) < len(going):
            rows = torch.tensor(staying, device=scorer.device)
            cache.batch_select_indices(rows)
            likeliest, going = likeliest[rows], [going[row] for row in staying]
        ids_BT = likeliest[:, None]
    return texts


def _last_logits(scorer: "Scorer", ids_BT: "torch.Tensor", cache: Any) -> tuple["torch.Tensor", Any]:
    """(logits of the next token, what the model keeps of the tokens read so far)."""
    inputs = {"input_ids": ids_BT, "past_key_values": cache, "use_cache": True}
    if not scorer.split_head:
        out = scorer.model(**inputs)
        return out.logits[:, -1].float(), out.past_key_values
    out = scorer.model.base_model(**inputs)
    return scorer.model.get_output_embeddings()(out.last_hidden_state[:, -1]).float(), out.past_key_values
