"""Log-likelihoods of texts under a model.

Enters: token ids, context and continuation. Leaves: the summed log-probability of each continuation, nats, and
whether greedy decoding would give it. Promised:
results do not depend on the batch; logits are computed at scored positions only, in float32; an input longer than the
model's context is refused, not cut; a result that is not finite is an error naming the item.

To leave the head out where nothing is scored, the hidden states are taken from the model's base and the head is applied
by hand. Some architectures do more than that to their logits, so on loading both ways are compared once on a short
input, and the whole head is used where they differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from bias_intervene.errors import BiasInterveneError
from bias_intervene.models import TextTokenizer, head_is_plain


@dataclass(frozen=True)
class Request:
    """One continuation to score. `item` names it in messages."""

    item: str
    context_ids: tuple[int, ...]
    continuation_ids: tuple[int, ...]

    @property
    def length(self) -> int:
        """Tokens the model reads."""
        return len(self.context_ids) + len(self.continuation_ids) - 1


class Scorer:
    """A model ready to score. `batch_tokens`: tokens read at once, padding included."""

    def __init__(self, model: Any, tokenizer: TextTokenizer, *, device: torch.device, batch_tokens: int):
        self.model = model.to(device).eval()
        self.tokenizer, self.device, self.batch_tokens = tokenizer, device, batch_tokens
        self.context_length = int(getattr(model.config, "max_position_embeddings", None) or 1 << 30)
        self.split_head = head_is_plain(self.model)

    def whole(self, item: str, text: str) -> Request:
        """A sentence scored whole, conditioned on the tokenizer's prefix token alone."""
        return Request(item, (self.tokenizer.prefix_id,), tuple(self.tokenizer.encode(text)))

    def after(self, item: str, prompt: str, continuation: str) -> Request:
        """A continuation of a prompt, encoded together so that the border falls as the tokenizer would have it."""
        context, both = self.tokenizer.encode(prompt), self.tokenizer.encode(prompt + continuation)
        return Request(item, tuple(context), tuple(both[len(context) :]))

    def log_likelihoods(self, requests: Sequence[Request], *, label: str) -> np.ndarray:
        """float64 (n,), in the order of the requests. Raises `BiasInterveneError`."""
        return self.scores(requests, label=label)[0]

    @torch.inference_mode()
    def scores(self, requests: Sequence[Request], *, label: str) -> tuple[np.ndarray, np.ndarray]:
        """(log-likelihoods, float64; whether greedy decoding gives the continuation, bool), each (n,).

        In the order of the requests. Raises `BiasInterveneError`.
        """
        self.check(requests)
        found, greedy = np.empty(len(requests), dtype=np.float64), np.empty(len(requests), dtype=bool)
        order = sorted(range(len(requests)), key=lambda i: -requests[i].length)
        with tqdm(total=len(requests), desc=label, unit="item", leave=False, mininterval=2) as bar:
            for chosen in self.batches(order, requests):
                found[chosen], greedy[chosen] = self.score_batch([requests[i] for i in chosen])
                bar.update(len(chosen))
        broken = [requests[i].item for i in np.flatnonzero(~np.isfinite(found)).tolist()]
        if broken:
            raise BiasInterveneError(
                f"{label}: the log-likelihood of {len(broken)} of {len(requests)} items is not finite, first "
                f"{', '.join(broken[:3])}; no metric is computed. Try evals.dtype=float32, or look at the checkpoint"
            )
        return found, greedy

    def check(self, requests: Sequence[Request]) -> None:
        """Refuses what cannot be scored."""
        for request in requests:
            if not request.continuation_ids or not request.context_ids:
                raise BiasInterveneError(f"{request.item}: nothing to score (an empty text or context)")
            if request.length > self.context_length:
                raise BiasInterveneError(
                    f"{request.item}: {request.length} tokens, and the model reads at most {self.context_length}"
                )

    def batches(self, order: Sequence[int], requests: Sequence[Request]) -> list[list[int]]:
        """Cuts `order` (longest first) into batches of at most `batch_tokens` padded tokens."""
        cut: list[list[int]] = []
        for index in order:
            if cut and (len(cut[-1]) + 1) * requests[cut[-1][0]].length <= self.batch_tokens:
                cut[-1].append(index)
            else:
                cut.append([index])
        return cut

    def score_batch(self, batch: Sequence[Request]) -> tuple[np.ndarray, np.ndarray]:
        """Summed log-probabilities of one batch, padded on the right, and whether each token was the likeliest."""
        width = batch[0].length
        ids_BT = torch.zeros(len(batch), width, dtype=torch.long)
        mask_BT = torch.zeros(len(batch), width, dtype=torch.long)
        rows, positions, targets = [], [], []
        for row, request in enumerate(batch):
            ids = [*request.context_ids, *request.continuation_ids]
            ids_BT[row, : len(ids) - 1] = torch.tensor(ids[:-1])
            mask_BT[row, : len(ids) - 1] = 1
            first = len(request.context_ids) - 1
            rows += [row] * len(request.continuation_ids)
            positions += range(first, first + len(request.continuation_ids))
            targets += request.continuation_ids
        row_N = torch.tensor(rows, device=self.device)
        logits_NV = self.logits_at(
            ids_BT.to(self.device),
            mask_BT.to(self.device),
            row_N,
            torch.tensor(positions, device=self.device),
        )
        target_N = torch.tensor(targets, device=self.device)
        log_probs_N = torch.log_softmax(logits_NV.float(), dim=-1).gather(1, target_N[:, None])[:, 0]
        sums = torch.zeros(len(batch), dtype=torch.float64, device=self.device)
        misses = torch.zeros(len(batch), dtype=torch.long, device=self.device)
        misses.index_add_(0, row_N, (logits_NV.argmax(dim=-1) != target_N).long())
        return sums.index_add_(0, row_N, log_probs_N.double()).cpu().numpy(), (misses == 0).cpu().numpy()

    def logits_at(
        self, ids_BT: torch.Tensor, mask_BT: torch.Tensor, row_N: torch.Tensor, position_N: torch.Tensor
    ) -> torch.Tensor:
        """Logits (N, vocabulary) at the given rows and positions."""
        if not self.split_head:
            return self.model(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False).logits[row_N, position_N]
        hidden_BTH = self.model.base_model(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False).last_hidden_state
        return self.model.get_output_embeddings()(hidden_BTH[row_N, position_N])
