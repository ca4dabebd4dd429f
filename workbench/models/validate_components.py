"""Checks that a layer's components are where the family's row says, on one real forward.

The stream between attention and MLP is halved in place on the way. Then, up to rounding, resid_pre
+ attn_out must be the resid_mid found, half of that + mlp_out must be resid_post, and in parallel
families resid_pre + attn_out + mlp_out must be resid_post. So each vector called added is what is
added, and a state written to resid_mid is the one the layer goes on with. The output projection's
input must be as wide as this process's query heads.
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
from workbench.models.layer_output import hidden_of

ADDED = ("attn_out", "mlp_out")
Report = Callable[[str], Exception]


def check_components(lm: LanguageModel, ids: Tensor, tolerance: float, broken: Report) -> None:
    """Raise ``broken(finding)`` for the first component that is not where its row says."""
    seen = _observe(
        lm,
        ids,
        [
            c
            for c in ("resid_pre", "resid_mid", "resid_post", *ADDED, "head_out")
            if not missing_component_reason(lm, c)
        ],
    )
    for layer in range(lm.n_layers):
        part = {component: states for (at, component), states in seen.items() if at == layer}
        if "head_out" in part:
            _check_heads(lm, layer, part["head_out"], broken)
        for terms, total in _sums(part):
            error = (sum(part[term] for term in terms) - part[total]).abs().max() / part[
                total
            ].abs().max().clamp_min(1e-6)
            if not error <= tolerance:
                raise broken(
                    f"in layer {layer} {' + '.join(terms)} and {total} differ by {error:.1e} of "
                    "the largest value"
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


def _check_heads(lm: LanguageModel, layer: int, states: Tensor, broken: Report) -> None:
    processes = process_count(lm.base())
    if states.shape[-1] * processes != lm.n_heads * lm.head_size:
        raise broken(
            f"in layer {layer} the attention's output projection reads {states.shape[-1]} numbers "
            "a token, not "
            f"{lm.n_heads} heads of {lm.head_size} over {processes} process(es)"
        )


def _observe(
    lm: LanguageModel, ids: Tensor, components: list[str]
) -> dict[tuple[int, str], Tensor]:
    """Float copies of every component of every layer, in units of the residual stream."""
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
        keep(key, args[0] if args else kwargs["hidden_states"], scale)

    return hook
