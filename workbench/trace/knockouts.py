"""Describe which attention edges are knocked out: what given tokens may no longer read at given
tokens, in some layers, by all heads or some.

An edge leads from a *query* token, which reads, to a *key* token, which is read. Cutting it takes
the key out of the query's softmax, so the query's weight on it is zero and its other weights grow
to a sum of one again (Geva et al. 2023, arXiv 2304.14767). Keys and values themselves stay as they
are: other tokens read them on.

What it does not show: that nothing of the key reaches the query. Another token may have read it in
an earlier layer and pass it on, and the query's own stream holds what it read below the window. And
an effect is that of the missing reading together with the larger weights on what is left; a control
that cuts as many other tokens tells the two apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from workbench.errors import WorkbenchError


@dataclass(frozen=True, eq=False)
class AttentionKnockout:
    """A cut of every edge from a row's ``queries`` [rows, n] to its ``keys`` [rows, m], in
    ``layers``, for query ``heads``, or all of them if None.

    Tokens count from 0 at a row's own first token, whatever the padding; from a prompt's length on
    they name nodes of the tree. A row with fewer tokens than others repeats one of its own, which
    changes nothing. A key may be its query's own token, but no query may lose all it sees. An edge
    between nodes on different paths of a tree is none, and cutting it changes nothing.

    Raises:
        WorkbenchError: for tokens that are not whole numbers of the same rows, keys that come after
            a query of theirs, and empty or repeated layers or heads.
    """

    queries: Tensor
    keys: Tensor
    layers: tuple[int, ...]
    heads: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", _numbers(self.layers, "layer"))
        if self.heads is not None:
            object.__setattr__(self, "heads", _numbers(self.heads, "head"))
        for tokens in (self.queries, self.keys):
            if tokens.dim() != 2 or tokens.shape[1] == 0 or len(tokens) != len(self.queries):
                raise WorkbenchError(
                    "A knockout needs queries [rows, n] and keys [rows, m] of the same rows, at "
                    "least one of each."
                )
            if tokens.is_floating_point() or tokens.dtype == torch.bool:
                raise WorkbenchError("Token positions are whole numbers.")
        later = self.keys.amax(dim=1) > self.queries.amin(dim=1)
        if bool(later.any()):
            row = int(later.nonzero()[0])
            raise WorkbenchError(
                f"Token {int(self.keys[row].max())} comes after token "
                f"{int(self.queries[row].min())}, which never attends to it, in prompt {row}; name "
                "keys at or before every query."
            )

    @property
    def rows(self) -> int:
        return len(self.queries)

    def of_rows(self, rows: Tensor) -> AttentionKnockout:
        """Return the knockout of some ``rows`` [n] alone."""
        queries, keys = (tokens[rows.to(tokens.device)] for tokens in (self.queries, self.keys))
        return replace(self, queries=queries, keys=keys)


def _numbers(given: Iterable[int], what: str) -> tuple[int, ...]:
    """Return the numbers in ascending order.

    Raises:
        WorkbenchError: for none, and for one that is named twice.
    """
    numbers = tuple(sorted(int(number) for number in given))
    if not numbers or len(set(numbers)) < len(numbers):
        raise WorkbenchError(
            f"A knockout names at least one {what}, and each of them once; got {list(numbers)}."
        )
    return numbers
