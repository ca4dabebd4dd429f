"""Hold the active features of many tokens, by index and value.

A dictionary has tens of thousands of features, of which a token activates tens. So activations are
never a table [tokens, features]: what is kept is one entry for each active feature of each token.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.errors import WorkbenchError


@dataclass(frozen=True, eq=False)
class SparseFeatures:
    """The active features of ``tokens`` tokens, sorted by token and feature.

    Attributes:
        features: how many features the dictionary has.
        token: [entries] the token of each entry.
        feature: [entries] which feature is active there.
        value: [entries] its activation, above zero, float32 or wider.
    """

    tokens: int
    features: int
    token: Tensor
    feature: Tensor
    value: Tensor

    def counts(self) -> Tensor:
        """Return how many features are active at each token, [tokens]."""
        return torch.bincount(self.token, minlength=self.tokens)

    def of_token(self, token: int) -> tuple[Tensor, Tensor]:
        """Return the features active at one token [n] and their activations [n], largest first."""
        here = self.token == token
        value, order = self.value[here].sort(descending=True)
        return self.feature[here][order], value

    def chosen(self, features: Tensor) -> Tensor:
        """Return the activations of some ``features`` [n], each named once, at every token:
        [tokens, n], 0 where inactive.
        """
        column = torch.full((self.features,), -1, device=self.feature.device)
        column[features.to(column.device)] = torch.arange(len(features), device=column.device)
        at = column[self.feature]
        out = self.value.new_zeros((self.tokens, len(features)))
        out[self.token[at >= 0], at[at >= 0]] = self.value[at >= 0]
        return out

    def cpu(self) -> SparseFeatures:
        """Return the same in the processor's memory."""
        parts = (self.token.cpu(), self.feature.cpu(), self.value.cpu())
        return SparseFeatures(self.tokens, self.features, *parts)


def join_sparse(parts: list[SparseFeatures], rows: list[Tensor]) -> SparseFeatures:
    """Join the active features of several batches; ``rows`` [tokens] of each says which token of
    the whole each of its tokens is.

    Raises:
        WorkbenchError: for no batches.
    """
    if not parts:
        raise WorkbenchError("There are no tokens whose features could be recorded.")
    token = torch.cat([r.to(p.token.device)[p.token] for p, r in zip(parts, rows, strict=True)])
    feature = torch.cat([part.feature for part in parts])
    value = torch.cat([part.value for part in parts])
    return in_order(sum(part.tokens for part in parts), parts[0].features, token, feature, value)


def in_order(
    tokens: int, features: int, token: Tensor, feature: Tensor, value: Tensor
) -> SparseFeatures:
    """Return entries in any order as active features, sorted by token and feature."""
    order = (token * features + feature).argsort()
    return SparseFeatures(tokens, features, token[order], feature[order], value[order])
