"""Split a model's matrices over the processes of ``torchrun``, by transformers' own plan.

Every process holds a share of each attention's heads and each MLP's neurons, and all compute the
same tokens at the same time; sums over shares are made inside of the modules, so that what passes
from layer to layer is the whole residual stream in every process. Everything here that hooks layers
rests on that, and transformers has changed it before. So it is checked at load, on a pass: what
hooks see after every layer must be a plain tensor of all columns and all widths, and the same
numbers in every process.

The check says nothing about components inside a layer, whose tensors are shares
(:mod:`workbench.trace.slices`).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from transformers.distributed import DistributedConfig

from workbench.compat_processes import process_group
from workbench.errors import WorkbenchError
from workbench.files.processes import launched_processes
from workbench.models import LanguageModel
from workbench.models.layer_output import hidden_of
from workbench.models.tolerance import tolerance_of

LENGTH = 7


def require_splittable(spec: str, config: Any, quantised: bool, precision: str) -> None:
    """Refuse what cannot be split, before anything is read.

    Raises:
        WorkbenchError: outside of torchrun, for quantised weights, for products in another
            precision than the weights', for a family without a plan, and for heads that do not
            divide over the processes.
    """
    count = launched_processes()
    if count < 2:
        raise WorkbenchError(
            "model.placement=tensor splits the model over processes, and this one was started "
            "alone: start it as 'torchrun --nproc-per-node 2 -m workbench ...', with one process a "
            "device"
        )
    if quantised:
        raise WorkbenchError(
            f"the weights of {spec!r} are quantised, and quantised matrices are not split over "
            "processes: give the plain checkpoint, or set model.placement=auto"
        )
    if precision != "float32":
        raise WorkbenchError(
            "a model that is split over processes multiplies in the dtype of its weights: set "
            "model.precision=float32, and model.dtype=bfloat16 for products in bfloat16"
        )
    text = config.get_text_config()
    if not getattr(text, "base_model_tp_plan", None):
        raise WorkbenchError(
            f"transformers has no plan for splitting models of the family {text.model_type!r} over "
            "processes: set model.placement=auto or stream"
        )
    for name in ("num_attention_heads", "num_key_value_heads"):
        heads = getattr(text, name, None)
        if isinstance(heads, int) and heads % count:
            raise WorkbenchError(
                f"{spec!r} has {name}={heads}, which do not divide over {count} processes: start a "
                "number of processes that divides them"
            )


def splitting_options() -> dict[str, Any]:
    """Return the options with which transformers reads a model split over all processes."""
    plan = DistributedConfig(tp_size=launched_processes(), tp_plan="auto")
    return {"distributed_config": plan}


def require_whole_states(lm: LanguageModel) -> None:
    """Run a pass, and refuse a model whose hooks see no whole residual stream.

    Raises:
        WorkbenchError: naming the first layer whose output is a share, or differs between
            processes.
    """
    vocabulary = min(int(lm.config.vocab_size), 100)
    tokens = torch.arange(LENGTH, device=lm.device)[None] % vocabulary
    seen: list[Any] = []
    handles = [
        layer.register_forward_hook(lambda module, args, output: seen.append(output))
        for layer in lm.layers()
    ]
    try:
        with torch.no_grad():
            lm.decoder()(input_ids=tokens, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    group = process_group(lm.base())
    for layer, output in enumerate(seen):
        fault = fault_of(
            hidden_of(output, lm.architecture.streams), lm.width, group, tolerance_of(lm)
        )
        if fault:
            raise WorkbenchError(
                f"split over processes, hooks after layer {layer} of {lm.name!r} see {fault}, so "
                "nothing could be recorded or patched: set model.placement=auto or stream, or use "
                "another version of transformers"
            )


def fault_of(states: Tensor, width: int, group: Any, tolerance: float) -> str:
    """Say why ``states`` are not the whole residual stream [1, LENGTH, width]; "" if they are. All
    processes of ``group`` must ask together, and get the same answer.
    """
    fault = ""
    if type(states) is not Tensor:
        fault = f"a {type(states).__name__}, not a plain tensor"
    elif tuple(states.shape) != (1, LENGTH, width):
        fault = f"states of shape {tuple(states.shape)} in place of {(1, LENGTH, width)}"
    found = torch.tensor(float(bool(fault)), device=states.device)
    dist.all_reduce(found, op=dist.ReduceOp.MAX, group=group)
    if bool(found):
        return fault or "a share of the states in another process"
    low, high = states.float().clone(), states.float().clone()
    dist.all_reduce(low, op=dist.ReduceOp.MIN, group=group)
    dist.all_reduce(high, op=dist.ReduceOp.MAX, group=group)
    apart = float((high - low).max() / high.abs().max().clamp_min(1e-6))
    return f"states that differ between processes by {apart:.1e}" if apart > tolerance else ""


def all_agree(found: bool, lm_device: torch.device) -> bool:
    """Return whether every process found the same as true; one that did not decides for all."""
    told = torch.tensor(float(found), device=lm_device)
    dist.all_reduce(told, op=dist.ReduceOp.MIN)
    return bool(told)
