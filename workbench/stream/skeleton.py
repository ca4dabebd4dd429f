"""Build a model of which everything but the decoder layers' weights is in memory.

Parameters are created on the meta device, where they take no memory; buffers that are computed from
the configuration, as rotary frequencies are, are real from the start. What stands outside the
layers, embedding, final norm and head, is then filled from the checkpoint, as views of its files
where dtype and device allow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from workbench.errors import WorkbenchError
from workbench.models.weights import Kernel, build_empty
from workbench.stream.checkpoint_names import ParameterSource, parameter_sources
from workbench.stream.layer_weights import LayerWeights, put, read_parameters, slot_of
from workbench.stream.stored_tensors import stored_tensors


def build_skeleton(
    name: str,
    folder: Path,
    config: Any,
    *,
    dtype: torch.dtype,
    device: torch.device,
    attention: Kernel = "sdpa",
    trust_remote_code: bool = False,
) -> tuple[Any, LayerWeights]:
    """Return a transformers model without its layers' weights, frozen and in evaluation mode, and
    what reads these.

    Args:
        name: what errors call the model.
        folder: with the checkpoint's safetensors files.
        config: the model's configuration.
        dtype, device: of the weights where they compute.

    Raises:
        WorkbenchError: for a checkpoint that cannot be read layer by layer, and for a model with
            more than one list of layers as long as its configuration counts, or none.
    """
    model = build_empty(
        config, dtype, attention, trust_remote_code=trust_remote_code, with_buffers=True
    )
    sources = parameter_sources(model, stored_tensors(folder), name)
    path = layers_path(model, name)
    of_layers, outside = _by_layer(sources, path, len(model.get_submodule(path)))
    dtypes = {key: value.dtype for key, value in model.state_dict().items()}
    for key, value in read_parameters(model, outside, dtypes, device).items():
        put(slot_of(model, key), value)
    model.tie_weights()
    _move_buffers(model, device)
    _require_filled(model, path, name)
    return model, LayerWeights(model, of_layers, device)


def layers_path(model: Any, name: str) -> str:
    """Return the path of the model's list of decoder layers: the only list of modules as long as
    its configuration counts layers.

    Raises:
        WorkbenchError: where there is no such list, or several.
    """
    count = getattr(model.config.get_text_config(), "num_hidden_layers", None)
    found = [
        path
        for path, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == count
    ]
    outer = [path for path in found if not any(path.startswith(f"{other}.") for other in found)]
    if len(outer) != 1:
        raise WorkbenchError(
            f"the model {name!r} has {len(outer)} lists of {count} layers, and one is needed to "
            "read it layer by layer: leave out placement=stream"
        )
    return outer[0]


def _by_layer(
    sources: Sequence[ParameterSource], path: str, count: int
) -> tuple[list[list[ParameterSource]], list[ParameterSource]]:
    """Return the sources of every layer's parameters, and those of all others."""
    layers: list[list[ParameterSource]] = [[] for _ in range(count)]
    outside: list[ParameterSource] = []
    for source in sources:
        inside = re.match(rf"{re.escape(path)}\.(\d+)\.", source.name)
        (layers[int(inside.group(1))] if inside else outside).append(source)
    return layers, outside


def _move_buffers(model: nn.Module, device: torch.device) -> None:
    for path, buffer in list(model.named_buffers()):
        if buffer.device != device and buffer.device.type != "meta":
            put(slot_of(model, path), buffer.to(device))


def _require_filled(model: nn.Module, layers: str, name: str) -> None:
    """Refuse a model that still lacks weights outside its layers.

    Raises:
        WorkbenchError: naming the first of them.
    """
    empty = [
        path
        for path, value in (*model.named_parameters(), *model.named_buffers())
        if value.device.type == "meta" and not path.startswith(f"{layers}.")
    ]
    if empty:
        raise WorkbenchError(
            f"the checkpoint of {name!r} fills no {', '.join(empty[:3])}, so it cannot be read "
            "layer by layer: leave out placement=stream"
        )
