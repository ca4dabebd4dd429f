"""Find the heads of an attention module, its queries, keys and values, and an MLP's neurons.

The heads are slices of the tensor that the attention's output projection reads: the last module of
the attention that returns the attention's output, as wide as heads times a whole number. Queries,
keys and values are found by what noise on a projection's output at an inner token does to that
tensor: noise on queries changes it at that token alone; noise on keys or values changes it at later
tokens too, on values in proportion to the noise, on keys not. Where one projection gives all
three, the layouts "one after another" and "head by head" are tried. A gate on the heads changes the
same token alone, as queries do; the projection that a tensor of the right width comes from is then
the one called first.

Neurons are the entries that the MLP's last linear map reads, if one map of one hidden layer returns
all that the MLP returns.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from workbench.models.plain_weights import is_linear
from workbench.models.structure.inside import INNER, LayerCalls
from workbench.models.structure.observation import Call, same

JOINED = ("one after another", "head by head")


@dataclass(frozen=True)
class Heads:
    """Paths within a layer and counts over all processes; empty paths and zero counts where there
    are none in every layer.
    """

    output: str = ""
    count: int = 0
    size: int = 0
    query: str = ""
    key: str = ""
    value: str = ""
    key_value_count: int = 0
    joined_by_head: bool = False

    def times(self, processes: int) -> Heads:
        """Return the heads of all ``processes`` of which each holds as many as these."""
        return replace(
            self,
            count=self.count * processes,
            key_value_count=self.key_value_count * processes,
        )


def find_heads(
    layers: Sequence[LayerCalls],
    attention: str,
    count: int,
    processes: int,
    again: Callable[[int], None],
) -> Heads:
    """Find the heads and projections of the module at ``attention`` of every layer.

    Args:
        count: query heads, as the configuration counts them.
        again: calls the layer of an index once more, as it was called.
    """
    if not attention or not count:
        return Heads()
    output = _output_of(layers[0], attention)
    widths = {_width(layer, output) for layer in layers}
    if not output or len(widths) != 1 or 0 in widths or count % processes:
        return Heads()
    (width,) = widths
    end = layers[0].at(output)
    assert end is not None
    # A process holds its share of the heads, or all of them where a plan gathers them.
    made_for = getattr(end.module, "in_features", width * processes)
    shares = 1 if made_for == width else processes
    if width * shares % count:
        return Heads()
    plain = Heads(output, count // shares, width * shares // count)
    found = _Projections(layers[0], attention, plain, lambda: again(0)).find()
    if found.query and all(
        _same_widths(layer, layers[0], (found.query, found.key, found.value)) for layer in layers
    ):
        return found.times(shares)
    return plain.times(shares)


def _output_of(layer: LayerCalls, attention: str) -> str:
    """Return the path of the innermost linear map whose output is the attention's."""
    whole = layer.at(attention)
    if whole is None:
        return ""
    inner = [
        call
        for call in layer.calls
        if call.path.startswith(f"{attention}.")
        and is_linear(call.module)
        and call.given is not None
        and same(call.returned, whole.returned)
    ]
    return max(inner, key=lambda call: call.path.count(".")).path if inner else ""


def _width(layer: LayerCalls, path: str) -> int:
    call = layer.at(path) if path else None
    return call.given.shape[-1] if call is not None and call.given is not None else 0


def _same_widths(a: LayerCalls, b: LayerCalls, paths: Sequence[str]) -> bool:
    for path in paths:
        first, second = a.at(path), b.at(path)
        if first is None or second is None or first.returned is None or second.returned is None:
            return False
        if first.returned.shape != second.returned.shape:
            return False
    return True


