"""Find weights that two modules of a model use, most often the head and the token embedding, and
separate them.

An adapter on such a module acts on that module's output alone. Merged into the weights it would act
in both places, so it must not be: either the weights are separated first, or the adapter is left as
it is.
"""

from __future__ import annotations

from typing import Any

from peft.tuners.lora import LoraLayer
from torch import nn

from workbench.compat_processes import local_part


def sharing(model: nn.Module) -> dict[str, list[str]]:
    """Return the names of the modules whose weights other modules use too, each with the names of
    those others.
    """
    users: dict[int, list[str]] = {}
    for name, module in model.named_modules():
        for place in {_place(weight) for weight in module.parameters(recurse=False)} - {0}:
            users.setdefault(place, []).append(name)
    return {
        name: [other for other in names if other != name]
        for names in users.values()
        if len(names) > 1
        for name in names
    }


def adapted_on_shared(model: nn.Module) -> dict[str, LoraLayer]:
    """Return modules with an adapter whose weights another module uses too, by name."""
    shared = sharing(model)
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, LoraLayer) and f"{name}.base_layer" in shared
    }


def untie_adapted(model: Any) -> None:
    """Give every module with an adapter weights of its own, so that merging it changes nothing
    else.
    """
    for layer in adapted_on_shared(model).values():
        own = layer.get_base_layer()
        own.weight = nn.Parameter(own.weight.detach().clone(), requires_grad=False)
        model.config.tie_word_embeddings = False


def _place(weight: nn.Parameter) -> int:
    """Return the address of a weight's numbers; 0 for weights that are not in memory."""
    return 0 if weight.device.type == "meta" else local_part(weight).data_ptr()
