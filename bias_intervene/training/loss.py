"""The next-token loss: the only place where rows are shifted into inputs and targets.

Hugging Face heads shift labels themselves, so they are given none. The sum over a micro batch is divided by its number
of positions, padding included: the loss of a step then does not depend on how its rows are spread over micro batches
and ranks, and unpadded rows, which are nearly all, give the ordinary mean.
"""

from typing import Any

import torch
import torch.nn.functional as F

IGNORED = -100


def next_token_loss(model: Any, rows_BS: torch.Tensor, num_tokens_B: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy in nats, fp32. rows_BS: int64 (rows, tokens); positions from num_tokens_B on are masked."""
    inputs_BT, targets_BT = rows_BS[:, :-1], rows_BS[:, 1:]
    positions_T = torch.arange(1, rows_BS.shape[1], device=rows_BS.device)
    targets_BT = targets_BT.masked_fill(positions_T >= num_tokens_B[:, None], IGNORED)
    logits_BTV = model(input_ids=inputs_BT, use_cache=False).logits
    total = F.cross_entropy(
        logits_BTV.flatten(0, 1).float(), targets_BT.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    return total / targets_BT.numel()
