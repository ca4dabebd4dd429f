"""Find the parts of a decoder layer: attention, MLP, and what each adds to the residual stream.

A module mixes positions if its output at the last token depends on an earlier token while its input
at the last token does not: every layer is called once more with another state at the last token but
one, all else as it was. The attention is the outermost mixing module, the same in every layer. What
it and the MLP add are the two modules a and m with

    resid_post = resid_pre + s * (a + m)

in every layer, where a is the attention's output or a later module's change of it (a norm after
attention), and s is one number. The stream between the two is the first tensor given to a module
that equals resid_pre + s * a. Where a or m cannot be found, the stated reason is kept and the
component is missing; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from workbench.models.structure.observation import Call, Observation, observing, same

INNER = 4
"""The token whose state is changed to see what mixes positions: the last but one of
:data:`TOKENS`, which the last one sees through any window.
"""
TOKENS = INNER + 2


@dataclass(frozen=True)
class Parts:
    """Paths within every layer, empty where there is no such module in every layer.

    Attributes:
        mixes: paths of the outermost modules that mix positions, of each layer.
        scale: factor of what attention and MLP add.
        parallel: whether both read the same stream.
    """

    attention: str = ""
    attention_added: str = ""
    mlp: str = ""
    mlp_added: str = ""
    mid: str = ""
    scale: float = 1.0
    parallel: bool = False
    mixes: tuple[frozenset[str], ...] = ()


@dataclass(frozen=True, eq=False)
class LayerCalls:
    """The calls of one layer's modules, paths from the layer on, and its two streams."""

    calls: tuple[Call, ...]
    pre: Tensor
    post: Tensor
    mixing: frozenset[str] = field(default_factory=frozenset)

    def at(self, path: str) -> Call | None:
        """Return the only call of a module; None for none or several."""
        found = [call for call in self.calls if call.path == path]
        return found[0] if len(found) == 1 else None


def layer_calls(seen: Observation, layers: Sequence[Call]) -> list[LayerCalls]:
    """Gather each layer's calls, and find by one more call of it which modules mix positions."""
    out = []
    for layer in layers:
        inner = tuple(_inside(seen, layer.path))
        assert layer.given is not None
        assert layer.returned is not None
        mixing = _mixing(layer, inner, seen)
        out.append(LayerCalls(inner, layer.given, layer.returned, mixing))
    return out


def _inside(seen: Observation, path: str) -> list[Call]:
    start = f"{path}."
    return [
        Call(call.path[len(start) :], call.module, call.given, call.returned, call.order)
        for call in seen.calls
        if call.path.startswith(start)
    ]


def _mixing(layer: Call, before: Sequence[Call], seen: Observation) -> frozenset[str]:
    args, kwargs = seen.arguments[layer.path]
    assert layer.given is not None
    changed = layer.given.clone()
    changed[:, INNER] = layer.given[:, INNER].roll(1, dims=-1) + layer.given.abs().mean()
    if args:
        args = (changed, *args[1:])
    else:
        kwargs = {**kwargs, "hidden_states": changed}
    with torch.no_grad(), observing(layer.module) as again:
        layer.module(*args, **kwargs)
    plain = {call.path: call for call in before}
    found = [
        call.path for call in again.calls if call.path in plain and _mixes(plain[call.path], call)
    ]
    return frozenset(
        path for path in found if not any(path.startswith(f"{other}.") for other in found)
    )


def _mixes(a: Call, b: Call) -> bool:
    given, returned = _last(a.given, b.given), _last(a.returned, b.returned)
    return given is not None and returned is not None and same(*given) and not same(*returned)


def _last(a: Tensor | None, b: Tensor | None) -> tuple[Tensor, Tensor] | None:
    if a is None or b is None or a.shape != b.shape or a.dim() != 3 or a.shape[1] <= INNER + 1:
        return None
    return a[:, -1], b[:, -1]


def find_parts(layers: Sequence[LayerCalls]) -> Parts:
    """Find the parts that all layers have in common."""
    mixes = tuple(layer.mixing for layer in layers)
    common = frozenset.intersection(*mixes)
    attention = next(iter(common)) if len(common) == 1 and len(set(mixes)) == 1 else ""
    if not attention:
        return _without_attention(layers, mixes)
    for a, m, scale in _pairs(layers[0], attention):
        if all(_adds_up(layer, a, m, scale) for layer in layers):
            mid = _common([_read_between(layer, a, scale) for layer in layers])
            return Parts(
                attention,
                a,
                _outermost(layers, m),
                m,
                mid,
                scale,
                parallel=not mid,
                mixes=mixes,
            )
    found = _without_attention(layers, mixes)
    return Parts(attention, "", found.mlp, found.mlp_added, found.mid, found.scale, False, mixes)