class _Projections:
    """The search for queries, keys and values in one layer."""

    def __init__(
        self, layer: LayerCalls, attention: str, heads: Heads, again: Callable[[], None]
    ) -> None:
        self.layer, self.heads, self.again = layer, heads, again
        whole = layer.at(attention)
        self.candidates = [
            call
            for call in layer.calls
            if call.path.startswith(f"{attention}.")
            and call.path != heads.output
            and is_linear(call.module)
            and whole is not None
            and same(call.given, whole.given)
            and call.returned is not None
            and call.returned.dim() == 3
        ]
        output = layer.at(heads.output)
        assert output is not None
        assert output.given is not None
        self.output, self.base = output, output.given

    def find(self) -> Heads:
        """Return the heads with their projections, or without where they are not found."""
        size, count = self.heads.size, self.heads.count
        widths = {call.path: _entries(call) for call in self.candidates}
        for call in self.candidates:
            groups, odd = divmod(widths[call.path] - count * size, 2 * size)
            if not odd and 0 < groups <= count and count % groups == 0:
                for joined in (False, True):
                    if (not joined or groups == count) and self._joined(call, groups, joined):
                        return self._with(call.path, call.path, call.path, groups, joined)
        kinds = {call.path: self._kind(call, slice(None)) for call in self.candidates}
        query = [p for p, kind in kinds.items() if kind == "here" and widths[p] == count * size]
        key = [p for p, kind in kinds.items() if kind == "key"]
        value = [p for p, kind in kinds.items() if kind == "value"]
        if not query or len(key) != 1 or len(value) != 1 or widths[key[0]] != widths[value[0]]:
            return self.heads
        groups, odd = divmod(widths[key[0]], size)
        if odd or not groups or count % groups:
            return self.heads
        return self._with(query[0], key[0], value[0], groups, False)

    def _with(self, query: str, key: str, value: str, groups: int, joined: bool) -> Heads:
        heads = self.heads
        return Heads(heads.output, heads.count, heads.size, query, key, value, groups, joined)

    def _joined(self, call: Call, groups: int, by_head: bool) -> bool:
        size, count = self.heads.size, self.heads.count
        entries = torch.arange(_entries(call)).tolist()
        if by_head:
            parts = [[e for e in entries if (e // size) % 3 == n] for n in range(3)]
        else:
            ends = (0, count * size, (count + groups) * size, (count + 2 * groups) * size)
            parts = [entries[a:b] for a, b in itertools.pairwise(ends)]
        kinds = [self._kind(call, part) for part in parts]
        return kinds == ["here", "key", "value"]

    def _kind(self, call: Call, entries: Any) -> str:
        """Return what noise on the ``entries`` of a projection does to the heads: "here" (at its
        own token alone), "value", "key", or "" for anything else.
        """
        once, twice = (self._change(call, entries, scale) for scale in (1.0, 2.0))
        own, later = once[:, INNER], once[:, INNER + 1 :]
        small = 1e-5 * float(self.base.abs().max())
        if float(once[:, :INNER].abs().max()) > small:
            return ""
        if float(later.abs().max()) <= small:
            return "here" if float(own.abs().max()) > small else ""
        linear = same(twice, 2 * once, 10.0)
        return "value" if linear else "key"

    def _change(self, call: Call, entries: Any, scale: float) -> Tensor:
        assert call.returned is not None
        noise = torch.zeros_like(call.returned[:, INNER])
        generator = torch.Generator().manual_seed(0)
        drawn = torch.randn(noise[:, entries].shape, generator=generator).to(noise)
        noise[:, entries] = scale * drawn * call.returned.abs().mean()
        seen: list[Tensor] = []

        def add(_module: nn.Module, _args: Any, output: Tensor) -> Tensor:
            return torch.cat(
                [output[:, :INNER], output[:, INNER : INNER + 1] + noise, output[:, INNER + 1 :]],
                dim=1,
            )

        def read(_module: nn.Module, args: tuple[Any, ...]) -> None:
            seen.append(args[0].detach().clone())

        handles = (
            call.module.register_forward_hook(add),
            self.output.module.register_forward_pre_hook(read),
        )
        try:
            with torch.no_grad():
                self.again()
        finally:
            for handle in handles:
                handle.remove()
        return seen[0].float() - self.base.float()


def _entries(call: Call) -> int:
    assert call.returned is not None
    return int(call.returned.shape[-1])


def find_neurons(layers: Sequence[LayerCalls], mlp: str, added: str) -> tuple[str, int]:
    """Return path and input width of the linear map that ends the MLP of every layer; nothing
    where there is no such map in all of them.
    """
    if not mlp:
        return "", 0
    whole = layers[0].at(mlp)
    ends = [
        call
        for call in layers[0].calls
        if (call.path == added or call.path == mlp or call.path.startswith(f"{mlp}."))
        and is_linear(call.module)
        and whole is not None
        and same(call.returned, whole.returned)
        and call.given is not None
        and call.given.dim() == 3
    ]
    for end in ends:
        widths = {_width(layer, end.path) for layer in layers}
        if len(widths) == 1 and 0 not in widths:
            return end.path, widths.pop()
    return "", 0
