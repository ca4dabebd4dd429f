"""The backend on transformer-lens: its bridge around a copy of the model, hooks by its own names.

The bridge renames parameters, puts its components in the place of the model's modules and switches
attention to eager, all in place and for good. So it gets a model object of its own: a copy of the
loaded one (twice the memory), or one the caller loaded for it and gives up. No weights are folded
or centred, so states are those of the model. A PEFT adapter that is switched on is merged into the
copy *before* the bridge is built: inside it, its tools would read the weights without it. Weights
it stands on are separated from those of other modules (a head from the embedding) before that.

A hook changes its tensor in place and returns it: the stream behind attention is hooked where the
norm before the MLP takes it in, and only a change in place also reaches the addition behind the
MLP.

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
from workbench.models.sharing import untie_adapted
from workbench.trace.backends.inputs import (
    BatchWrite,
    model_inputs,
    require_every_token,
    require_one_process,
)
from workbench.trace.backends.protocol import PositionRows, TokenRows
from workbench.trace.backends.strings import join_strings, record_strings, string_batches
from workbench.trace.interventions import Branch, Patched, Readout
from workbench.trace.layout import Prompts, pad_prompts
from workbench.trace.sites import Component, Site
from workbench.trace.token_tree import NO_TREE, TokenTree
from workbench.trace.unpadded import String

HOOKS: dict[Component, str] = {
    "resid_pre": "blocks.{layer}.hook_resid_pre",
    "resid_mid": "blocks.{layer}.hook_resid_mid",
    "resid_post": "blocks.{layer}.hook_resid_post",
    "attn_out": "blocks.{layer}.hook_attn_out",
    "mlp_out": "blocks.{layer}.hook_mlp_out",
    "head_out": "blocks.{layer}.attn.hook_z",
    "query": "blocks.{layer}.attn.hook_q",
    "key": "blocks.{layer}.attn.hook_k",
    "value": "blocks.{layer}.attn.hook_v",
    "neuron": "blocks.{layer}.mlp.hook_post",
}

Hook = Callable[..., Tensor]


def hook_name(site: Site) -> str:
    """transformer-lens' name of a site; slices of a component share one."""
    return HOOKS[site.component].format(layer=site.layer)


class LensBackend:
    """Records and patches through :attr:`bridge`, a TransformerBridge that may be used for
    anything else, too.
    """

    bridge: TransformerBridge

    def __init__(self, lm: LanguageModel, model: Any = None) -> None:
        """Build the bridge.

        Args:
            lm: the model; left as it is.
            model: a loaded Hugging Face model with the same weights that the bridge may keep and
                change. By default a copy of ``lm``'s is made, which takes its memory once more.
        """
        require_one_process(lm, "transformer-lens")
        require_every_token(lm, "transformer-lens")
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
        """See :class:`~workbench.trace.backends.protocol.Backend`; one forward."""

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
        """See :class:`~workbench.trace.backends.protocol.Backend`; a forward for each branch and
        one without.
        """
        batches = string_batches(self.lm, prompts, branches, tree, tokens_per_forward, self._device)
        for patch in (patch for branch in branches for patch in branch):
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
        """Float32 logits [rows, vocab] behind the last token."""
        inputs = model_inputs(batch)
        with torch.no_grad(), model_arithmetic(self.lm), self.bridge.hooks(fwd_hooks=list(hooks)):
            return self.bridge(inputs.pop("input_ids"), return_type="logits", **inputs)[
                :, -1
            ].float()

    def _reachable(self, site: Site) -> str:
        name = hook_name(site)
        if name in self.bridge.hook_dict:
            return name
        raise WorkbenchError(
            f"The transformer-lens backend cannot reach {site.component} of layer {site.layer}: "
            "its bridge of "
            f"{self.lm.architecture.family} has no {name}; use the 'packed' engine."
        )


def _plain_copy(model: Any) -> Any:
    """A copy without adapters: merged where they are switched on, left out where they are off."""
    own = copy.deepcopy(model)
    if not isinstance(own, PeftModel):
        return own
    off = any(getattr(module, "disable_adapters", False) is True for module in own.modules())
    if off:
        return own.unload()
    untie_adapted(own.get_base_model())
    return own.merge_and_unload()


def _give_tokenizer(bridge: TransformerBridge, tokenizer: Any) -> None:
    """The model's tokenizer for the bridge's text tools, which then add no BOS: prompts here carry
    their own.

    Handed to the bridge's builder it would be loaded anew, to add one.
    """
    bridge.tokenizer = copy.copy(tokenizer)
    first = tokenizer("a")["input_ids"][0]
    bridge.cfg.tokenizer_prepends_bos = first == tokenizer.bos_token_id
    bridge.cfg.default_prepend_bos = bridge.cfg.tokenizer_prepends_bos


def _part(site: Site, hidden: Tensor) -> Tensor:
    """View [rows, columns, width] of what belongs to ``site`` in what its hook point hands over."""
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
        part = _part(write.site, hidden)
        column = write.columns.to(part.device)
        row = write.rows.to(part.device)
        new = write.value.to(part.device, part.dtype)
        part[row, column] = part[row, column] + new if write.add else new
        return hidden

    return hook
