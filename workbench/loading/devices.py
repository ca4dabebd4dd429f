"""Say on which device, or devices, a model's weights are to lie."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch

from workbench.errors import WorkbenchError
from workbench.files.processes import LOCAL
from workbench.loading.device_map import plan_device_map
from workbench.loading.tensor_parallel import require_splittable
from workbench.models.chat_template import said


def named_device(name: str) -> torch.device:
    """Return the torch device that ``model.device`` names; "auto" is an accelerator where there is
    one.

    Raises:
        WorkbenchError: for a name that is none, and a device that this machine lacks.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, ValueError, TypeError) as error:
        raise WorkbenchError(
            f"unknown device {name!r}: use auto, cpu, cuda, cuda:1, mps, ..."
        ) from error
    try:
        torch.ones(1, device=device).item()
    except (
        Exception
    ) as error:  # AssertionError, NotImplementedError, RuntimeError: each back end has its own
        raise WorkbenchError(
            f"the device {name!r} cannot be used on this machine ({said(error)}): set model.device "
            "to auto or cpu"
        ) from error
    return device


def process_device() -> torch.device:
    """Return the device of this process of a launch: its accelerator, where there is one."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get(LOCAL, 0)))
    return torch.device("cpu")


def placing_options(
    spec: str,
    config: Any,
    dtype: torch.dtype,
    placement: str,
    max_memory: Mapping[str, str] | None,
    resident: Mapping[str, Any],
) -> dict[str, Any]:
    """Return where :func:`workbench.loading.in_memory.read_in_memory` puts weights of ``dtype``.

    Args:
        resident: its options about quantisation and precision.

    Raises:
        WorkbenchError: for a model that cannot be placed so.
    """
    if placement == "tensor":
        quantised = resident["scheme"] is not None or resident["method"] is not None
        require_splittable(spec, config, quantised, resident["precision"])
        return {"split": True}
    if placement == "auto":
        return {"places": plan_device_map(spec, config, dtype, max_memory)}
    return {}
