"""Turn recorded states into a transformer-lens ActivationCache, for use with its tools.

The cache's position axis holds the positions that were recorded, in their order, not the whole
sequence. It has exactly the states that were passed in: a method that needs others
(``decompose_resid`` the outputs of every layer, ``compute_head_results`` every head) raises
transformer-lens' ``KeyError``.

Where the last layer's ``resid_post`` is recorded, scales of the final norm are added, computed by
the bridge's norm from that state, because direct logit attribution
(``decompose_resid(apply_ln=True)``, ``logit_attrs``) divides by them. The bridge's weights are not
folded, so ``logit_attrs`` leaves the final norm's weight out: exact where it is one, and otherwise
to be multiplied into the directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformer_lens import ActivationCache

from workbench.errors import WorkbenchError
from workbench.trace.backends.lens import hook_name
from workbench.trace.sites import Site

FINAL_SCALE = "ln_final.hook_scale"


def to_activation_cache(
    states: Tensor,
    sites: Sequence[Site],
    bridge: Any,
    heads: tuple[Tensor, Sequence[Site]] | None = None,
) -> ActivationCache:
    """Return an ActivationCache of recorded states.

    Args:
        states: [rows, sites, positions, width], as a backend's ``record`` returns them.
        sites: what the second axis holds.
        bridge: the TransformerBridge of the same model (``LensBackend(lm).bridge``), whose weights
            the cache's tools use.
        heads: states and sites of heads, which have another width, to go into the same cache.

    Raises:
        WorkbenchError: when sites and states differ in number, when a layer's heads are not all
            there, and for single neurons.
    """
    entries = _entries(states, sites, bridge)
    if heads is not None:
        entries |= _entries(*heads, bridge)
    last = f"blocks.{bridge.cfg.n_layers - 1}.hook_resid_post"
    if last in entries:
        entries[FINAL_SCALE] = _final_scale(bridge, entries[last])
    return ActivationCache(entries, bridge)


def _entries(states: Tensor, sites: Sequence[Site], bridge: Any) -> dict[str, Tensor]:
    if states.dim() != 4 or states.shape[1] != len(sites):
        raise WorkbenchError(
            f"States must be [rows, sites, positions, width] with one entry a site, "
            f"got {tuple(states.shape)} for {len(sites)} sites."
        )
    axis = {site: index for index, site in enumerate(sites)}
    entries = {
        hook_name(site): states[:, index] for site, index in axis.items() if site.index is None
    }
    sliced = {(site.layer, site.component) for site in sites if site.index is not None}
    for layer, component in sorted(sliced):
        if component == "neuron":
            raise WorkbenchError("An ActivationCache takes no single neurons; leave them out.")
        keys = getattr(bridge.cfg, "n_key_value_heads", None) or bridge.cfg.n_heads
        count = keys if component in ("key", "value") else bridge.cfg.n_heads
        every = [Site(layer, component, head) for head in range(count)]
        missing = [str(site.index) for site in every if site not in axis]
        name = hook_name(every[0])
        if missing:
            raise WorkbenchError(
                f"{name.rpartition('.')[2]} holds all heads of a layer and layer {layer} lacks "
                f"{', '.join(missing)}: record all {len(every)} of them."
            )
        entries[name] = torch.stack([states[:, axis[site]] for site in every], dim=2)
    return entries


def _final_scale(bridge: Any, resid_post: Tensor) -> Tensor:
    """Return the final norm's divisor [rows, positions, 1] of the states, by the bridge's norm."""
    found: list[Tensor] = []

    def take(scale: Tensor, hook: Any) -> None:
        found.append(scale.detach().clone())

    with torch.no_grad(), bridge.hooks(fwd_hooks=[(FINAL_SCALE, take)]):
        bridge.ln_final(resid_post)
    return found[0]
