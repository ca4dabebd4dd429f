"""Read a model's shape without its weights: from its configuration, with its modules built on no
device.

The shape says before a model is loaded how many layers it has, how wide it is, and which linear
modules can have an adapter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig
from transformers.pytorch_utils import Conv1D

from workbench.config import ModelSettings
from workbench.models.source import explain_errors, find_source
from workbench.models.weights import class_of


@dataclass(frozen=True)
class ModelShape:
    """The shape of a model that settings name.

    Attributes:
        name: how the model was asked for.
        n_layers: decoder layers.
        width: of the residual stream.
        linear: last part of a linear module's name -> how many layers or places have one.
    """

    name: str
    n_layers: int
    width: int
    linear: Mapping[str, int]


def read_shape(settings: ModelSettings) -> ModelShape:
    """Return the shape of the model that ``settings`` name.

    Raises:
        WorkbenchError: as for loading it, as far as its configuration shows.
    """
    source = find_source(settings.name, None, None)
    with explain_errors(settings.name):
        options = {"trust_remote_code": settings.trust_remote_code, "revision": source.revision}
        config = AutoConfig.from_pretrained(source.place, **options)
        model = build_on_meta(config, settings.trust_remote_code)
    text = model.config.get_text_config()
    linear: dict[str, int] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | Conv1D):
            last = name.rpartition(".")[2]
            linear[last] = linear.get(last, 0) + 1
    return ModelShape(settings.name, int(text.num_hidden_layers), int(text.hidden_size), linear)


def build_on_meta(config: Any, trust_remote_code: bool = False) -> Any:
    """Return the transformers model of a configuration with its weights on no device."""
    with torch.device("meta"):
        return class_of(config).from_config(config, trust_remote_code=trust_remote_code)
