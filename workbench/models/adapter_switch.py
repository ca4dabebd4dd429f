"""Switch the adapter on a model off for a while, in all layers or in some.

An adapter is part of the base model's modules, so it is switched there. That works on the object
that carries PEFT's wrapper and on the one from before the adapter was added. Only layers that were
on are switched on again.

What is off now is known as a whole (:func:`switched_off`), so that computations that take turns in
one thread, each with its own idea of what is on, can be told apart (:mod:`workbench.stream.tasks`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from workbench.models.language_model import LanguageModel


@contextmanager
def adapter_off(lm: LanguageModel) -> Iterator[None]:
    """Let ``lm`` behave as its base model inside the block. A model without adapter is left alone.

    Dropout and gradients stay as they are.
    """
    with _switched_off(lm.base().modules()):
        yield


@contextmanager
def adapter_only_in(lm: LanguageModel, layers: Collection[int]) -> Iterator[None]:
    """Switch the adapter off in every decoder layer but ``layers`` inside the block. What an
    adapter has outside the layers stays on.
    """
    others = (layer for number, layer in enumerate(lm.layers()) if number not in layers)
    with _switched_off(module for layer in others for module in layer.modules()):
        yield


def switched_off() -> tuple[nn.Module, ...]:
    """Return the parts of adapters that blocks have switched off now, in the order they did."""
    return _off


def switch_to(off: tuple[nn.Module, ...]) -> None:
    """Have the parts ``off`` off, and all others on that :func:`switched_off` returns."""
    global _off
    before, _off = _off, off
    if before is off:
        return
    wanted, were = set(off), set(before)
    for part in before:
        if part not in wanted:
            part.enable_adapters(True)  # type: ignore[operator]
    for part in off:
        if part not in were:
            part.enable_adapters(False)  # type: ignore[operator]


_off: tuple[nn.Module, ...] = ()


@contextmanager
def _switched_off(modules: Iterable[nn.Module]) -> Iterator[None]:
    before = switched_off()
    on = [
        module
        for module in modules
        if isinstance(module, BaseTunerLayer) and not module.disable_adapters
    ]
    switch_to((*before, *on))
    try:
        yield
    finally:
        switch_to(before)
