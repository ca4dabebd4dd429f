"""Use private parts of the libraries below that are about models in several processes, as
:mod:`workbench.compat` does for the rest: how transformers splits a model, what PEFT and the
Trainer take a split model for, and how FSDP2 shares weights out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def process_count(model: Any) -> int:
    """Count the processes over which transformers split ``model``; 1 for a whole one."""
    return int(getattr(model, "_tp_size", None) or 1)


def process_group(model: Any) -> Any:
    """Return the torch process group over which transformers split ``model``."""
    mesh = model._device_mesh
    return (mesh["tp"] if "tp" in (mesh.mesh_dim_names or ()) else mesh).get_group()


def split_plan(model: Any, path: str) -> str | None:
    """Return how transformers splits the weights of the module at ``path``; None for whole ones."""
    plan = getattr(model, "_tp_plan", None) or {}
    return plan.get(".".join("*" if part.isdigit() else part for part in path.split(".")))


@contextmanager
def hidden_mesh(model: Any) -> Iterator[None]:
    """Let PEFT give adapters of a split ``model`` the sizes of whole matrices inside the block."""
    from peft.tuners import tuners_utils

    mesh = getattr(model, "_device_mesh", None)
    if mesh is None:
        yield
        return
    shares = tuners_utils._torch_supports_distributed
    model._device_mesh, tuners_utils._torch_supports_distributed = None, False
    try:
        yield
    finally:
        model._device_mesh, tuners_utils._torch_supports_distributed = mesh, shares


@contextmanager
def alone_in_training(model: Any) -> Iterator[None]:
    """Let the Trainer take a ``model`` that is split over processes for a whole one inside the
    block, and this process for the only one: each makes the same steps with the whole adapter.
    """
    if process_count(model) == 1:
        yield
        return
    split = {"_tp_size": None, "_is_distributed_loading_by_transformers": False}
    kept = {name: getattr(model, name, None) for name in split}
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    told = {name: os.environ.pop(name) for name in names if name in os.environ}
    os.environ["ACCELERATE_TORCH_DEVICE"] = str(model.get_input_embeddings().weight.device)
    for name, value in split.items():
        setattr(model, name, value)
    try:
        with hidden_mesh(model):
            yield
    finally:
        for name, value in kept.items():
            setattr(model, name, value)
        del os.environ["ACCELERATE_TORCH_DEVICE"]
        os.environ.update(told)


def make_whole(model: Any) -> None:
    """Undo FSDP2's sharding of a torch ``model`` in all processes at once; each holds it whole."""
    import torch
    from torch.distributed import _composable_state
    from torch.distributed._composable.contract import REGISTRY_KEY, STATE_KEY
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor

    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
            state = module._get_fsdp_state()
            state._pre_forward_hook_handle.remove()
            state._post_forward_hook_handle.remove()
            for part in (part for group in state._fsdp_param_groups for part in group.fsdp_params):
                part._post_load_hook_handle.remove()
        for name, weight in module._parameters.items():
            if isinstance(weight, DTensor):
                module._parameters[name] = torch.nn.Parameter(
                    weight.full_tensor().detach(), requires_grad=weight.requires_grad
                )
        if isinstance(module, FSDPModule):
            module.__class__ = type(module).__mro__[FSDPModule._orig_cls_mro_index]
            del _composable_state._module_state_mapping[module]  # type: ignore[arg-type]
            for mark in (STATE_KEY, REGISTRY_KEY):
                module.__dict__.pop(mark, None)
    getattr(model, "tie_weights", lambda: None)()


def uncut_classes(model: Any) -> list[str]:
    """Name the classes of ``model``'s modules that lie on one device each."""
    return sorted(getattr(model, "_no_split_modules", None) or ())


def local_part(tensor: Any) -> Any:
    """Return what this process holds of a tensor that is split over several, or the tensor."""
    return getattr(tensor, "_local_tensor", tensor)
