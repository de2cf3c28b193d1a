"""Log-likelihoods of texts under a model, and greedy continuations.

Input: token ids, context and continuation. Output: the summed log-probability of each continuation, nats, and whether
greedy decoding would give it. Guarantees: results do not depend on the batch or on the number of ranks beyond rounding;
logits are computed in float32, at scored positions only and a chunk at a time; an input longer than the model's context
is refused, or cut at its beginning and counted; a result that is not finite is an error naming the item; a batch that
does not fit into memory is halved.

What can be left out is left out. A request whose input is the beginning of another's is read off that pass: choices of
one token share their prompt's pass, and so do choices that differ in their last token. Positions of a batch with the
same beginning (the two sentences of a pair up to where they differ) need the head, the costliest part of a small
model, once. Where there are several ranks each takes every nth batch.

To leave the head out where nothing is scored, the hidden states are taken from the model's base and the head is applied
by hand. Some architectures do more than that to their logits, so on loading both ways are compared once on a short
input, and the whole head is used where they differ.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from bias_intervene.errors import BiasInterveneError
from bias_intervene.evals.ranks import ALONE, Ranks
from bias_intervene.evals.requests import Pass, Request, batches, first_with_same_beginning, passes
from bias_intervene.models import TextTokenizer, head_is_plain

log = logging.getLogger("bias_intervene")

_LOGITS_AT_ONCE = 1 << 25
"""Logits held at once: 128 MiB in float32."""


class Scorer:
    """A model ready to score.

    batch_tokens: tokens read at once, padding included. too_long: what becomes of an input longer than the model's
    context; `num_truncated` counts the cut ones by label.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: TextTokenizer,
        *,
        device: torch.device,
        batch_tokens: int,
        too_long: str = "refuse",
        ranks: Ranks = ALONE,
    ):
        self.model = model.to(device).eval()
        self.tokenizer, self.device, self.too_long, self.ranks = tokenizer, device, too_long, ranks
        # The first is the same on every rank, which cut the work by it; the second is what this one's memory holds.
        self.batch_tokens = self.fitting_tokens = batch_tokens
        self.context_length = int(getattr(model.config, "max_position_embeddings", None) or 1 << 30)
        self.split_head = head_is_plain(self.model)
        self.num_truncated: dict[str, int] = {}

    # --- requests ----------------------------------------------------------------------------------------------

    def whole(self, item: str, text: str) -> Request:
        """A sentence scored whole, conditioned on the tokenizer's prefix token alone."""
        return Request(item, (self.tokenizer.prefix_id,), tuple(self.tokenizer.encode(text)))

    def after(self, item: str, prompt: str, continuation: str) -> Request:
        """A continuation of a prompt, encoded together so that the border falls as the tokenizer would have it."""
        context, both = self.tokenizer.encode(prompt), self.tokenizer.encode(prompt + continuation)
        return Request(item, tuple(context), tuple(both[len(context) :]))

    def log_likelihoods(self, requests: Sequence[Request], *, label: str) -> np.ndarray:
        """float64 (n,), in the order of the requests. Raises `BiasInterveneError`."""
        return self.score(requests, label=label, greedy=False)[0]

    def scores(self, requests: Sequence[Request], *, label: str) -> tuple[np.ndarray, np.ndarray]:
        """(log-likelihoods, float64; whether greedy decoding gives the continuation, bool), each (n,).

        In the order of the requests. Raises `BiasInterveneError`.
        """
        found, missed = self.score(requests, label=label, greedy=True)
        return found, missed == 0

    @torch.inference_mode()
    def score(self, requests: Sequence[Request], *, label: str, greedy: bool) -> tuple[np.ndarray, np.ndarray]:
        """(summed log-probabilities; how many tokens of the continuation are not the likeliest, 0 unless asked)."""
        fitting = [self.fitted(request, label) for request in requests]
        found = np.zeros((2, len(requests)), dtype=np.float64)
        cut = batches(passes(fitting), batch_tokens=self.batch_tokens)
        mine = cut[self.ranks.rank :: self.ranks.count]
        shown = len(requests) if self.ranks.count == 1 else sum(len(p.requests) for batch in mine for p in batch)
        with tqdm(total=shown, desc=label, unit="item", leave=False, mininterval=2, disable=self.ranks.rank > 0) as bar:
            for batch in mine:
                for part in self.in_memory(batch):
                    for number, value, missed in self.score_batch(part, fitting, greedy=greedy):
                        found[:, number] = value, missed
                        bar.update()
        found = self.ranks.sum(found)
        broken = [requests[i].item for i in np.flatnonzero(~np.isfinite(found[0])).tolist()]
        if broken:
            raise BiasInterveneError(
                f"{label}: the log-likelihood of {len(broken)} of {len(requests)} items is not finite, first "
                f"{', '.join(broken[:3])}; no metric is computed. Try evals.dtype=float32, or look at the checkpoint"
            )
        return found[0], found[1]

    def fitted(self, request: Request, label: str) -> Request:
        """The request as it is scored. Raises `BiasInterveneError` for what cannot be."""
        if not request.continuation_ids or not request.context_ids:
            raise BiasInterveneError(f"{request.item}: nothing to score (an empty text or context)")
        excess = len(request.input_ids) - self.context_length
        if excess <= 0:
            return request
        if self.too_long == "refuse" or excess >= len(request.context_ids):
            raise BiasInterveneError(
                f"{request.item}: {len(request.input_ids)} tokens, and the model reads at most {self.context_length}; "
                + (
                    "evals.too_long=truncate leaves out the beginning of the context"
                    if excess < len(request.context_ids)
                    else "what is scored alone is longer, so that nothing can be left out: leave this item out"
                )
            )
        self.num_truncated[label] = self.num_truncated.get(label, 0) + 1
        return Request(request.item, request.context_ids[excess:], request.continuation_ids)

    # --- batches -----------------------------------------------------------------------------------------------

    def in_memory(self, batch: list[Pass]) -> Iterator[list[Pass]]:
        """The batch, or parts of it once a batch did not fit into the device's memory."""
        rows = max(1, self.fitting_tokens // len(batch[0].input_ids))
        for first in range(0, len(batch), rows):
            yield batch[first : first + rows]

    def score_batch(
        self, batch: list[Pass], requests: Sequence[Request], *, greedy: bool
    ) -> list[tuple[int, float, float]]:
        """(number, log-likelihood, tokens missed) of every request of a batch; halves it when memory runs out."""
        try:
            return self.score_passes(batch, requests, greedy=greedy)
        except torch.OutOfMemoryError:
            pass  # Outside of `except` the failed attempt's tensors are free.
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if len(batch) == 1:
            raise BiasInterveneError(
                f"{requests[batch[0].requests[0]].item}: {len(batch[0].input_ids)} tokens alone do not fit into the "
                "device's memory beside the model; use evals.dtype=bfloat16 or a larger device"
            )
        half = (len(batch) + 1) // 2
        self.fitting_tokens = min(self.fitting_tokens, half * len(batch[0].input_ids))
        log.warning("out of memory: batches of at most %s tokens from now on", self.fitting_tokens)
        parts = (batch[:half], batch[half:])
        return [found for part in parts for found in self.score_batch(part, requests, greedy=greedy)]

    def score_passes(
        self, batch: list[Pass], requests: Sequence[Request], *, greedy: bool
    ) -> list[tuple[int, float, float]]:
        """`score_batch` without a second attempt."""
        ordered = sorted(batch, key=lambda one: one.input_ids)
        owners_BT = first_with_same_beginning([one.input_ids for one in ordered])
        numbers = [number for one in ordered for number in one.requests]
        wanted = [
            (place, owners_BT[row, position] * owners_BT.shape[1] + position, target)
            for place, (row, request) in enumerate(
                (row, requests[number]) for row, one in enumerate(ordered) for number in one.requests
            )
            for position, target in zip(request.positions, request.continuation_ids, strict=True)
        ]
        place_N, cell_N, target_N = np.array(wanted, dtype=np.int64).T
        cell_U, inverse_N = np.unique(cell_N, return_inverse=True)
        log_prob_N, missed_N = self.log_probs(
            [one.input_ids for one in ordered], np.divmod(cell_U, owners_BT.shape[1]), inverse_N, target_N, greedy
        )
        sums = np.bincount(place_N, weights=log_prob_N, minlength=len(numbers))
        missed = np.bincount(place_N, weights=missed_N, minlength=len(numbers))
        return list(zip(numbers, sums.tolist(), missed.tolist(), strict=True))

    def log_probs(
        self,
        inputs: Sequence[Sequence[int]],
        where: tuple[np.ndarray, np.ndarray],
        inverse_N: np.ndarray,
        target_N: np.ndarray,
        greedy: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        """(log-probability, 1 where another token is likelier) of N targets, read at U (row, position) pairs.

        inverse_N: which of the pairs each target is read at.
        """
        log_prob_N, missed_N = np.empty(len(target_N)), np.zeros(len(target_N))
        order = np.argsort(inverse_N, kind="stable")
        for first, logits_CV in self.logits(inputs, *where):
            low, high = np.searchsorted(inverse_N[order], [first, first + len(logits_CV)])
            chosen = order[low:high]
            index_n = torch.from_numpy(inverse_N[chosen] - first).to(self.device)
            target_n = torch.from_numpy(target_N[chosen]).to(self.device)
            total_n = torch.logsumexp(logits_CV, dim=-1)[index_n]
            log_prob_N[chosen] = (logits_CV[index_n, target_n].double() - total_n.double()).cpu().numpy()
            if greedy:
                missed_N[chosen] = (logits_CV.argmax(dim=-1)[index_n] != target_n).cpu().numpy()
        return log_prob_N, missed_N

    def logits(
        self, inputs: Sequence[Sequence[int]], row_U: np.ndarray, position_U: np.ndarray
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """(number of the first pair, logits (C, vocabulary) in float32), a chunk of the U (row, position) pairs a time.

        inputs: token ids of B rows of any lengths.
        """
        width = max(map(len, inputs))
        ids_BT = torch.zeros(len(inputs), width, dtype=torch.long)
        mask_BT = torch.zeros(len(inputs), width, dtype=torch.long)
        for row, ids in enumerate(inputs):
            ids_BT[row, : len(ids)] = torch.tensor(ids)
            mask_BT[row, : len(ids)] = 1
        given = {
            "input_ids": ids_BT.to(self.device), "attention_mask": mask_BT.to(self.device), "use_cache": False,
        }  # fmt: skip
        rows, positions = (torch.from_numpy(index).to(self.device) for index in (row_U, position_U))
        if not self.split_head:
            yield 0, self.model(**given).logits[rows, positions].float()
            return
        states_UH = self.model.base_model(**given).last_hidden_state[rows, positions]
        head = self.model.get_output_embeddings()
        step = max(1, _LOGITS_AT_ONCE // head.weight.shape[0])
        for first in range(0, len(states_UH), step):
            yield first, head(states_UH[first : first + step]).float()
