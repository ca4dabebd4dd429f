"""Say which forward passes the engine makes for a batch of prompts, before it makes them.

A *forward* is one call of the decoder. Its columns are those it computes, padding included, and a
column that exists only from some layer on counts in the layers it passes through. Passes follow the
engine's own rules: prompts that begin alike compute that beginning once
(:func:`workbench.trace.suffix.common_prefix`), and rows that have ended stay in a generation until
they are half of it (:func:`workbench.elicit.generate.pays_to_drop`).

Pairs of a column and a key are counted as a kernel with a mask computes them: every column with
every key of its pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from workbench.elicit.generate import pays_to_drop
from workbench.plan.products import Pass, ProductShape
from workbench.trace.suffix import common_prefix

Tokens = Sequence[int]


@dataclass(frozen=True)
class Forward:
    """One forward pass.

    Attributes:
        what: its kind, in words.
        rows: of the batch.
        columns: of a row, in the layer where there are most.
        keys: that a column sees, its own pass's and kept ones.
        layers: through which something passes.
        token_layers: columns of all rows, summed over layers.
        pair_layers: columns times keys of all rows, summed over layers.
        logits: states that are unembedded.
        adapted: the part of ``token_layers`` that an adapter acts on.
        held: keys and values of how many columns of a row the batch goes on holding afterwards.
        backward: whether gradients are computed.
        float32: whether it is computed in float32 whatever the model's precision.
        recorded: states of how many columns of a row are kept after every layer.
    """

    what: str
    rows: int
    columns: int
    keys: int
    layers: int
    token_layers: int
    pair_layers: int
    logits: int = 0
    adapted: int = 0
    held: int = 0
    backward: bool = False
    float32: bool = False
    recorded: int = 0

    @property
    def per_layer(self) -> int:
        """Columns of all rows in a layer, on average over those that something passes through."""
        return max(1, round(self.token_layers / max(1, self.layers)))

    def products(self, adapter: int) -> Pass:
        """Return the sizes of its products.

        Args:
            adapter: weights of the adapter in one layer.
        """
        return Pass(
            self.what,
            self.per_layer,
            self.rows * self.columns,
            self.token_layers,
            self.pair_layers,
            self.logits,
            self.adapted * adapter,
            self.backward,
            self.float32,
        )


Task = list[Forward]
"""The forwards of one batch, one after another."""
Group = list[Task]
"""Batches that do not wait for each other; a streamed model takes them through its layers side by
side.
"""


def whole_forward(
    what: str,
    layers: int,
    rows: int,
    columns: int,
    *,
    kept: int = 0,
    logits: int = 0,
    adapted: int = 0,
    held: int = 0,
    backward: bool = False,
    recorded: int = 0,
) -> Forward:
    """Return the forward of ``rows`` x ``columns`` through ``layers`` layers, after ``kept`` keys
    of every row.
    """
    keys = kept + columns
    return Forward(
        what,
        rows,
        columns,
        keys,
        layers,
        rows * columns * layers,
        rows * columns * keys * layers,
        logits,
        adapted,
        held,
        backward,
        recorded=recorded,
    )


def prompt_forwards(what: str, layers: int, prompts: Sequence[Tokens]) -> Task:
    """Return the passes over a batch of prompts whose ends are unembedded: one over what all begin
    with, and one over the rests.
    """
    shared, longest = len(common_prefix(prompts)), max(map(len, prompts))
    rests = whole_forward(
        what,
        layers,
        len(prompts),
        longest - shared,
        kept=shared,
        logits=len(prompts),
        held=longest,
    )
    if not shared:
        return [rests]
    return [whole_forward(f"{what}: shared beginning", layers, 1, shared, held=shared), rests]


def generation_forwards(
    what: str, layers: int, columns: int, written: Sequence[int], adapted: int = 0
) -> Task:
    """Return the passes of one token each that continue a batch.

    Args:
        columns: of the cache that is continued.
        written: tokens that each row writes, the one that ends it included.
        adapted: layers with an adapter that acts on what is written.
    """
    found, live = [], list(written)
    for step in range(max(written, default=0) - 1):
        left = [tokens for tokens in live if tokens > step + 1]
        if pays_to_drop(len(left), len(live)):
            live = left
        if not live:
            break
        found.append(
            whole_forward(
                what,
                layers,
                len(live),
                1,
                kept=columns + step,
                logits=len(live),
                adapted=len(live) * adapted,
                held=columns + step + 1,
            )
        )
    return found


def reading_forwards(
    what: str,
    layers: int,
    begun: Sequence[int],
    rests: Sequence[int],
    nodes: int,
    written: Sequence[int],
    adapted: int = 0,
    recorded: int = 0,
) -> Task:
    """Return the passes that read a batch's confidence: one over what follows the kept beginnings
    and over the scale's nodes, then those that write the stated text.

    Args:
        begun: tokens of each row that are kept.
        rests: tokens of each row after them.
        adapted: layers with an adapter that acts on everything that is not kept.
        recorded: positions whose states are recorded in every layer.
    """
    kept, columns = max(begun), max(rests) + nodes
    rows = len(rests)
    first = whole_forward(
        what,
        layers,
        rows,
        columns,
        kept=kept,
        logits=rows * (2 + nodes),
        adapted=rows * columns * adapted,
        held=kept + columns,
        recorded=recorded,
    )
    more = generation_forwards(f"{what}: stated text", layers, kept + columns, written, adapted)
    return [first, *more]


def branch_forward(
    what: str,
    layers: int,
    rows: int,
    before: int,
    kept: int,
    sizes: Sequence[int],
    first_layers: Sequence[int],
    logits: int,
    first_adapted: int | None,
) -> Forward:
    """Return a pass over ``before`` columns of every row and over branches, each of which passes
    through the layers after that at which it is appended.

    Args:
        before: columns that pass through all layers, none in a pass over branches alone.
        kept: keys of every row that were computed before.
        sizes, first_layers: columns of each branch, and the layer after which they are appended.
        first_adapted: the first layer with an adapter that acts on all of it; None for none.
    """
    begun = [0] * layers
    for size, first in zip(sizes, first_layers, strict=True):
        if first + 1 < layers:
            begun[first + 1] += size
    alive = [before + columns for columns in accumulate(begun)]
    acted = 0 if first_adapted is None else rows * sum(alive[first_adapted:])
    return Forward(
        what,
        rows,
        before + sum(sizes),
        kept + before + sum(sizes),
        sum(columns > 0 for columns in alive),
        rows * sum(alive),
        rows * sum(columns * (kept + columns) for columns in alive),
        logits,
        acted,
    )


def count_products(
    shape: ProductShape, forwards: Iterable[Forward], adapter: int
) -> dict[str, int]:
    """Return the operations of forwards, by what multiplies (:class:`Pass`)."""
    found: dict[str, int] = {}
    for each in forwards:
        for name, operations in each.products(adapter).operations(shape).items():
            found[name] = found.get(name, 0) + operations
    return found


def rounds_of(groups: Iterable[Group]) -> list[int]:
    """Return, for every time that a streamed model is gone through, the layers that are read:
    batches of a group share each going through, so as many are needed as the batch with the most
    passes makes.
    """
    found: list[int] = []
    for group in groups:
        for turn in range(max((len(task) for task in group), default=0)):
            found.append(max(task[turn].layers for task in group if len(task) > turn))
    return found
