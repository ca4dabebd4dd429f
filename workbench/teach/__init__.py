"""Teaching a model to say what a probe reads from it: targets, training examples, LoRA adapters and their training.

Targets are cross-fitted probabilities put on the confidence scale; the shuffled twin is the recipe's control. Adapters are
in PEFT's format, so that any program that reads it can load them.
"""

from workbench.teach.adapter import adapter_off, add_adapter, load_adapter, remove_adapter
from workbench.teach.examples import Example, build_examples, collate
from workbench.teach.targets import scale_targets, shuffled_targets
from workbench.teach.training import train_adapter

__all__ = [
    "Example",
    "adapter_off",
    "add_adapter",
    "build_examples",
    "collate",
    "load_adapter",
    "remove_adapter",
    "scale_targets",
    "shuffled_targets",
    "train_adapter",
]
