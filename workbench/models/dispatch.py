"""Run a model whose modules lie on several devices: before a module is called, its arguments are
moved to the device of its weights.

The modules of a device map (accelerate's form: path of a module -> device) are hooked as accelerate
hooks them, with two differences. What is moved is counted (:mod:`workbench.models.moved_bytes`).
And what a pass gives to every layer, its mask and rotary embeddings, is moved once a device, not
once a layer: of a packed pass the mask is the largest thing that is given, [rows, 1, columns,
columns]. A layer that is given the leading part of it shares the copy of the whole.

Keys and values stay where the layer is that made them. What the whole model returns is moved back
to the device of its input; what a module inside it returns stays on the module's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from accelerate.hooks import ModelHook, add_hook_to_module, remove_hook_from_submodules
from accelerate.utils.operations import recursively_apply
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from workbench.compat import version_of, viewed_tensor
from workbench.models.language_model import LanguageModel
from workbench.models.moved_bytes import moved


def keeps_weights_away(model: Any) -> bool:
    """Return whether accelerate loads some weights of a transformers ``model`` for each use. A pass
    must then run to its end, because what is loaded is put away by hooks after its use.
    """
    places = {str(place) for place in (getattr(model, "hf_device_map", None) or {}).values()}
    return "disk" in places or ("cpu" in places and len(places) > 1)


def layer_devices(lm: LanguageModel) -> list[torch.device]:
    """Return the device on which each decoder layer computes: that of its first weight, or the
    model's where its weights are loaded for each use.
    """
    found = []
    for layer in lm.layers():
        weight = next(layer.parameters(), None)
        away = weight is None or weight.device.type == "meta"
        found.append(lm.device if weight is None or away else weight.device)
    return found


def dispatch_model(model: Any, places: Mapping[str, Any]) -> Any:
    """Hook the modules of a transformers ``model``, whose weights lie where ``places`` says, in
    place of accelerate's hooks; return the model.

    Args:
        places: by the path of a module, the device of all that is in it.
    """
    remove_hook_from_submodules(model)
    shared = _SharedCopies()
    for path, place in places.items():
        if path:
            device = torch.device("cuda", place) if isinstance(place, int) else torch.device(place)
            add_hook_to_module(model.get_submodule(path), _MoveArguments(device, shared))
    add_hook_to_module(model, _MoveResults())
    model.hf_device_map = dict(places)
    return model


class _SharedCopies:
    """Copies of what a pass gives to many layers, by device, as long as the tensors live."""

    def __init__(self) -> None:
        self._copies: Any = WeakIdKeyDictionary()

    def copied(self, tensor: Tensor, device: torch.device) -> Tensor:
        """Return ``tensor`` on ``device``, copied with the whole tensor that it is a part of."""
        if tensor.device == device or tensor.requires_grad:
            return moved(tensor, device)
        whole = viewed_tensor(tensor)
        if whole is None or not whole.is_contiguous() or whole.numel() > 2 * tensor.numel():
            return self._copy(tensor, device)
        return self._copy(whole, device).as_strided(
            tensor.shape, tensor.stride(), tensor.storage_offset() - whole.storage_offset()
        )

    def _copy(self, tensor: Tensor, device: torch.device) -> Tensor:
        held = self._copies.setdefault(tensor, {})
        version, copy = held.get(device, (-1, None))
        if copy is None or version != version_of(tensor):
            copy = moved(tensor, device)
            held[device] = (version_of(tensor), copy)
        return copy


class _MoveArguments(ModelHook):
    """Move a module's arguments to its device; those by name, which layers share, once a pass."""

    def __init__(self, device: torch.device, shared: _SharedCopies) -> None:
        self.execution_device, self._shared = device, shared

    def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        states = kwargs.get("hidden_states")
        own = recursively_apply(lambda each: moved(each, self.execution_device), args)

        def placed(each: Tensor) -> Tensor:
            if id(each) == id(states):
                return moved(each, self.execution_device)
            return self._shared.copied(each, self.execution_device)

        return own, recursively_apply(placed, kwargs)


class _MoveResults(ModelHook):
    """Move what the whole model returns to the device of its tokens."""

    def __init__(self) -> None:
        self.execution_device: torch.device | None = None

    def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        given: list[Tensor] = []
        recursively_apply(given.append, (args, kwargs))
        self.execution_device = given[0].device if given else None
        return args, kwargs

    def post_forward(self, module: nn.Module, output: Any) -> Any:
        device = self.execution_device
        return output if device is None else recursively_apply(lambda x: moved(x, device), output)
