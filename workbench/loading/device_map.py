"""Say which part of a model lies on which device, by accelerate's rules.

A map names the device of every part; layers are never cut. Parts go to the devices in order, so
that a pass crosses from one to the next once. Parts without weights, such as rotary embeddings, go
to the device of the token embedding: they only need what lies there.

Weights that no device has room for would be kept in memory or on the disk and read again for every
batch. Such a map is refused, because a streamed model reads them once for all batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from accelerate import infer_auto_device_map, init_empty_weights
from accelerate.utils import convert_file_size_to_int, get_balanced_memory

from workbench.compat_processes import uncut_classes
from workbench.errors import WorkbenchError
from workbench.models.weights import class_of


def plan_device_map(
    spec: str, config: Any, dtype: torch.dtype, max_memory: Mapping[str, str] | None
) -> dict[str, Any]:
    """Return the device of every part of the model of ``config``, called ``spec`` in errors, with
    weights of ``dtype``. Nothing is loaded.

    Args:
        max_memory: the most that weights may take on a device, as {"0": "20GiB"}; None for what is
            free on every accelerator.

    Raises:
        WorkbenchError: where the devices have no room for all weights.
    """
    bounds = memory_bounds(max_memory)
    with init_empty_weights():
        model = class_of(config).from_config(config, dtype=dtype)
    model.tie_weights()
    whole = uncut_classes(model)
    if max_memory is None and len(bounds) > 1:
        bounds = get_balanced_memory(
            model, max_memory=dict(bounds), no_split_module_classes=whole, dtype=dtype
        )
    places = infer_auto_device_map(
        model, max_memory={**bounds, "cpu": 10**18}, no_split_module_classes=whole, dtype=dtype
    )
    devices = set(bounds) or {"cpu"}
    outside = [path for path, place in places.items() if place not in devices]
    if outside:
        raise WorkbenchError(
            f"the devices have no room for {outside[0]} of {spec!r} and {len(outside) - 1} more "
            "parts: raise model.max_memory, choose a smaller model.dtype or model.quantize, or set "
            "model.placement=stream, which reads layers from their files"
        )
    return _with_weightless_parts(model, places)


def memory_bounds(max_memory: Mapping[str, str] | None) -> dict[Any, Any]:
    """Return the room for weights by device, as accelerate names devices: numbers for accelerators.

    Raises:
        WorkbenchError: for a device that is none.
    """
    if max_memory is None:
        count = torch.cuda.device_count()
        # A tenth is left to what passes need.
        return {index: int(0.9 * torch.cuda.mem_get_info(index)[0]) for index in range(count)}
    for name in max_memory:
        if not name.isdigit() and name != "cpu":
            raise WorkbenchError(
                f"model.max_memory names {name!r}, which is no device: give numbers of "
                "accelerators, as {0: 20GiB, 1: 20GiB}"
            )
    return {
        int(name) if name.isdigit() else name: _bytes(size) for name, size in max_memory.items()
    }


def _bytes(size: str) -> int:
    """Return the bytes that "20GiB", or a number of bytes, says.

    Raises:
        WorkbenchError: for anything else.
    """
    try:
        return int(size) if size.isdigit() else int(convert_file_size_to_int(size))
    except ValueError as error:
        raise WorkbenchError(
            f"model.max_memory says {size!r}, which is no size: write it as 20GiB or 500MB"
        ) from error


def _with_weightless_parts(model: Any, places: Mapping[str, Any]) -> dict[str, Any]:
    """Return the map with parts that have no weights on the device of the token embedding."""
    embedding = model.get_input_embeddings()
    paths = [path for path, module in model.named_modules() if module is embedding]
    home = next(
        place for path, place in places.items() if not path or f"{paths[0]}.".startswith(f"{path}.")
    )
    found = {}
    for path, place in places.items():
        module = model.get_submodule(path) if path else model
        found[path] = place if next(module.parameters(), None) is not None else home
    return found
