"""Let an adapter act on matrices that are split over processes.

Every process holds the whole adapter, which is small, and the same numbers of it; so it is saved,
loaded and optimised as ever. Its products meet the shares of the base model's matrices in two ways:

* where a process computes its share of a matrix's outputs (queries, keys, values, gates), it takes
  its share of the adapter's outputs too. On the way back the shares of the gradient are gathered,
  so that each process has the whole gradient of A and B.
* where it multiplies its share of the inputs (output projections), the shares are gathered for the
  adapter, and the process takes its own again for the base matrix. On the way back it is the other
  way round.

So a step is that of one process to rounding, at the cost of one gathering of the inputs of each
output projection with an adapter, [rows, columns, inputs]. PEFT's own way would split the adapter,
whose parts it then cannot save.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from peft.tuners.lora import LoraLayer
from torch import Tensor

from workbench.compat_processes import process_count, process_group, split_plan
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel

HANDLE = "hook_of_base_layer"
BY_OUTPUTS, BY_INPUTS, WHOLE = ("colwise",), ("rowwise",), (None, "colwise_gather_output")


def join_split_layers(lm: LanguageModel) -> LanguageModel:
    """Hook the layers of a model's adapter that act on split matrices; return the model. A whole
    model stays as it is.

    Raises:
        WorkbenchError: for matrices that are split in another way.
    """
    base = lm.base()
    if process_count(base) == 1:
        return lm
    group = process_group(base)
    for path, layer in base.named_modules():
        if not isinstance(layer, LoraLayer):
            continue
        style = split_plan(base, path)
        if style in BY_OUTPUTS:
            for module in layer.lora_B.values():
                module.register_forward_hook(lambda m, args, out: _Share.apply(out, group))
        elif style in BY_INPUTS:
            layer.register_forward_pre_hook(
                lambda m, args: (_Whole.apply(args[0], group), *args[1:])
            )
            handle = layer.get_base_layer().register_forward_pre_hook(
                lambda m, args: (_Share.apply(args[0], group), *args[1:])
            )
            setattr(layer, HANDLE, handle)
        elif style not in WHOLE:
            raise WorkbenchError(
                f"{path} is split over processes as {style!r}, to which no adapter can be added: "
                "leave it out of teach.lora.target_modules, or set model.placement=auto"
            )
    return lm


def release_base_layers(base: Any) -> None:
    """Take the hooks of :func:`join_split_layers` off the base model's own layers, which stay when
    the adapter is taken out.
    """
    for layer in base.modules():
        if isinstance(layer, LoraLayer) and hasattr(layer, HANDLE):
            getattr(layer, HANDLE).remove()


def _gathered(share: Tensor, group: Any) -> Tensor:
    parts = [torch.empty_like(share) for _ in range(dist.get_world_size(group))]
    dist.all_gather(parts, share.contiguous(), group=group)
    return torch.cat(parts, dim=-1)


def _share(whole: Tensor, group: Any) -> Tensor:
    return whole.chunk(dist.get_world_size(group), dim=-1)[dist.get_rank(group)].contiguous()


class _Share(torch.autograd.Function):
    """This process's share of the last axis; the shares of the gradient are gathered."""

    @staticmethod
    def forward(ctx: Any, whole: Tensor, group: Any) -> Tensor:
        ctx.group = group
        return _share(whole, group)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _gathered(gradient, ctx.group), None


class _Whole(torch.autograd.Function):
    """The shares of all processes, one after another; of the gradient each takes its own."""

    @staticmethod
    def forward(ctx: Any, share: Tensor, group: Any) -> Tensor:
        ctx.group = group
        return _gathered(share, group)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _share(gradient, ctx.group), None
