"""Log-likelihoods of continuations under a model.

Work that does not change the result is saved in three places. A request whose input is a prefix of another's is scored
in the same forward pass: continuations of one token share the pass of their prompt, and so do continuations that differ
in their last token. The output head, the costliest part of a small model, is applied only at positions that are scored,
and once for all positions of a batch that follow the same tokens, such as the two sentences of a pair up to where they
differ. With several ranks, each scores every nth batch.

To apply the head at chosen positions, the hidden states are taken from the base model. Some architectures transform
their logits further, so when a model is loaded both ways are compared on a short input, and if they differ, logits are
computed at all positions by the whole model.

Input: requests (token ids of a context and of a continuation).
Output: the summed log-probability of each continuation in nats, and whether greedy decoding would give it.
Guarantees: results depend neither on the batches nor on the number of ranks, apart from rounding. Logits are float32,
computed a chunk of positions at a time. An input longer than the model's context is refused, or cut at its beginning
and counted. A result that is not finite is an error that names the item. A batch that does not fit into memory is
halved.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from bias_intervene.errors import BiasInterveneError
from bias_intervene.evals.ranks import SINGLE_RANK, Ranks
from bias_intervene.evals.requests import Pass, Request, batches, first_with_same_beginning, passes
from bias_intervene.models import TextTokenizer, head_is_plain

log = logging.getLogger("bias_intervene")

_LOGITS_AT_ONCE = 1 << 25
"""Logits held in memory at once: 128 MiB in float32."""


class Scores(NamedTuple):
    """The scores of n requests, in their order."""

    log_likelihoods: np.ndarray
    """float64 (n,), nats."""
    is_greedy: np.ndarray
    """bool (n,): whether greedy decoding gives the continuation."""


class _RequestScore(NamedTuple):
    """The score of one request."""

    number: int
    """Of the request."""
    log_likelihood: float
    num_not_likeliest: float
    """Tokens of the continuation that are not the likeliest at their position."""


class Scorer:
    """A model on its device, with its tokenizer.

    batch_tokens: tokens of a batch, padding included. too_long: `refuse` or `truncate` inputs longer than the model's
    context; `num_truncated` counts the truncated ones by label.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: TextTokenizer,
        *,
        device: torch.device,
        batch_tokens: int,
        too_long: str = "refuse",
        ranks: Ranks = SINGLE_RANK,
    ):
        self.model = model.to(device).eval()
        self.tokenizer, self.device, self.too_long, self.ranks = tokenizer, device, too_long, ranks
        # All ranks form the same batches of `batch_tokens`; each divides its own further where its memory is short.
        self.batch_tokens = self.fitting_tokens = batch_tokens
        self.context_length = int(getattr(model.config, "max_position_embeddings", None) or 1 << 30)
        self.split_head = head_is_plain(self.model)
        self.num_truncated: dict[str, int] = {}

    # --- requests ----------------------------------------------------------------------------------------------

    def whole(self, item: str, text: str) -> Request:
        """The request for a whole sentence, conditioned on nothing but the tokenizer's prefix token."""
        return Request(item, (self.tokenizer.prefix_id,), tuple(self.tokenizer.encode(text)))

    def after(self, item: str, prompt: str, continuation: str) -> Request:
        """The request for a continuation of a prompt. Both are encoded together, and the ids after as many as the
        prompt alone has are the continuation.
        """
        context, both = self.tokenizer.encode(prompt), self.tokenizer.encode(prompt + continuation)
        return Request(item, tuple(context), tuple(both[len(context) :]))

    def log_likelihoods(self, requests: Sequence[Request], *, label: str) -> np.ndarray:
        """float64 (n,): nats, in the order of the requests. label: for messages. Raises `BiasInterveneError`."""
        return self.score(requests, label=label, greedy=False).log_likelihoods

    def scores(self, requests: Sequence[Request], *, label: str) -> Scores:
        """Log-likelihoods, and whether they are greedy. label: for messages. Raises `BiasInterveneError`."""
        return self.score(requests, label=label, greedy=True)

    @torch.inference_mode()
    def score(self, requests: Sequence[Request], *, label: str, greedy: bool) -> Scores:
        """As `scores`. greedy: whether `is_greedy` is computed; without it, it is True for all."""
        fitting = [self.fit_to_context(request, label) for request in requests]
        # Log-likelihoods, and the number of tokens that are not the likeliest.
        totals = np.zeros((2, len(requests)), dtype=np.float64)
        all_batches = batches(passes(fitting), batch_tokens=self.batch_tokens)
        own = all_batches[self.ranks.rank :: self.ranks.count]
        total = len(requests) if self.ranks.count == 1 else sum(len(p.requests) for batch in own for p in batch)
        with tqdm(total=total, desc=label, unit="item", leave=False, mininterval=2, disable=self.ranks.rank > 0) as bar:
            for batch in own:
                for part in self.fitting_parts(batch):
                    for result in self.score_batch(part, fitting, greedy=greedy):
                        totals[:, result.number] = result.log_likelihood, result.num_not_likeliest
                        bar.update()
        log_likelihoods, num_not_likeliest = self.ranks.sum(totals)
        broken = [requests[i].item for i in np.flatnonzero(~np.isfinite(log_likelihoods)).tolist()]
        if broken:
            raise BiasInterveneError(
                f"{label}: the log-likelihood of {len(broken)} of {len(requests)} items is not finite, first "
                f"{', '.join(broken[:3])}; no metric is computed. Try evals.dtype=float32, or look at the checkpoint"
            )
        return Scores(log_likelihoods, num_not_likeliest == 0)

    def fit_to_context(self, request: Request, label: str) -> Request:
        """The request, cut at its beginning if it is too long. Raises `BiasInterveneError` where that is not allowed
        or not possible, and for an empty context or continuation.
        """
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

    def fitting_parts(self, batch: list[Pass]) -> Iterator[list[Pass]]:
        """The batch, divided so that it fits into the device's memory as far as is known."""
        rows = max(1, self.fitting_tokens // len(batch[0].input_ids))
        for first in range(0, len(batch), rows):
            yield batch[first : first + rows]

    def score_batch(self, batch: list[Pass], requests: Sequence[Request], *, greedy: bool) -> list[_RequestScore]:
        """The scores of every request of a batch, which is halved if memory runs out.

        requests: all of them, indexed by the numbers in the passes.
        """
        try:
            return self.score_passes(batch, requests, greedy=greedy)
        except torch.OutOfMemoryError:
            pass  # The tensors of the failed attempt are released only after the `except` block.
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
        return [result for part in parts for result in self.score_batch(part, requests, greedy=greedy)]

    def score_passes(self, batch: list[Pass], requests: Sequence[Request], *, greedy: bool) -> list[_RequestScore]:
        """As `score_batch`, in one attempt.

        N targets are predicted at U different cells of the batch. A cell is row * width + position, in the first row
        that has the same tokens up to that position.
        """
        by_ids = sorted(batch, key=lambda sequence: sequence.input_ids)
        inputs = [sequence.input_ids for sequence in by_ids]
        first_row_BT = first_with_same_beginning(inputs)
        width = first_row_BT.shape[1]
        numbers = [number for sequence in by_ids for number in sequence.requests]
        rows = [row for row, sequence in enumerate(by_ids) for _ in sequence.requests]
        targets = [
            (index, first_row_BT[row, position] * width + position, target)
            for index, (row, number) in enumerate(zip(rows, numbers, strict=True))
            for position, target in zip(requests[number].positions, requests[number].continuation_ids, strict=True)
        ]
        index_N, cell_N, target_N = np.array(targets, dtype=np.int64).T
        cell_U, inverse_N = np.unique(cell_N, return_inverse=True)
        log_prob_N, not_likeliest_N = self.log_probs(inputs, np.divmod(cell_U, width), inverse_N, target_N, greedy)
        sums = np.bincount(index_N, weights=log_prob_N, minlength=len(numbers))
        counts = np.bincount(index_N, weights=not_likeliest_N, minlength=len(numbers))
        return [_RequestScore(*values) for values in zip(numbers, sums.tolist(), counts.tolist(), strict=True)]

    def log_probs(
        self,
        inputs: Sequence[Sequence[int]],
        where: tuple[np.ndarray, np.ndarray],
        inverse_N: np.ndarray,
        target_N: np.ndarray,
        greedy: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        """(log-probability, 1 if another token is likelier else 0) of N target ids, float64 (N,) each.

        inputs: token ids of the rows. where: (rows, positions), (U,) each, at which logits are needed. inverse_N: for
        each target, the index of its logits in `where`. greedy: without it the second result is 0.
        """
        log_prob_N, not_likeliest_N = np.empty(len(target_N)), np.zeros(len(target_N))
        order = np.argsort(inverse_N, kind="stable")
        for first, logits_CV in self.logits(inputs, *where):
            low, high = np.searchsorted(inverse_N[order], [first, first + len(logits_CV)])
            in_chunk = order[low:high]
            index_n = torch.from_numpy(inverse_N[in_chunk] - first).to(self.device)
            target_n = torch.from_numpy(target_N[in_chunk]).to(self.device)
            total_n = torch.logsumexp(logits_CV, dim=-1)[index_n]
            log_prob_N[in_chunk] = (logits_CV[index_n, target_n].double() - total_n.double()).cpu().numpy()
            if greedy:
                not_likeliest_N[in_chunk] = (logits_CV.argmax(dim=-1)[index_n] != target_n).cpu().numpy()
        return log_prob_N, not_likeliest_N

    def logits(
        self, inputs: Sequence[Sequence[int]], row_U: np.ndarray, position_U: np.ndarray
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """Chunks of the logits at U (row, position) pairs: (index of the first pair, float32 (pairs, vocabulary)).

        inputs: token ids of B rows of any lengths.
        """
        width = max(map(len, inputs))
        ids_BT = torch.zeros(len(inputs), width, dtype=torch.long)
        mask_BT = torch.zeros(len(inputs), width, dtype=torch.long)
        for row, ids in enumerate(inputs):
            ids_BT[row, : len(ids)] = torch.tensor(ids)
            mask_BT[row, : len(ids)] = 1
        model_inputs = {
            "input_ids": ids_BT.to(self.device), "attention_mask": mask_BT.to(self.device), "use_cache": False,
        }  # fmt: skip
        rows, positions = (torch.from_numpy(index).to(self.device) for index in (row_U, position_U))
        if not self.split_head:
            yield 0, self.model(**model_inputs).logits[rows, positions].float()
            return
        states_UH = self.model.base_model(**model_inputs).last_hidden_state[rows, positions]
        head = self.model.get_output_embeddings()
        step = max(1, _LOGITS_AT_ONCE // head.weight.shape[0])
        for first in range(0, len(states_UH), step):
            yield first, head(states_UH[first : first + step]).float()
