"""Switch the adapter on a model off for a while.

An adapter is part of the base model's modules, so it is switched there. That works on the object
that carries PEFT's wrapper and on the one from before the adapter was added. Only layers that were
on are switched on again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from peft.tuners.tuners_utils import BaseTunerLayer

from workbench.models.language_model import LanguageModel


@contextmanager
def adapter_off(lm: LanguageModel) -> Iterator[None]:
    """Let ``lm`` behave as its base model inside the block. A model without adapter is left alone.

    Dropout and gradients stay as they are.
    """
    on = [
        module
        for module in lm.base().modules()
        if isinstance(module, BaseTunerLayer) and not module.disable_adapters
    ]
    for layer in on:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in on:
            layer.enable_adapters(True)
