"""Define which features of a dictionary a token activates, from what its encoder gives.

- "relu": every feature above zero.
- "jumprelu": every feature above zero and above its own threshold.
- "topk": the k largest of the token, where they are above zero.
- "batch_topk": in training, the largest of a whole batch. Which they are would depend on the tokens
  beside this one; so, as its authors do, a token is read with the threshold that training has left
  behind (Bussmann et al. 2024, arXiv 2412.06410), as a jumprelu with one threshold for all.

An active feature's activation is what the encoder gives; all others are zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from workbench.errors import WorkbenchError

Kind = Literal["relu", "jumprelu", "topk", "batch_topk"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, eq=False)
class Activation:
    """The rule by which features are active.

    Attributes:
        threshold: [features] or [1]; of "jumprelu" and "batch_topk" alone.
        k: of "topk" alone.

    Raises:
        WorkbenchError: for an unknown kind, and a kind without its threshold or its k.
    """

    kind: Kind
    threshold: Tensor | None = None
    k: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise WorkbenchError(
                f"The activation {self.kind!r} is not known; known are {', '.join(KINDS)}."
            )
        if self.kind in ("jumprelu", "batch_topk") and self.threshold is None:
            raise WorkbenchError(
                f"Features of {self.kind} need the threshold that training left; without it they "
                "depend on the batch. Take a file that stores it."
            )
        if self.kind == "topk" and self.k < 1:
            raise WorkbenchError(f"Features of topk need a k of at least 1, not {self.k}.")

    def active(self, pre: Tensor, first: int = 0) -> Tensor:
        """Return the activations of ``pre`` [..., n], the encoder's output of features ``first`` to
        ``first + n``, by every rule but the k largest.
        """
        values = pre.relu()
        if self.threshold is None:
            return values
        threshold = self.threshold.to(pre)
        if len(threshold) > 1:
            threshold = threshold[first : first + pre.shape[-1]]
        return torch.where(pre > threshold, values, 0.0)

    def active_of(self, pre: Tensor, chosen: Tensor) -> Tensor:
        """Return the same of ``chosen`` features [n]."""
        if self.threshold is None or len(self.threshold) == 1:
            return self.active(pre)
        return torch.where(pre > self.threshold.to(pre)[chosen.to(pre.device)], pre.relu(), 0.0)
