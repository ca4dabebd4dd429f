"""Record and patch under one protocol: by the project's hooks, packed or in a loop, by nnsight,
here or on a server, and by transformer-lens.
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
