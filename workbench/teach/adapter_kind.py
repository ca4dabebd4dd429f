"""Check what kind of adapter a folder or a model holds: whether switching it off leaves the base
model, and whether its products can be added to the weights.

The base run and the tuned run are one set of weights, with LoRA's products off and on. Whatever
else PEFT trains stays in the model when these are off: whole modules, biases, rows of the
embedding, and weights that an initialisation changed. Such an adapter is refused, because its base
run would be no base model's. Merging adds B A to a linear weight. A variant that scales the weight
(DoRA), adds a bias, acts on the embedding, or acts on a weight that another module uses too is
another sum and is run as it is.

A folder that is taken may still be an adapter of another model; its weights say so when they are
loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftConfig
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers.pytorch_utils import Conv1D

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.sharing import adapted_on_shared

PLAIN: dict[str, tuple[Any, ...]] = {
    "bias": ("none",),
    "modules_to_save": (None, []),
    "trainable_token_indices": (None, [], {}),
    "layer_replication": (None, []),
    "init_lora_weights": (True, False, "gaussian", "eva", "orthogonal"),
}
"""Entries of a LoRA configuration that could change more than is switched off, with the values at
which they do not.
"""


def require_switchable(folder: Path) -> None:
    """Refuse a saved adapter that would leave more than the base model when it is switched off.

    Raises:
        WorkbenchError: for such an adapter; PEFT's own errors pass through.
    """
    config: Any = PeftConfig.from_pretrained(str(folder))
    if not isinstance(config, LoraConfig):
        raise WorkbenchError(
            f"The adapter in {folder} is of PEFT's kind {config.peft_type!s}; the workbench "
            "switches LoRA adapters, so train one of these."
        )
    for name, values in PLAIN.items():
        found = getattr(config, name)
        if found not in values:
            raise WorkbenchError(
                f"The adapter in {folder} sets {name} to {str(found)[:80]}, which changes more of "
                "the model than is switched off with it, so there would be no base run; train it "
                f"with {name} at {values[0]}, or merge it and load the result as a model."
            )


def require_mergeable(lm: LanguageModel) -> None:
    """Refuse an adapter whose effect is not a product added to a weight of its own.

    Raises:
        WorkbenchError: for such an adapter, and one that acts on the reply alone.
    """
    if lm.invocation_length is not None:
        raise WorkbenchError(
            "An adapter that acts on the reply alone cannot be merged into the weights; run it as "
            "it is."
        )
    for name in adapted_on_shared(lm.model):
        raise WorkbenchError(
            f"The adapter adapts {name.rpartition('.')[2]}, whose weights another module uses "
            "too, so it cannot be merged into them; run it as it is."
        )
    for name, why in _more_than_products(lm.model):
        raise WorkbenchError(
            f"The adapter {why} in {name.rpartition('.')[2]}, which is more than a product added "
            "to its weight, so it cannot be merged; run it as it is."
        )


def _more_than_products(model: nn.Module) -> Iterator[tuple[str, str]]:
    for name, module in model.named_modules():
        if not isinstance(module, LoraLayer):
            continue
        if not isinstance(module.get_base_layer(), nn.Linear | Conv1D):
            yield (
                name,
                f"adapts no linear map but a module {type(module.get_base_layer()).__name__}",
            )
        elif module.lora_variant:
            yield (
                name,
                f"is of the variant {type(next(iter(module.lora_variant.values()))).__name__}",
            )
        elif any(module.lora_bias.values()):
            yield name, "has a bias"
