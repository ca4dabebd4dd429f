"""Write and read one shard: the states of some questions at every layer and position.

A shard is a safetensors file with one tensor ``states`` [layers, positions, rows, width]. Layer
and position come first, so that what a probe of one site reads of a shard lies in one piece;
safetensors maps the file into memory and copies that piece alone. Every piece has its own CRC-32,
which is compared when the piece is first read: a checksum of the whole file would have to read all
layers before the first one can be used. CRC-32 finds damage; it is no protection against a forger.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.files.writing import write_atomically
from workbench.states.layout import Layout

TENSOR = "states"
Checksums = tuple[tuple[int, ...], ...]
"""The CRC-32 of every piece, [layers][positions]."""


def write_shard(path: Path, layout: Layout, states: NDArray[np.floating] | Tensor) -> Checksums:
    """Write ``states`` [rows, layers, positions, width] in the layout's number format; return the
    checksums of the pieces.

    Raises:
        WorkbenchError: for another shape, for states that are not finite or that the number format
            cannot hold, and where the file cannot be written.
    """
    given = torch.as_tensor(states)
    wanted = (layout.layers, len(layout.positions), layout.width)
    if given.ndim != 4 or tuple(given.shape[1:]) != wanted or not len(given):
        raise WorkbenchError(
            f"states have shape {tuple(given.shape)}; a shard takes [rows, layers, positions, "
            f"width] with {wanted} and at least one row"
        )
    kept = given.detach().cpu().permute(1, 2, 0, 3).to(layout.torch_dtype).contiguous()
    if not all(bool(torch.isfinite(layer).all()) for layer in kept):
        _refuse(given, layout)
    write_atomically(path, partial(save_file, {TENSOR: kept}))
    return tuple(tuple(checksum(piece) for piece in layer) for layer in kept)


def _refuse(given: Tensor, layout: Layout) -> None:
    """Refuse states that are not finite, or are not any more in the layout's number format.

    Raises:
        WorkbenchError: always, with the reason.
    """
    if not bool(torch.isfinite(given).all()):
        row, layer, position, feature = (int(i) for i in (~torch.isfinite(given)).nonzero()[0])
        raise WorkbenchError(
            f"The state of row {row} at layer {layer}, position {layout.positions[position]!r}, "
            f"feature {feature} is {given[row, layer, position, feature].item()}; run the model in "
            "float32 or bfloat16."
        )
    raise WorkbenchError(
        f"States reach {float(given.abs().max()):.3g}, beyond what {layout.dtype} holds; keep them "
        "in bfloat16 or float32."
    )


def checksum(piece: Tensor) -> int:
    """Return the CRC-32 of a contiguous tensor's bytes."""
    return zlib.crc32(piece.view(torch.uint8).numpy().reshape(-1).data)


def read_piece(path: Path, layer: int, position: int) -> Tensor:
    """Read the states [rows, width] of one layer and position, in the number format of the file.

    Raises:
        OSError, SafetensorError: for a file that cannot be read.
    """
    with safe_open(path, framework="pt") as file:
        piece: Tensor = file.get_slice(TENSOR)[layer, position]
    return piece


def checksums_fit(checksums: Sequence[Sequence[int]], layout: Layout) -> bool:
    """Return whether there is a checksum for every layer and position."""
    return len(checksums) == layout.layers and all(
        len(layer) == len(layout.positions) for layer in checksums
    )
