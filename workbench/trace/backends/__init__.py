"""Recording and patching behind one protocol: the project's own hooks, nnsight and
transformer-lens.
"""

from workbench.trace.backends.hooks import HooksBackend
from workbench.trace.backends.protocol import Backend, PositionRows, TokenRows
from workbench.trace.backends.table import BACKENDS, backend

__all__ = ["BACKENDS", "Backend", "HooksBackend", "PositionRows", "TokenRows", "backend"]
