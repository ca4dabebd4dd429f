"""Recording and patching behind one protocol: nnsight and transformer-lens."""

from workbench.trace.backends.protocol import Backend, PositionRows, TokenRows
from workbench.trace.backends.table import BACKENDS, backend

__all__ = ["BACKENDS", "Backend", "PositionRows", "TokenRows", "backend"]
