"""Hold the tokens that may follow a prompt as a tree, which says what is read at the end of a
prompt and of every branch.

Node k continues the node ``parents[k]``, or the prompt's last token where that is -1. A readout at
the end is the next-token distribution at the prompt's last token and at every node; without nodes
it is that of the last token alone. In a packed layout the nodes are a tail after the prompt in
which each sees its ancestors only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.trace.layout import FIRST_LAYER, Prompts, Tail


@dataclass(frozen=True)
class TokenTree:
    """A tree of tokens: ``tokens`` [nodes] and ``parents`` [nodes], a parent before its children.

    An empty tree reads the last token only.
    """

    tokens: tuple[int, ...] = ()
    parents: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        wrong = any(not -1 <= parent < node for node, parent in enumerate(self.parents))
        if len(self.tokens) != len(self.parents) or wrong:
            raise WorkbenchError("Every tree token needs a parent, -1 or a token before it.")

    @property
    def size(self) -> int:
        return len(self.tokens)

    def path(self, node: int) -> tuple[int, ...]:
        """Return the nodes from the prompt's end down to ``node``, itself included; none for -1."""
        return () if node < 0 else (*self.path(self.parents[node]), node)

    def depths(self) -> tuple[int, ...]:
        """Return the depth of each node [nodes]; 1 directly follows the prompt."""
        return tuple(len(self.path(node)) for node in range(self.size))

    def ancestry(self) -> Tensor:
        """Return which node (row) sees which (column), itself included: [nodes, nodes] bool."""
        sees = torch.zeros((self.size, self.size), dtype=torch.bool)
        for node in range(self.size):
            sees[node, list(self.path(node))] = True
        return sees


NO_TREE = TokenTree()


def tree_tail(prompts: Prompts, tree: TokenTree) -> Tail:
    """Return the nodes as a tail after every prompt."""
    device, size = prompts.tokens.device, tree.size
    tokens = torch.as_tensor(tree.tokens, dtype=torch.long, device=device).expand(
        prompts.rows, size
    )
    depths = torch.as_tensor(tree.depths(), dtype=torch.long, device=device)
    return Tail(
        tokens=tokens,
        positions=prompts.positions[:, -1:] + depths,
        prefix_end=torch.full_like(tokens, prompts.columns),
        attends_to=tree.ancestry().to(device)[None],
        first_layer=(FIRST_LAYER,) * size,
        source_column=torch.zeros_like(tokens),
    )


def end_columns(prompts: Prompts, tree: TokenTree) -> Tensor:
    """Return the global columns [rows, 1 + nodes] of the prompt's last token and the nodes of
    :func:`tree_tail`.
    """
    columns = torch.arange(
        prompts.columns - 1, prompts.columns + tree.size, device=prompts.tokens.device
    )
    return columns.expand(prompts.rows, -1)
