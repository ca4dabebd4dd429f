"""List the engines by name, one row each, the default first."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.backends.hooks import HooksBackend
from workbench.trace.backends.protocol import Backend, Engine


def _nnsight(lm: LanguageModel, **options: Any) -> Backend:
    from workbench.trace.backends.nnsight import NnsightBackend

    return NnsightBackend(lm, **options)


def _lens(lm: LanguageModel, **options: Any) -> Backend:
    from workbench.trace.backends.lens import LensBackend

    return LensBackend(lm, **options)


# The last three import their library when they are called: each takes seconds, and a run needs at
# most one.
ENGINES: dict[str, Callable[..., Backend]] = {
    "packed": HooksBackend,
    "loop": partial(HooksBackend, looped=True),
    "nnsight": _nnsight,
    "transformer-lens": _lens,
    "ndif": partial(_nnsight, remote=True),
}
PACKED: Engine = HooksBackend


def engine(name: str, **options: Any) -> Engine:
    """Return the engine ``name``; ``options`` are those of its backend's class.

    Raises:
        WorkbenchError: for a name that is none of :data:`ENGINES`.
    """
    if name not in ENGINES:
        raise WorkbenchError(f"Unknown engine {name!r}; use one of {', '.join(ENGINES)}.")
    return partial(ENGINES[name], **options)
