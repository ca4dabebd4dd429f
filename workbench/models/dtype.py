"""Choose the dtype in which a model's weights are held.

``auto`` takes what suits the device: float32 on a processor, bfloat16 on an accelerator that
computes in it. A checkpoint whose weights are quantised keeps on a processor the dtype it names for
its other weights, because its layers were made to meet that one. The dtype says nothing about the
arithmetic of the products, which :mod:`workbench.models.precision` sets.
"""

from __future__ import annotations

from typing import Any, Literal

import torch

from workbench.errors import WorkbenchError

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
AUTO = "auto"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def resolve_dtype(
    name: str, device: torch.device, config: Any = None, quantised: bool = False
) -> torch.dtype:
    """Return the dtype that a setting means on this device; only ``auto`` depends on it.

    Args:
        config: the checkpoint's configuration, whose own dtype counts where it is ``quantised``.

    Raises:
        WorkbenchError: for an unknown dtype.
    """
    if name in DTYPES:
        return DTYPES[name]
    if name != AUTO:
        raise WorkbenchError(f"unknown dtype {name!r}: use one of {', '.join((AUTO, *DTYPES))}")
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if device.type != "cpu":
        return torch.bfloat16
    own = checkpoint_dtype(config) if quantised else None
    return own if own is not None else torch.float32


def checkpoint_dtype(config: Any) -> torch.dtype | None:
    """Return the dtype that a checkpoint's configuration names for its weights; None where it names
    none that the workbench loads.
    """
    found = getattr(config.get_text_config(), "dtype", None) or getattr(config, "dtype", None)
    if isinstance(found, str):
        return DTYPES.get(found)
    return found if found in DTYPES.values() else None


def dtype_name(dtype: torch.dtype) -> str:
    """Return a dtype's name as settings write it."""
    return str(dtype).removeprefix("torch.")
