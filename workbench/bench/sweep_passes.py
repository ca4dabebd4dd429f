"""Count what a packed sweep computes of its prompts and branches.

Prompts whose beginnings are kept (:mod:`workbench.trace.backends.kept_prefix`) cost their replies
alone. Every patched layer costs the tokens from the patch on, through the layers after it; a layer
at which the donor's state is the overwritten one is not run. Which layers those are follows from
the layer an adapter begins at; states that are equal for another reason are counted as run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.arrays import Rows as Positions
from workbench.bench.run_tokens import Rows
from workbench.patch.controls import Condition
from workbench.plan.products import Pass, ProductShape, triangle, whole_pass


@dataclass(frozen=True)
class SweptAdapter:
    """The adapter whose states are patched: its weights, the layer it begins at, and how many
    tokens of each prompt it acts on.
    """

    weights: int
    first: int
    acted: Sequence[int]


def computed_rows(lengths: Sequence[int], positions: Positions, reply: int | None) -> Rows:
    """Return of each prompt the tokens that are kept and those computed after them: the reply
    alone, unless a patched or recorded position precedes it.
    """
    earliest = positions.reshape(len(lengths), -1).min(axis=1)
    if reply is None or any(at < n - reply for n, at in zip(lengths, earliest, strict=True)):
        return [(0, n) for n in lengths]
    return [(n - reply, reply) for n in lengths]


def copied_tokens(condition: Condition, lengths: Sequence[int], positions: Positions) -> list[int]:
    """Return how many tokens of each prompt a branch computes anew: those from the patch on."""
    if not condition.random_position:
        return [1] * len(lengths)
    return [n - int(at) for n, at in zip(lengths, positions[:, 0], strict=True)]


def sweep_pass(
    condition: Condition,
    shape: ProductShape,
    rows: Rows,
    copied: Sequence[int],
    layers: Sequence[int],
    depths: Sequence[int],
    adapter: SweptAdapter,
) -> Pass:
    """Count a packed sweep: what is computed of the prompts once, and for every layer the tokens
    from the patch on, through the layers after it.

    Args:
        rows: of each prompt, the tokens that are kept and those computed after them.
        copied: tokens of each prompt that a branch computes.
        layers: patched layers that are run.
    """
    base = whole_pass("", shape, 0, rows, depths)
    after = sum(shape.layers - 1 - layer for layer in layers)
    tokens = sum(new + len(depths) for new in copied)
    pairs = sum(
        triangle(sum(row) - new, new) + sum(sum(row) + depth for depth in depths)
        for row, new in zip(rows, copied, strict=True)
    )
    acted = 0
    if condition.into_tuned:
        adapted = sum(shape.layers - max(layer + 1, adapter.first) for layer in layers)
        acted = sum(adapter.acted) + len(rows) * len(depths)
        acted += tokens * adapted // (shape.layers - adapter.first)
    return Pass(
        f"sweep of {condition.name.replace('_', ' ')}",
        max(1, base.tokens + tokens * len(layers)),
        base.tokens + tokens * len(layers),
        base.token_layers + tokens * after,
        base.pair_layers + pairs * after,
        len(rows) * (1 + len(depths)) * (1 + len(layers)),
        adapter.weights * acted,
    )
