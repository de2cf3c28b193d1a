"""The next-token loss: the only place where rows are shifted into inputs and targets.

Input: rows. Output: their mean cross-entropy. Guarantees: the logits of a micro batch are never held whole (`HeadLoss`
takes them a chunk of positions at a time, loss and gradient together); the sum over a micro batch is divided by its
number of positions, padding included, so that the loss of a step does not depend on how its rows are spread over micro
batches and ranks, and unpadded rows, which are nearly all, give the ordinary mean.

Hugging Face heads shift labels themselves, so they are given none. The chunked path takes the last hidden states and
multiplies them by the head's weights itself. `can_be_chunked` detects a model whose logits are more than that product
(scaled, capped); such a model uses its own forward pass, with whole logits.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from bias_intervene.models import head_is_plain
from bias_intervene.plan.memory import CHUNK_LOGITS

IGNORED = -100


class NextTokenLoss(nn.Module):
    """A causal language model as a function of rows to the loss in nats.

    chunked: take the head apart; only for a model of which `can_be_chunked` holds.
    """

    def __init__(self, model: Any, *, chunked: bool):
        super().__init__()
        self.model, self.chunked = model, chunked

    def forward(self, rows_BS: torch.Tensor, num_tokens_B: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy, fp32. rows_BS: int64 (rows, tokens); positions from num_tokens_B on are masked."""
        inputs_BT, targets_BT = rows_BS[:, :-1], rows_BS[:, 1:]
        positions_T = torch.arange(1, rows_BS.shape[1], device=rows_BS.device)
        targets_N = targets_BT.masked_fill(positions_T >= num_tokens_B[:, None], IGNORED).flatten()
        if self.chunked:
            hidden_BTH = self.model.base_model(input_ids=inputs_BT, use_cache=False).last_hidden_state
            head = self.model.get_output_embeddings()
            total: Any = HeadLoss.apply(hidden_BTH.flatten(0, 1), head.weight, head.bias, targets_N)
        else:
            logits_BTV = self.model(input_ids=inputs_BT, use_cache=False).logits
            total = F.cross_entropy(logits_BTV.flatten(0, 1).float(), targets_N, ignore_index=IGNORED, reduction="sum")
        return total / targets_N.numel()


class HeadLoss(torch.autograd.Function):
    """Sum of the cross-entropy of hidden states under a linear head, its gradients computed along with it.

    The gradient of a chunk's logits follows from what its loss needs, so the backward pass only has to scale: no logits
    are stored and none are computed twice. Gradients of the weights are summed in fp32 over the chunks.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden_NH: torch.Tensor,
        weight_VH: torch.Tensor,
        bias_V: torch.Tensor | None,
        targets_N: torch.Tensor,
        chunk: int | None = None,
    ) -> torch.Tensor:
        """chunk: positions at once; None: CHUNK_LOGITS / V."""
        wants_hidden, wants_weight = ctx.needs_input_grad[:2]
        wants_bias = bias_V is not None and ctx.needs_input_grad[2]
        size = chunk or max(1, CHUNK_LOGITS // weight_VH.shape[0])
        total = torch.zeros((), dtype=torch.float32, device=hidden_NH.device)
        grad_hidden = torch.empty_like(hidden_NH) if wants_hidden else None
        grad_weight = torch.zeros_like(weight_VH, dtype=torch.float32) if wants_weight else None
        grad_bias = torch.zeros_like(bias_V, dtype=torch.float32) if wants_bias and bias_V is not None else None
        for hidden_CH, targets_C, at in zip(
            hidden_NH.split(size), targets_N.split(size), range(0, len(hidden_NH), size), strict=True
        ):
            logits_CV = F.linear(hidden_CH, weight_VH, bias_V).float()
            counted_C = targets_C != IGNORED
            picked_C1 = targets_C.clamp(min=0)[:, None]
            normaliser_C = logits_CV.logsumexp(1)
            total += (normaliser_C - logits_CV.gather(1, picked_C1)[:, 0])[counted_C].sum()
            if not (wants_hidden or wants_weight or wants_bias):
                continue
            # d loss / d logits = softmax - one-hot, in the memory of the logits.
            slope_CV = logits_CV.sub_(normaliser_C[:, None]).exp_()
            slope_CV.scatter_add_(1, picked_C1, slope_CV.new_full(picked_C1.shape, -1.0))
            slope_CV.mul_(counted_C[:, None])
            if grad_bias is not None:
                grad_bias += slope_CV.sum(0)
            slope_CV = slope_CV.to(hidden_NH.dtype)
            if grad_hidden is not None:
                torch.mm(slope_CV, weight_VH, out=grad_hidden[at : at + len(hidden_CH)])
            if grad_weight is not None:
                if grad_weight.dtype == hidden_CH.dtype:
                    grad_weight.addmm_(slope_CV.T, hidden_CH)
                else:
                    grad_weight += slope_CV.T @ hidden_CH
        ctx.save_for_backward(
            grad_hidden,
            None if grad_weight is None else grad_weight.to(weight_VH.dtype),
            None if grad_bias is None or bias_V is None else grad_bias.to(bias_V.dtype),
        )
        return total

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradients of `forward`, times that of the sum."""
        scaled = [None if saved is None else saved * grads[0].to(saved.dtype) for saved in ctx.saved_tensors]
        return (*scaled, None, None)


def can_be_chunked(model: Any) -> bool:
    """Whether the model's logits are its last hidden states times its head's weights, and no more."""
    return type(model.get_output_embeddings()) is nn.Linear and head_is_plain(model)
