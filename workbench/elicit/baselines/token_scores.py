"""Score the next-token distribution at chosen positions, from the states there, a few positions at
a time.

Costs one row of logits a position, held for CHUNK_ROWS positions at once; all numbers in nats, of
the model's distribution at temperature one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.models import LanguageModel
from workbench.models.unembed import unembed

CHUNK_ROWS = 64


@dataclass(frozen=True)
class TokenScores:
    """The scores of positions: ``chosen`` [n] log-probability of the given tokens, ``stop`` [n] of
    all ending tokens together, ``entropy`` [n].
    """

    chosen: NDArray[np.float64]
    stop: NDArray[np.float64]
    entropy: NDArray[np.float64]


def token_scores(lm: LanguageModel, final: Tensor, tokens: Tensor, stop: Tensor) -> TokenScores:
    """Return the scores of ``tokens`` [n] after states ``final`` [n, width], which are taken after
    the final norm.

    Args:
        stop: [vocab] bool, the tokens that end an answer.
    """
    found = []
    with torch.no_grad():
        for states, chosen in zip(final.split(CHUNK_ROWS), tokens.split(CHUNK_ROWS), strict=True):
            log = unembed(lm, states).log_softmax(dim=-1)
            entropy = -(log.exp() * log.clamp(min=torch.finfo(log.dtype).min)).sum(dim=-1)
            ending = log[:, stop.to(log.device)].logsumexp(dim=-1)
            found.append(torch.stack([log.gather(1, chosen[:, None])[:, 0], ending, entropy]))
    chosen, ending, entropy = torch.cat(found, dim=1).double().cpu().numpy()
    return TokenScores(chosen, ending, entropy)
