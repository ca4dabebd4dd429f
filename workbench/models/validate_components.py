"""Check that a layer's components are where the model's architecture says, on one real forward.

The stream between attention and MLP is halved in place on the way. Then, up to rounding, resid_pre
+ attn_out must be the resid_mid found, half of that + mlp_out must be resid_post, and in parallel
families resid_pre + attn_out + mlp_out must be resid_post. So each vector called added is what is
added, and a state written to resid_mid is the one the layer goes on with.

Tensors of slices must be as wide as this process's share of them. The first token attends to itself
alone, so there every head must give a multiple between 0 and 1 of its key-value head's value (less
than 1 under attention sinks): values are where the row says, and heads belong to them in the order
of the configuration. No forward of one prompt can tell whether queries and keys are exchanged; the
tests of :mod:`workbench.trace` can, by zeroing them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workbench.compat_processes import process_count
from workbench.models.components import missing_component_reason, place_of
from workbench.models.language_model import LanguageModel
from workbench.models.layer_output import Streams, hidden_argument, hidden_of
from workbench.models.slices import PROJECTIONS, SLICED, slices_of

ADDED = ("attn_out", "mlp_out")


@dataclass(frozen=True)
class Fault:
    """A finding, and the components that may be at fault for it."""

    components: tuple[str, ...]
    finding: str


def first_fault(lm: LanguageModel, ids: Tensor, tolerance: float) -> tuple[Fault | None, Tensor]:
    """Return the first component that is not where its row says, None for none, and the stream that
    enters the first layer.
    """
    seen = _observe(
        lm,
        ids,
        [
            c
            for c in ("resid_pre", "resid_mid", "resid_post", "mlp_in", *ADDED, *SLICED)
            if not missing_component_reason(lm, c)
        ],
    )
    for layer in range(lm.n_layers):
        part = {component: states for (at, component), states in seen.items() if at == layer}
        for fault in _faults(lm, layer, part, tolerance):
            return fault, seen[0, "resid_pre"]
    return None, seen[0, "resid_pre"]


def _faults(
    lm: LanguageModel, layer: int, part: dict[str, Tensor], tolerance: float
) -> Iterator[Fault]:
    for component in (name for name in SLICED if name in part):
        finding = _wrong_width(lm, layer, component, part[component])
        if finding:
            yield Fault((component,), finding)
    if "mlp_in" in part and part["mlp_in"].shape != part["resid_pre"].shape:
        shape = [*part["mlp_in"].shape]
        yield Fault(("mlp_in",), f"in layer {layer} the MLP is given a tensor of shape {shape}")
    if {"head_out", "value"} <= {*part}:
        finding = _no_shares(lm, layer, part, tolerance)
        if finding:
            yield Fault(PROJECTIONS, finding)
    for terms, total in _sums(part):
        error = (sum(part[term] for term in terms) - part[total]).abs().max() / part[
            total
        ].abs().max().clamp_min(1e-6)
        if not error <= tolerance:
            halved = "resid_mid" in part
            yield Fault(
                ("resid_mid",) if halved else ADDED,
                f"in layer {layer} {' + '.join(terms)} and {total} differ by {error:.1e} of the "
                "largest value",
            )


def _sums(part: dict[str, Tensor]) -> list[tuple[tuple[str, ...], str]]:
    if "resid_mid" not in part:
        return [(("resid_pre", *ADDED), "resid_post")] if {*ADDED} <= {*part} else []
    sums: list[tuple[tuple[str, ...], str]] = []
    if "attn_out" in part:
        sums.append((("resid_pre", "attn_out"), "resid_mid"))
    if "mlp_out" in part:
        sums.append((("half of resid_mid", "mlp_out"), "resid_post"))
    return sums


def _wrong_width(lm: LanguageModel, layer: int, component: str, states: Tensor) -> str:
    """Say where a component's tensor is not as wide as this process's share of its slices."""
    slices, processes = slices_of(lm, component), process_count(lm.base())
    assert slices is not None
    # Some plans gather the tensor in every process, as before a norm over all heads.
    if slices.total in (states.shape[-1] * processes, states.shape[-1]):
        return ""
    return (
        f"in layer {layer} the tensor of {component} has {states.shape[-1]} numbers a token, "
        f"not {slices.count} slices of {slices.size} over {processes} process(es)"
    )


def _no_shares(lm: LanguageModel, layer: int, part: dict[str, Tensor], tolerance: float) -> str:
    """Say where the first token's heads are no multiples of the first token's values."""
    heads, values = slices_of(lm, "head_out"), slices_of(lm, "value")
    assert heads is not None
    assert values is not None
    if process_count(lm.base()) > 1:
        return ""
    given = heads.split(part["head_out"][0, 0])
    value = values.split(part["value"][0, 0]).repeat_interleave(heads.count // values.count, dim=0)
    share = (given * value).sum(dim=-1) / (value * value).sum(dim=-1).clamp_min(1e-12)
    # Strong sinks leave next to nothing, which then is rounding.
    size = torch.maximum(given.abs().max(), torch.finfo(lm.dtype).eps * value.abs().max())
    error = (given - share[:, None] * value).abs().max() / size.clamp_min(1e-6)
    inside = (share >= -tolerance) & (share <= 1 + tolerance)
    if error <= tolerance and bool(inside.all()):
        return ""
    return (
        f"in layer {layer} the heads of the first token are no shares of its values (difference "
        f"{error:.1e} of the largest value, shares {share.min():.2g} to {share.max():.2g})"
    )


def _observe(
    lm: LanguageModel, ids: Tensor, components: list[str]
) -> dict[tuple[int, str], Tensor]:
    """Return float copies of every component of every layer, in units of the residual stream, from
    a forward in which the stream between attention and MLP is halved.
    """
    seen: dict[tuple[int, str], Tensor] = {}

    def keep(key: tuple[int, str], states: Tensor, scale: float) -> None:
        seen[key] = states.detach().float() * scale
        if key[1] == "resid_mid":
            states.mul_(0.5)
            seen[key[0], "half of resid_mid"] = states.float().clone()

    with ExitStack() as stack, torch.no_grad():
        for layer in range(lm.n_layers):
            for component in components:
                place = place_of(lm, layer, component)
                key, scale = (layer, component), place.scale
                if place.side == "output":
                    handle = place.module.register_forward_hook(
                        _on_output(keep, key, scale, place.streams)
                    )
                else:
                    handle = place.module.register_forward_pre_hook(
                        _on_input(keep, key, scale, place.streams), with_kwargs=True
                    )
                stack.callback(handle.remove)
        lm.decoder()(input_ids=ids, use_cache=False)
    return seen


def _on_output(
    keep: Callable[..., None], key: tuple[int, str], scale: float, streams: Streams
) -> Callable[..., None]:
    return lambda module, args, output: keep(key, hidden_of(output, streams), scale)


def _on_input(
    keep: Callable[..., None], key: tuple[int, str], scale: float, streams: Streams
) -> Callable[..., None]:
    def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        keep(key, hidden_of(hidden_argument(args, kwargs), streams), scale)

    return hook
