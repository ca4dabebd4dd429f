"""Check that a layer's components are where the family's row says, on one real forward.

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

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from workbench.compat import process_count
from workbench.models.components import missing_component_reason, place_of
from workbench.models.language_model import LanguageModel
from workbench.models.layer_output import hidden_argument, hidden_of
from workbench.models.slices import SLICED, slices_of

ADDED = ("attn_out", "mlp_out")
Report = Callable[[str], Exception]


def check_components(lm: LanguageModel, ids: Tensor, tolerance: float, broken: Report) -> Tensor:
    """Refuse the first component that is not where its row says.

    Raises:
        Exception: ``broken(finding)``, for such a component.
    """
    seen = _observe(
        lm,
        ids,
        [
            c
            for c in ("resid_pre", "resid_mid", "resid_post", *ADDED, *SLICED)
            if not missing_component_reason(lm, c)
        ],
    )
    for layer in range(lm.n_layers):
        part = {component: states for (at, component), states in seen.items() if at == layer}
        for component in (name for name in SLICED if name in part):
            _check_slices(lm, layer, component, part[component], broken)
        if {"head_out", "value"} <= {*part}:
            _check_values(lm, layer, part, tolerance, broken)
        for terms, total in _sums(part):
            error = (sum(part[term] for term in terms) - part[total]).abs().max() / part[
                total
            ].abs().max().clamp_min(1e-6)
            if not error <= tolerance:
                raise broken(
                    f"in layer {layer} {' + '.join(terms)} and {total} differ by {error:.1e} of "
                    "the largest value"
                )

    return seen[0, "resid_pre"]


def _sums(part: dict[str, Tensor]) -> list[tuple[tuple[str, ...], str]]:
    if "resid_mid" not in part:
        return [(("resid_pre", *ADDED), "resid_post")] if {*ADDED} <= {*part} else []
    sums: list[tuple[tuple[str, ...], str]] = []
    if "attn_out" in part:
        sums.append((("resid_pre", "attn_out"), "resid_mid"))
    if "mlp_out" in part:
        sums.append((("half of resid_mid", "mlp_out"), "resid_post"))
    return sums


def _check_slices(
    lm: LanguageModel, layer: int, component: str, states: Tensor, broken: Report
) -> None:
    """Check that a component's tensor is as wide as this process's share of its slices.

    Raises:
        Exception: ``broken(finding)``, if it is not.
    """
    slices, processes = slices_of(lm, component), process_count(lm.base())
    assert slices is not None
    # Some plans gather the tensor in every process, as before a norm over all heads.
    if slices.total not in (states.shape[-1] * processes, states.shape[-1]):
        raise broken(
            f"in layer {layer} the tensor of {component} has {states.shape[-1]} numbers a token, "
            f"not {slices.count} slices of {slices.size} over {processes} process(es)"
        )


def _check_values(
    lm: LanguageModel, layer: int, part: dict[str, Tensor], tolerance: float, broken: Report
) -> None:
    """Check that the first token's heads are multiples of the first token's values.

    Raises:
        Exception: ``broken(finding)``, if one is not.
    """
    heads, values = slices_of(lm, "head_out"), slices_of(lm, "value")
    assert heads is not None
    assert values is not None
    if process_count(lm.base()) > 1:
        return
    given = heads.split(part["head_out"][0, 0])
    value = values.split(part["value"][0, 0]).repeat_interleave(heads.count // values.count, dim=0)
    share = (given * value).sum(dim=-1) / (value * value).sum(dim=-1).clamp_min(1e-12)
    # Strong sinks leave next to nothing, which then is rounding.
    size = torch.maximum(given.abs().max(), torch.finfo(lm.dtype).eps * value.abs().max())
    error = (given - share[:, None] * value).abs().max() / size.clamp_min(1e-6)
    inside = (share >= -tolerance) & (share <= 1 + tolerance)
    if not (error <= tolerance and bool(inside.all())):
        raise broken(
            f"in layer {layer} the heads of the first token are no shares of its values "
            f"(difference {error:.1e} of the largest value, shares {share.min():.2g} to "
            f"{share.max():.2g})"
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
                    handle = place.module.register_forward_hook(_on_output(keep, key, scale))
                else:
                    handle = place.module.register_forward_pre_hook(
                        _on_input(keep, key, scale), with_kwargs=True
                    )
                stack.callback(handle.remove)
        lm.decoder()(input_ids=ids, use_cache=False)
    return seen


def _on_output(
    keep: Callable[..., None], key: tuple[int, str], scale: float
) -> Callable[..., None]:
    return lambda module, args, output: keep(key, hidden_of(output), scale)


def _on_input(keep: Callable[..., None], key: tuple[int, str], scale: float) -> Callable[..., None]:
    def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        keep(key, hidden_argument(args, kwargs), scale)

    return hook
