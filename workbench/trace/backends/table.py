"""The backends by name: a row a backend, the default first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.backends.hooks import HooksBackend
from workbench.trace.backends.protocol import Backend


def _nnsight(lm: LanguageModel, **options: Any) -> Backend:
    from workbench.trace.backends.nnsight import NnsightBackend

    return NnsightBackend(lm, **options)


def _lens(lm: LanguageModel, **options: Any) -> Backend:
    from workbench.trace.backends.lens import LensBackend

    return LensBackend(lm, **options)


# The last two import their library when they are called: each takes seconds, and a run needs at
# most one.
BACKENDS: dict[str, Callable[..., Backend]] = {
    "hooks": HooksBackend,
    "nnsight": _nnsight,
    "transformer-lens": _lens,
}


def backend(name: str, lm: LanguageModel, **options: Any) -> Backend:
    """The backend ``name`` around ``lm``; ``options`` are those of its class."""
    if name not in BACKENDS:
        raise WorkbenchError(f"Unknown backend {name!r}; use one of {', '.join(BACKENDS)}.")
    return BACKENDS[name](lm, **options)
