"""Record and patch with transformer-lens: its bridge around a copy of the model, hooks by its
names.

The bridge renames parameters, puts its components in the place of the model's modules and switches
attention to eager, all in place and permanently. So it gets a model object of its own: a copy of
the loaded one (twice the memory), or one the caller loaded for it alone. No weights are folded or
centred, so states are those of the model. A PEFT adapter that is switched on is merged into the
copy *before* the bridge is built, because the bridge's tools would read the weights without it.
Before that, weights that it adapts and that other modules share are separated (a head from the
embedding).

A hook changes its tensor in place and returns it: the stream after attention is hooked where the
norm before the MLP takes it in, and only a change in place also reaches the addition after the MLP.
What the MLP itself is given is changed in a copy.

The copy is taken when the backend is built: weights and adapters changed later are not seen.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources import build_bridge_from_module

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel, model_arithmetic
from workbench.models.quantisation import require_plain_weights
from workbench.models.sharing import untie_adapted
from workbench.trace.backends.inputs import (
    BatchWrite,
    model_inputs,
    require_every_token,
    require_whole_model,
)
from workbench.trace.backends.protocol import PositionRows, TokenRows
from workbench.trace.backends.strings import join_strings, record_strings, string_batches
from workbench.trace.interventions import Branch, Patched, Readout, patches_of
from workbench.trace.layout import Prompts, pad_prompts
from workbench.trace.sites import Component, Site
from workbench.trace.token_tree import NO_TREE, TokenTree
from workbench.trace.unpadded import String

HOOKS: dict[Component, str] = {
    "resid_pre": "blocks.{layer}.hook_resid_pre",
    "resid_mid": "blocks.{layer}.hook_resid_mid",
    "resid_post": "blocks.{layer}.hook_resid_post",
    "attn_out": "blocks.{layer}.hook_attn_out",
    "mlp_in": "blocks.{layer}.mlp.hook_in",
    "mlp_out": "blocks.{layer}.hook_mlp_out",
    "head_out": "blocks.{layer}.attn.hook_z",
    "query": "blocks.{layer}.attn.hook_q",
    "key": "blocks.{layer}.attn.hook_k",
    "value": "blocks.{layer}.attn.hook_v",
    "neuron": "blocks.{layer}.mlp.hook_post",
}

Hook = Callable[..., Tensor]


def hook_name(site: Site) -> str:
    """Return transformer-lens' name of a site's hook; slices of a component share one."""
    return HOOKS[site.component].format(layer=site.layer)


class LensBackend:
    """A backend that records and patches through :attr:`bridge`, a TransformerBridge that may also
    be used for anything else.
    """

    bridge: TransformerBridge

    def __init__(self, lm: LanguageModel, model: Any = None) -> None:
        """Build the bridge.

        Args:
            lm: the model; left as it is.
            model: a loaded Hugging Face model with the same weights that the bridge may keep and
                change. By default a copy of ``lm``'s is made, which takes its memory once more.

        Raises:
            WorkbenchError: for a tensor-parallel or quantised model, a switched-on adapter on a
                prompt's last tokens, and the model itself as ``model``.
        """
        require_whole_model(lm, "transformer-lens")
        require_every_token(lm, "transformer-lens")
        require_plain_weights(lm, "The transformer-lens backend", "use the 'packed' engine")
        if model is lm.model or model is lm.base():
            raise WorkbenchError(
                "The bridge would change this model in place: give it one of its own, or leave "
                "model out."
            )
        self.lm = lm
        own = _plain_copy(lm.model) if model is None else model
        own.set_attn_implementation("eager")
        self._device = own.get_input_embeddings().weight.device
        self.bridge = build_bridge_from_module(
            own, type(own).__name__, hf_config=copy.deepcopy(own.config), model_name=lm.name
        )
        _give_tokenizer(self.bridge, lm.tokenizer)

    def record(
        self,
        prompts: TokenRows,
        positions: PositionRows,
        sites: Sequence[Site],
        *,
        tree: TokenTree = NO_TREE,
    ) -> Tensor:
        """Record states as :class:`~workbench.trace.backends.protocol.Backend` says, in one
        forward.

        Raises:
            WorkbenchError: as there, and for a site the bridge has no hook for.
        """

        def states(strings: list[String], tokens: list[list[int]]) -> Tensor:
            batch = pad_prompts(
                [string.tokens for string in strings], self.lm.tokenizer.pad_token_id, self._device
            )
            columns = batch.column_of(torch.tensor(tokens))
            taken: dict[Site, Tensor] = {}
            hooks = [
                (self._reachable(site), _reader(site, columns, taken))
                for site in dict.fromkeys(sites)
            ]
            self._logits(batch, hooks)
            return torch.stack([taken[site].to(self._device) for site in sites], dim=1)

        return record_strings(self.lm, prompts, positions, sites, tree, states)

    def patch(
        self,
        prompts: TokenRows,
        branches: Sequence[Branch],
        readout: Readout,
        *,
        tokens_per_forward: int,
        tree: TokenTree = NO_TREE,
    ) -> Patched:
        """Patch branches as :class:`~workbench.trace.backends.protocol.Backend` says, with a
        forward for each branch and one without.

        Raises:
            WorkbenchError: as there, and for a site the bridge has no hook for.
        """
        batches = string_batches(self.lm, prompts, branches, tree, tokens_per_forward, self._device)
        for patch in (patch for branch in branches for patch in patches_of(branch)):
            self._reachable(patch.site)
        readings = (
            [
                readout(
                    self._logits(
                        batch.prompts, [(hook_name(write.site), _writer(write)) for write in writes]
                    )
                )
                for writes in ((), *batch.programs)
            ]
            for batch in batches
        )
        return join_strings(batches, readings, len(prompts), tree)

    def _logits(self, batch: Prompts, hooks: Sequence[tuple[str, Hook]]) -> Tensor:
        """Return the float32 logits [rows, vocab] after the last token."""
        inputs = model_inputs(batch)
        with torch.no_grad(), model_arithmetic(self.lm), self.bridge.hooks(fwd_hooks=list(hooks)):
            return self.bridge(inputs.pop("input_ids"), return_type="logits", **inputs)[
                :, -1
            ].float()

    def _reachable(self, site: Site) -> str:
        """Return the name of a site's hook.

        Raises:
            WorkbenchError: if the bridge has no such hook.
        """
        name = hook_name(site)
        if name in self.bridge.hook_dict:
            return name
        raise WorkbenchError(
            f"The transformer-lens backend cannot reach {site.component} of layer {site.layer}: "
            "its bridge of "
            f"{self.lm.architecture.family} has no {name}; use the 'packed' engine."
        )


def _plain_copy(model: Any) -> Any:
    """Copy a model without adapters: merged where they are switched on, left out where they are
    off.

    Raises:
        WorkbenchError: for an adapter that PEFT cannot merge, such as one with biases.
    """
    try:
        own = copy.deepcopy(model)
        if not isinstance(own, PeftModel):
            return own
        off = any(getattr(module, "disable_adapters", False) is True for module in own.modules())
        if off:
            return own.unload()
        untie_adapted(own.get_base_model())
        return own.merge_and_unload()
    except RuntimeError as error:
        raise WorkbenchError(
            "The transformer-lens backend merges adapters into a copy of the model, and PEFT "
            f"cannot merge this one ({str(error).splitlines()[0][:200]}); use the 'packed' engine."
        ) from error


def _give_tokenizer(bridge: TransformerBridge, tokenizer: Any) -> None:
    """Give the bridge the model's tokenizer for its text tools, which then add no BOS: prompts here
    carry their own.

    The bridge's builder would load the tokenizer anew, to add one.
    """
    bridge.tokenizer = copy.copy(tokenizer)
    first = tokenizer("a")["input_ids"][0]
    bridge.cfg.tokenizer_prepends_bos = first == tokenizer.bos_token_id
    bridge.cfg.default_prepend_bos = bridge.cfg.tokenizer_prepends_bos


def _part(site: Site, hidden: Tensor) -> Tensor:
    """Return a view [rows, columns, width] of the part of a hook point's tensor that belongs to
    ``site``.
    """
    if site.index is None:
        return hidden
    if site.component == "neuron":
        return hidden[:, :, site.index : site.index + site.span]
    return hidden[:, :, site.index]


def _reader(site: Site, columns: Tensor, taken: dict[Site, Tensor]) -> Hook:
    def hook(hidden: Tensor, hook: Any) -> Tensor:
        part = _part(site, hidden)
        index = columns.to(part.device)[:, :, None].expand(-1, -1, part.shape[-1])
        taken[site] = part.gather(1, index)
        return hidden

    return hook


def _writer(write: BatchWrite) -> Hook:
    def hook(hidden: Tensor, hook: Any) -> Tensor:
        if write.site.component == "mlp_in":
            hidden = hidden.clone()  # where there is no norm before the MLP, this is the stream
        part = _part(write.site, hidden)
        column = write.columns.to(part.device)
        row = write.rows.to(part.device)
        own, new = part[row, column], write.value.to(part.device)
        if write.subspace is not None:
            new = write.subspace.change(own, new, write.factor)
        new = new.to(part.dtype)
        part[row, column] = own + new if write.add else new
        return hidden

    return hook
