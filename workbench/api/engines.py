"""What runs a patch: the engines by name, in one table.

An engine records states and reads patched prompts, all under one meaning of sites, positions and
branches, so that results are the same to rounding whichever is named; they differ in cost.
``packed`` holds all patches in as few forwards as memory allows; ``loop`` spends one hooked forward
on each and is the reference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workbench.errors import WorkbenchError
from workbench.patch.maps import Engine
from workbench.patch.segments import pack_or_loop
from workbench.trace.hooked_loop import loop_branches

ENGINES: dict[str, Callable[[], Engine]] = {
    "packed": lambda: pack_or_loop,
    "loop": lambda: loop_branches,
}
"""Name -> what makes the engine; a library behind one is imported when it is made."""


@dataclass(frozen=True)
class Backend:
    """An engine with its name; ``packs`` where patches share the tokens of a forward."""

    name: str
    patch: Engine
    packs: bool


def backend_named(name: str) -> Backend:
    """The engine of this name.

    Raises:
        WorkbenchError: for a name that no engine has.
    """
    if name not in ENGINES:
        raise WorkbenchError(f"There is no backend {name!r}; use one of {', '.join(ENGINES)}.")
    return Backend(name, ENGINES[name](), packs=name == "packed")
