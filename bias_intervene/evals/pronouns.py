"""The manipulation check: did the model's pronouns move at all?

Before a null result means "the intervention does not change bias", it must be known that the intervention took. Two
protocols. `prompts`: log P(she) - log P(he) after openings where a subject pronoun is natural, neutral ones and ones
about occupations; the occupation gap is the male leaning minus the female leaning mean of log P(he) - log P(she).
`heldout`: at every pronoun of rows kept out of training, unaltered, the log-odds of the feminine against the masculine
form there.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from bias_intervene.evals.benchmarks import PronounPrompt
from bias_intervene.evals.scoring import Scorer
from bias_intervene.models import TextTokenizer
from bias_intervene.statistics import mean_and_stderr

PAIRS = (("she", "he"), ("her", "him"), ("her", "his"), ("herself", "himself"))
"""(feminine, masculine) forms compared at held-out positions."""

VERSION = 1
"""Raise when the same items and weights would be scored differently."""


def score(prompts: Sequence[PronounPrompt], heldout_rows: np.ndarray | None, scorer: Scorer) -> list[dict[str, Any]]:
    """One row a prompt, and one a held-out pronoun. heldout_rows: (rows, tokens) or None."""
    requests = [scorer.after(prompt.item, prompt.text, f" {word}") for prompt in prompts for word in ("she", "he")]
    found = scorer.log_likelihoods(requests, label="pronouns").reshape(-1, 2)
    rows: list[dict[str, Any]] = [
        {
            "item": prompt.item,
            "protocol": "prompts",
            "subset": prompt.subset,
            "form": "she_he",
            "log_odds": float(she - he),
            "planted": prompt.planted_log_odds,
        }  # fmt: skip
        for prompt, (she, he) in zip(prompts, found, strict=True)
    ]
    return rows if heldout_rows is None else rows + score_heldout(heldout_rows, scorer)


def score_heldout(rows_RT: np.ndarray, scorer: Scorer) -> list[dict[str, Any]]:
    """Log-odds at the pronouns of held-out rows whose forms are single tokens."""
    found: list[dict[str, Any]] = []
    pairs = {f"{f}_{m}": ids for f, m in PAIRS if (ids := single_ids(scorer.tokenizer, f, m)) is not None}
    step = max(1, scorer.batch_tokens // rows_RT.shape[1])
    for first in range(0, rows_RT.shape[0], step):
        part_BT = rows_RT[first : first + step].astype(np.int64)
        for form, (feminine, masculine) in pairs.items():
            where = np.argwhere(np.isin(part_BT[:, 1:], (feminine, masculine)))
            if not len(where):
                continue
            log_odds = heldout_log_odds(part_BT[:, :-1], where, feminine, masculine, scorer)
            found += [
                {
                    "item": f"row {first + row} token {position + 1}",
                    "protocol": "heldout",
                    "subset": "feminine" if part_BT[row, position + 1] == feminine else "masculine",
                    "form": form,
                    "log_odds": float(value),
                    "planted": None,
                }  # fmt: skip
                for (row, position), value in zip(where.tolist(), log_odds, strict=True)
            ]
    return found


@torch.inference_mode()
def heldout_log_odds(
    inputs_BT: np.ndarray, where: np.ndarray, feminine: int, masculine: int, scorer: Scorer
) -> np.ndarray:
    """log P(feminine) - log P(masculine) at (row, position) pairs."""
    ids_BT = torch.from_numpy(inputs_BT).to(scorer.device)
    row_N, position_N = (torch.from_numpy(column.copy()).to(scorer.device) for column in where.T)
    logits_NV = scorer.logits_at(ids_BT, torch.ones_like(ids_BT), row_N, position_N).double()
    return (logits_NV[:, feminine] - logits_NV[:, masculine]).cpu().numpy()


def single_ids(tokenizer: TextTokenizer, *words: str) -> tuple[int, ...] | None:
    """Ids of the words with a leading space, None unless each is a single token."""
    encoded = [tokenizer.encode(f" {word}") for word in words]
    return tuple(ids[0] for ids in encoded) if all(len(ids) == 1 for ids in encoded) else None


def metrics(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Means by subset, and the gap between occupations."""
    prompts = [row for row in rows if row["protocol"] == "prompts"]
    for subset in ("all", *dict.fromkeys(row["subset"] for row in prompts)):
        members = [row for row in prompts if subset in {"all", row["subset"]}]
        yield mean_of(members, protocol="prompts", subset=subset, metric="log_odds_she_he")
    male = np.array([-row["log_odds"] for row in prompts if row["subset"] == "male_leaning"])
    female = np.array([-row["log_odds"] for row in prompts if row["subset"] == "female_leaning"])
    if male.size and female.size:
        (high, high_stderr), (low, low_stderr) = mean_and_stderr(male), mean_and_stderr(female)
        yield {
            "protocol": "prompts", "subset": "occupations", "metric": "occupation_gap",
            "value": high - low, "stderr": float(np.hypot(high_stderr, low_stderr)), "n": male.size + female.size,
        }  # fmt: skip
    heldout = [row for row in rows if row["protocol"] == "heldout"]
    for form in dict.fromkeys(row["form"] for row in heldout):
        members = [row for row in heldout if row["form"] == form]
        yield mean_of(members, protocol="heldout", subset="all", metric=f"log_odds_{form}")


def mean_of(rows: Sequence[dict[str, Any]], *, protocol: str, subset: str, metric: str) -> dict[str, Any]:
    """The mean log-odds of some rows."""
    value, stderr = mean_and_stderr(np.array([row["log_odds"] for row in rows]))
    return {
        "protocol": protocol, "subset": subset, "metric": metric,
        "value": value, "stderr": stderr, "n": len(rows),
    }  # fmt: skip
