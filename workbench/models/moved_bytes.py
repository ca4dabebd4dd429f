"""Move tensors between devices, and count the bytes that are moved.

With a model's layers on several devices a tensor must be copied to where it is used next. Every
such copy of the package goes through :func:`moved`, so that none is silent: :data:`MOVED` holds the
bytes of the process by pair of devices, and a stage keeps those of its work with its seconds
(:mod:`workbench.pipeline.stages`). A tensor that lies where it is wanted is not copied and counts
nothing. Counted are copies of whole tensors, not what the libraries move inside of one operation,
nor the reading of weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass
class MoveCounts:
    """What was moved so far.

    Attributes:
        bytes_moved: by the devices it was moved from and to, such as ("cuda:0", "cuda:1").
        copies: how many tensors were.
    """

    bytes_moved: dict[tuple[str, str], int] = field(default_factory=dict)
    copies: int = 0

    @property
    def total(self) -> int:
        """The bytes between all devices."""
        return sum(self.bytes_moved.values())

    def add(self, tensor: Tensor, device: torch.device) -> None:
        """Count a copy of ``tensor`` to ``device``."""
        pair = str(tensor.device), str(device)
        size = tensor.numel() * tensor.element_size()
        self.bytes_moved[pair] = self.bytes_moved.get(pair, 0) + size
        self.copies += 1


MOVED = MoveCounts()
"""What this process moved."""


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """Return ``tensor`` on ``device``: itself where it lies there, a counted copy elsewhere, whose
    gradient is counted on its way back.
    """
    if tensor.device == device:
        return tensor
    MOVED.add(tensor, device)
    source, copy = tensor.device, tensor.to(device)
    if copy.requires_grad:
        copy.register_hook(partial(_count_gradient, source))
    return copy


def _count_gradient(source: torch.device, gradient: Tensor) -> None:
    MOVED.add(gradient, source)
