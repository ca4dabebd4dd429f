"""Run a model with its adapter's products added to the weights, at the base model's cost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from peft.tuners.lora import LoraLayer

from workbench.models import LanguageModel
from workbench.models.adapter_switch import adapter_off
from workbench.models.quantisation import require_plain_weights
from workbench.models.swap_weights import replaced_weights
from workbench.stream.model import stream_of
from workbench.teach.adapter_kind import require_mergeable


@contextmanager
def adapter_merged(lm: LanguageModel) -> Iterator[None]:
    """Let the model behave as tuned inside the block at the base model's cost: the adapter's
    products are added to the weights. A streamed model runs with the adapter as it is: its weights
    cost more to read than the products beside them.

    This is only for adapters that act on every token.

    Raises:
        WorkbenchError: for an adapter that is no sum of products, or is not on every token
            (:func:`workbench.teach.adapter_kind.require_mergeable`), and for one on quantised
            weights, which the sum would round.
    """
    require_mergeable(lm)
    require_plain_weights(lm, "Merging an adapter", "run it as it is")
    if stream_of(lm) is not None:
        yield
        return
    layers = [
        module for module in lm.model.modules() if isinstance(module, LoraLayer) and module.lora_A
    ]
    with replaced_weights() as put:
        for layer in layers:
            weight = layer.get_base_layer().weight
            added = sum(layer.get_delta_weight(name) for name in layer.active_adapters)
            put(weight, (weight.data + added).to(weight.dtype))
        with adapter_off(lm):
            yield
