"""Pretend that a machine has several devices, and fail where a tensor meets one of another device.

A tensor of a pretended device holds a plain tensor of the processor and says another place,
``cpu:1``. While :class:`PretendedDevices` is on, every operation of torch, autograd's included, is
computed on what the tensors hold, after a check by torch's own rules: operands lie on one device; a
tensor without axes on the processor goes with any, and so do the indices of a tensor. Copies
between devices are allowed where they are asked for, and counted.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from workbench.models import LanguageModel
from workbench.models.dispatch import dispatch_model

PLAIN, FIRST, SECOND = torch.device("cpu"), torch.device("cpu", 0), torch.device("cpu", 1)
COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)
INDEXED = (
    torch.ops.aten.index.Tensor,
    torch.ops.aten.index_put.default,
    torch.ops.aten.index_put_.default,
    torch.ops.aten._index_put_impl_.default,
)


class MixedDevicesError(AssertionError):
    """An operation on tensors of different devices."""


class Placed(torch.Tensor):
    """A tensor that says that it lies on a pretended device."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor, device: torch.device) -> Placed:
        out = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=device,
            requires_grad=held.requires_grad,
        )
        out.held = held.detach()
        return out

    __torch_function__ = torch._C._disabled_torch_function_impl

    def __repr__(self, **_: Any) -> str:
        return f"Placed({self.held!r}, {self.device})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {}, {})


class _Numbers(TorchFunctionMode):
    """Make tensors of Python's numbers, and numbers of tensors, on pretended devices."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.tolist:
            return plain(args[0]).tolist()
        device = torch.device((kwargs or {}).get("device") or PLAIN)
        if func not in (torch.tensor, torch.as_tensor) or device == PLAIN:
            return func(*args, **(kwargs or {}))
        out = func(*args, **{**(kwargs or {}), "device": None})
        return out if out.device == device else placed(out, device)


class PretendedDevices(TorchDispatchMode):
    """While it is on, tensors can be made on and copied to pretended devices.

    Attributes:
        moved: bytes by the devices they were copied from and to.
    """

    def __init__(self) -> None:
        super().__init__()
        self.moved: dict[tuple[str, str], int] = {}
        self._numbers = _Numbers()

    @property
    def between(self) -> dict[tuple[str, str], int]:
        """The bytes that left a pretended device; not what the processor sent to one."""
        return {pair: size for pair, size in self.moved.items() if pair[0] != str(PLAIN)}

    def __enter__(self) -> PretendedDevices:
        self._overwrites = torch.__future__.get_overwrite_module_params_on_conversion()
        # A weight of the processor that is moved becomes another object, not another place.
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        self._numbers.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._numbers.__exit__(*error)
        torch.__future__.set_overwrite_module_params_on_conversion(self._overwrites)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {}, self.moved)


def computed(func: Any, args: Any, kwargs: dict[str, Any], moved: dict[Any, int]) -> Any:
    """Compute an operation on what its tensors hold; check their devices first."""
    tensors = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, Tensor)]
    wanted = kwargs.get("device")
    device = tensors[0].device if tensors else PLAIN
    if func not in COPIES:
        device = common_device(func, args, tensors) if tensors else PLAIN
    if wanted is not None:
        device = torch.device(wanted)
        kwargs = {**kwargs, "device": PLAIN}
    if func in COPIES and tensors:
        source = tensors[-1].device
        if source != device:
            pair = str(source), str(device)
            size = tensors[-1].numel() * tensors[-1].element_size()
            moved[pair] = moved.get(pair, 0) + size
            if func is COPIES[0] and all(k in ("device", "non_blocking") for k in kwargs):
                kwargs = {**kwargs, "dtype": tensors[-1].dtype}
    plain_args, plain_kwargs = tree_map(plain, (args, kwargs))
    out = func(*plain_args, **plain_kwargs)
    if func._schema.is_mutable and tensors:
        # What was changed in place is the caller's own tensor.
        same = {id(plain(each)): each for each in tensors}
        return tree_map(lambda each: same.get(id(each), each), out)
    return tree_map(lambda each: placed(each, device), out)


def common_device(func: Any, args: Any, tensors: list[Tensor]) -> torch.device:
    """Return the device on which an operation computes.

    Raises:
        MixedDevicesError: where its tensors lie on several.
    """
    if func in INDEXED:  # indices may lie on the processor
        own = args[0].device
        others = [each for each in tensors if each.device not in (own, PLAIN)]
        values = args[2:3] if len(args) > 2 and isinstance(args[2], Tensor) else ()
        others += [each for each in values if each.dim() and each.device != own]
        if others:
            raise MixedDevicesError(f"{func}: {own} and {others[0].device}")
        return own
    devices = {each.device for each in tensors if each.dim() or each.device != PLAIN}
    if len(devices) > 1:
        raise MixedDevicesError(f"{func}: {', '.join(sorted(map(str, devices)))}")
    return next(iter(devices), PLAIN)


def plain(value: Any) -> Any:
    """Return what a tensor of a pretended device holds; anything else as it is."""
    return value.held if isinstance(value, Placed) else value


def placed(value: Any, device: torch.device) -> Any:
    """Return a tensor that was computed for ``device``."""
    if not isinstance(value, Tensor) or isinstance(value, Placed) or device == PLAIN:
        return value
    return Placed(value, device)


def place_module(module: nn.Module, device: torch.device) -> None:
    """Let the weights and buffers of a module lie on a pretended device."""
    for each in module.modules():
        for name, weight in each._parameters.items():
            if weight is not None:
                each._parameters[name] = nn.Parameter(
                    Placed(weight.data, device), requires_grad=weight.requires_grad
                )
        for name, buffer in each._buffers.items():
            if buffer is not None:
                each._buffers[name] = Placed(buffer, device)


def spread_layers(lm: LanguageModel, first_on_second: int) -> LanguageModel:
    """Let a tiny model's embedding and lower layers lie on one pretended device, and the layers from
    ``first_on_second`` on, norm and head on another; return it.
    """
    layers, row = lm.architecture.layers, lm.architecture
    children = [f"{row.decoder}.{name}" for name, _ in lm.decoder().named_children()]
    places = {path: FIRST for path in children if path != layers}
    for number in range(lm.n_layers):
        places[f"{layers}.{number}"] = FIRST if number < first_on_second else SECOND
    places |= {str(row.final_norm): SECOND, row.head: SECOND}
    for path, device in places.items():
        place_module(lm.base().get_submodule(path), device)
    dispatch_model(lm.base(), places)
    return lm
