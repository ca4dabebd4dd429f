"""Recording and patching behind one protocol: the project's own hooks, packed or in a loop, nnsight
here or on a server, and transformer-lens.
"""

from workbench.trace.backends.hooks import HooksBackend
from workbench.trace.backends.protocol import Backend, Engine, PositionRows, TokenRows
from workbench.trace.backends.table import ENGINES, PACKED, engine

__all__ = [
    "ENGINES",
    "PACKED",
    "Backend",
    "Engine",
    "HooksBackend",
    "PositionRows",
    "TokenRows",
    "engine",
]