def _pairs(layer: LayerCalls, attention: str) -> list[tuple[str, str, float]]:
    """Return candidates (attention added, MLP added, factor) of the first layer, by their order."""
    found = []
    width = layer.pre.shape
    # Of a module and the one that ends it, which return the same, the outer one comes first.
    states = sorted(
        (c for c in layer.calls if c.returned is not None and c.returned.shape == width),
        key=lambda call: call.path.count("."),
    )
    start = layer.at(attention)
    if start is None or start.returned is None:
        return []
    ends = [start]
    for call in states:
        if call.order > start.order and any(same(call.given, end.returned) for end in ends):
            ends.append(call)
    change = (layer.post - layer.pre).float().flatten()
    for a in ends:
        for m in states:
            if m.path == a.path or m.path.startswith(f"{attention}."):
                continue
            assert a.returned is not None
            assert m.returned is not None
            total = (a.returned + m.returned).float().flatten()
            scale = float((change @ total) / (total @ total).clamp_min(1e-12))
            if _adds_up(layer, a.path, m.path, scale):
                found.append((a.path, m.path, scale))
    return found


def _adds_up(layer: LayerCalls, a: str, m: str, scale: float) -> bool:
    first, second = layer.at(a), layer.at(m)
    if first is None or second is None or first.returned is None or second.returned is None:
        return False
    if not first.returned.shape == second.returned.shape == layer.pre.shape:
        return False
    return _stream(layer.post, layer.pre, layer.pre + scale * (first.returned + second.returned))


def _stream(found: Tensor | None, before: Tensor, expected: Tensor) -> bool:
    """Return whether a stream is as expected, measured by what it changed."""
    if found is None or found.shape != expected.shape:
        return False
    change = (expected - before).float()
    error = (found.float() - expected.float()).abs().max()
    rounding = torch.finfo(found.dtype).eps * expected.float().abs().max()
    return bool(error <= 1e-3 * change.abs().max() + 8 * rounding) and bool(change.any())


def _read_between(layer: LayerCalls, a: str, scale: float) -> list[str]:
    added = layer.at(a)
    assert added is not None
    assert added.returned is not None
    between = layer.pre + scale * added.returned
    return [
        call.path
        for call in sorted(layer.calls, key=lambda call: call.path.count("."))
        if call.order > added.order and _stream(call.given, layer.pre, between)
    ]


def _without_attention(layers: Sequence[LayerCalls], mixes: tuple[frozenset[str], ...]) -> Parts:
    """Find the MLP alone: m with resid_post = x + s * m, where x is given to a module."""
    for mid, m, scale in _ends_of(layers[0]):
        if all(_ends(layer, mid, m, scale) for layer in layers):
            return Parts("", "", _outermost(layers, m), m, mid, scale, False, mixes)
    return Parts(mixes=mixes)


def _ends_of(layer: LayerCalls) -> list[tuple[str, str, float]]:
    found = []
    calls = [c for c in layer.calls if c.given is not None and c.given.shape == layer.pre.shape]
    for x in calls:
        if same(x.given, layer.pre):
            continue
        for m in calls:
            inside = any(m.path == p or m.path.startswith(f"{p}.") for p in layer.mixing)
            if m.returned is None or m.returned.shape != layer.pre.shape or inside:
                continue
            assert x.given is not None
            change = (layer.post - x.given).float().flatten()
            total = m.returned.float().flatten()
            scale = float((change @ total) / (total @ total).clamp_min(1e-12))
            if _ends(layer, x.path, m.path, scale):
                found.append((x.path, m.path, scale))
    return found


def _ends(layer: LayerCalls, mid: str, m: str, scale: float) -> bool:
    x, added = layer.at(mid), layer.at(m)
    if x is None or added is None or x.given is None or added.returned is None:
        return False
    if x.given.shape != layer.pre.shape or added.returned.shape != layer.pre.shape:
        return False
    return _stream(layer.post, x.given, x.given + scale * added.returned)


def _common(lists: Sequence[Sequence[str]]) -> str:
    """Return the first path that is in all lists, or an empty string."""
    return next((path for path in lists[0] if all(path in other for other in lists)), "")


def _outermost(layers: Sequence[LayerCalls], added: str) -> str:
    """Return the outermost module around the one whose output is ``added``, or around the one with
    weight matrices whose output that one changes.
    """
    made = layers[0].at(added)
    while made is not None and not any(p.dim() > 1 for p in made.module.parameters()):
        given = made.given
        made = next(
            (
                call
                for call in sorted(layers[0].calls, key=lambda call: call.path.count("."))
                if call.order < made.order and same(call.returned, given)
            ),
            None,
        )
        added = made.path if made is not None else added
    parts = added.split(".")
    for size in range(1, len(parts) + 1):
        path = ".".join(parts[:size])
        if all(layer.at(path) is not None for layer in layers):
            return path
    return added
