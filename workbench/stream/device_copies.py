"""Copy weights to an accelerator beside what it computes.

The reading thread issues its copies, and what is made of them there, on a stream of its own, which
computing does not wait for. Before a layer is used the computing stream waits for its copies; the
weights are noted as used by that stream, so that their memory is given to no later copy before the
last product with them has run. Pinned memory that copies come from is kept by torch until they have
ended. On a processor, and on accelerators without streams, copies are plain ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor


class DeviceCopies:
    """The stream on which weights are copied to ``device``."""

    def __init__(self, device: torch.device) -> None:
        self._module: Any = None
        self._stream: Any = None
        if device.type in ("cuda", "xpu"):
            self._module = torch.get_device_module(device)
            self._stream = self._module.Stream(device)

    def aside(self) -> AbstractContextManager[Any]:
        """Return a context in which this thread's copies and kernels run on the stream."""
        return nullcontext() if self._stream is None else self._module.stream(self._stream)

    def mark(self) -> Any:
        """Return an event that comes when all copies so far have ended; None without a stream."""
        return None if self._stream is None else self._stream.record_event()

    def wait(self, event: Any, weights: Iterable[Tensor]) -> None:
        """Let what this thread computes from now on wait for an event, and use ``weights``."""
        if event is None:
            return
        computing = self._module.current_stream(self._stream.device)
        computing.wait_event(event)
        for weight in weights:
            weight.record_stream(computing)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of main memory on ``device``; the copy may still run on the stream that is
    set.
    """
    if device.type in ("cuda", "xpu"):
        # From pinned memory a copy takes the full width of the bus, and runs beside kernels.
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
