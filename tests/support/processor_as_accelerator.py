"""Let the processor pass for an accelerator, to which alone accelerate offers FSDP; torch's own,
which it calls, runs on a processor as well.
"""

from __future__ import annotations

from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType


def _set_device(state: Any) -> None:
    state.device, state.distributed_type = torch.device("cpu"), DistributedType.MULTI_XPU


def pass_for_an_accelerator() -> None:
    """Take effect for the rest of the process."""
    torch.set_num_threads(1)
    PartialState.set_device = _set_device
