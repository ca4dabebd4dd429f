"""Train a model to say what a probe reads from it: targets, training examples, LoRA adapters and
their training.

Targets are cross-fitted probabilities put on the confidence scale; the same training on shuffled
targets is the recipe's control. Adapters are in PEFT's format, so that any program that reads it
can load them.

The names below are imported when they are first used, so that loading an adapter needs no trainer.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.models.adapter_switch import adapter_off
    from workbench.teach.adapter import add_adapter, load_adapter, remove_adapter
    from workbench.teach.examples import Example, distribution_examples, text_examples
    from workbench.teach.targets import scale_targets, shuffled_targets, spread_targets
    from workbench.teach.training import train_adapter
    from workbench.teach.training_forward import Reply

_MODULES = {
    "Example": "workbench.teach.examples",
    "Reply": "workbench.teach.training_forward",
    "adapter_off": "workbench.models.adapter_switch",
    "add_adapter": "workbench.teach.adapter",
    "distribution_examples": "workbench.teach.examples",
    "load_adapter": "workbench.teach.adapter",
    "remove_adapter": "workbench.teach.adapter",
    "scale_targets": "workbench.teach.targets",
    "shuffled_targets": "workbench.teach.targets",
    "spread_targets": "workbench.teach.targets",
    "text_examples": "workbench.teach.examples",
    "train_adapter": "workbench.teach.training",
}
__all__ = [
    "Example",
    "Reply",
    "adapter_off",
    "add_adapter",
    "distribution_examples",
    "load_adapter",
    "remove_adapter",
    "scale_targets",
    "shuffled_targets",
    "spread_targets",
    "text_examples",
    "train_adapter",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value
