from __future__ import annotations

import inspect
from typing import Any

import pytest

from workbench.trace.backends.hooks import HooksBackend
from workbench.trace.backends.lens import LensBackend
from workbench.trace.backends.nnsight import NnsightBackend
from workbench.trace.backends.protocol import Backend


@pytest.mark.parametrize("kind", [HooksBackend, LensBackend, NnsightBackend])
@pytest.mark.parametrize("call", ["record", "patch"])
def test_every_backend_is_called_alike(kind: Any, call: str) -> None:
    """Names, order and defaults; a caller may pass every argument by its name."""
    asked, found = (
        inspect.signature(getattr(owner, call)).parameters.values() for owner in (Backend, kind)
    )
    assert [(p.name, p.kind, p.default) for p in found] == [
        (p.name, p.kind, p.default) for p in asked
    ]
