"""Locate the components that are slices of a wider tensor: heads, queries, keys, values and
neurons.

A layer's heads lie one after another in the tensor that the attention's output projection reads,
and its neurons are the entries of the tensor that the MLP's output projection reads. Queries, keys
and values are outputs of a projection each, or parts of one projection's output: one after another,
or head by head. :class:`Slices` says where every slice begins, so that reading and writing do not
depend on the family. Queries count query heads; keys and values count key-value heads, fewer under
grouped-query attention.

Queries, keys and values are what the projections give, before a family's norm on them and before
rotation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.models.language_model import LanguageModel

PROJECTIONS = ("query", "key", "value")
SLICED = ("head_out", *PROJECTIONS, "neuron")
"""Components whose sites name a slice."""


@dataclass(frozen=True)
class Slices:
    """The equal slices of a tensor's last dimension.

    Attributes:
        count: how many there are, over all processes.
        size: entries of one.
        start: where the first begins.
        stride: entries from the beginning of one to that of the next; 0 where they are adjacent.
        total: entries of the whole tensor.
    """

    count: int
    size: int
    total: int
    start: int = 0
    stride: int = 0

    @property
    def step(self) -> int:
        return self.stride or self.size

    @property
    def whole(self) -> bool:
        """Whether the slices are all of the tensor."""
        return self.count * self.size == self.total

    def first(self, index: int) -> int:
        """Return the first entry of slice ``index``."""
        return self.start + index * self.step

    def split(self, states: Tensor) -> Tensor:
        """Take all slices out of ``states`` [..., total]: [..., count, size]; a view."""
        inner = states[..., self.start : self.start + (self.count - 1) * self.step + self.size]
        return inner.unfold(-1, self.size, self.step)

    def mask(self, states: Tensor) -> Tensor:
        """Return ``states`` [..., total] with zeros at all entries that belong to no slice."""
        if self.whole:
            return states
        entries = torch.arange(self.total, device=states.device)
        inside = (entries >= self.start) & (entries < self.first(self.count))
        inside &= (entries - self.start) % self.step < self.size
        return states * inside


def slices_of(lm: LanguageModel, component: str) -> Slices | None:
    """Return where the slices of ``component`` lie in the tensor at its hook point; None for
    components that are whole tensors.
    """
    if component not in SLICED:
        return None
    row, queries, keys, size = lm.architecture, lm.n_heads, lm.n_key_value_heads, lm.head_size
    if component == "head_out":
        return Slices(queries, size, queries * size)
    if component == "neuron":
        return Slices(lm.mlp_width, 1, lm.mlp_width)
    count = queries if component == "query" else keys
    if row.query != row.key:
        return Slices(count, size, count * size)
    total = (queries + 2 * keys) * size
    place = PROJECTIONS.index(component)
    if row.joined_by_head:
        return Slices(count, size, total, place * size, 3 * size)
    return Slices(count, size, total, (0, queries, queries + keys)[place] * size)


def slice_width(lm: LanguageModel, component: str, span: int) -> int:
    """Return how many numbers the state of ``span`` neighbouring slices of a component has."""
    slices = slices_of(lm, component)
    return lm.width if slices is None else slices.size * span
