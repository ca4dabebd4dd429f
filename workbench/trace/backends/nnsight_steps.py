"""Say what is done at a place of a model as plain data, and send by value what a server cannot
import.
"""

from __future__ import annotations

import sys

import torch
from nnsight import register
from torch import Tensor

from workbench.trace.backends.inputs import BatchWrite
from workbench.trace.backends.nnsight_session import Step
from workbench.trace.backends.places import RemoteHookPoint
from workbench.trace.interventions import Readout

SERVER_HAS = ("torch", "numpy", "transformers", "nnsight")


def send_by_value(readout: Readout) -> None:
    """Send the source of the module that defines ``readout`` with the request, where a server
    cannot import it.
    """
    module = str(getattr(readout, "__module__", None) or "")
    root = module.split(".")[0]
    if root and root not in SERVER_HAS and root not in sys.stdlib_module_names:
        register(module)


def step_of(
    place: RemoteHookPoint, rows: Tensor, columns: Tensor, write: BatchWrite | None = None
) -> Step:
    """Return a place and its work as plain data, in ``rows`` [n] at ``columns`` [n, m]."""
    if write is None:
        return step_at(place, rows, columns)
    within = None if write.subspace is None else (write.subspace.basis, write.factor)
    return step_at(place, rows, columns, write.value[:, None], write.add, within)


def step_at(
    place: RemoteHookPoint,
    rows: Tensor,
    columns: Tensor,
    value: Tensor | None = None,
    add: bool = False,
    within: tuple[Tensor, float] | None = None,
) -> Step:
    """Return a place and its work as plain data, in ``rows`` [n] at ``columns`` [n, m]: ``value``
    [n, m, width] is written, added, or written within a subspace; None reads.
    """
    where = torch.stack([rows[:, None].expand_as(columns), columns])
    at = (place.path, place.side, place.start, place.stop, place.factor, where)
    return (*at, None, False, None) if value is None else (*at, value, add, within)
