"""Load models: find the files, read the weights, read the parts off the model, and verify them.

What was verified once for the same weights, libraries and code is kept as a certificate and not
computed again.

The names below are imported when they are first used, so code that only asks for names needs no
model library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.loading.load import Attention, load_model
    from workbench.loading.remote import RemoteAccess
    from workbench.loading.verify import Check, verify

_MODULES = {
    "Attention": "load",
    "Check": "verify",
    "RemoteAccess": "remote",
    "load_model": "load",
    "verify": "verify",
}
__all__ = ["Attention", "Check", "RemoteAccess", "load_model", "verify"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
