"""Teaching a model to say what a probe reads from it: targets, training examples, LoRA adapters and
their training.

Targets are cross-fitted probabilities put on the confidence scale; the shuffled twin is the
recipe's control. Adapters are in PEFT's format, so that any program that reads it can load them.
"""

from workbench.models.adapter_switch import adapter_off
from workbench.teach.adapter import add_adapter, load_adapter, remove_adapter
from workbench.teach.examples import Example, distribution_examples, text_examples
from workbench.teach.targets import scale_targets, shuffled_targets, spread_targets
from workbench.teach.training import train_adapter
from workbench.teach.training_forward import Reply

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
