"""List the works, each as one row, and find one by the name of its experiment.

A row names the module of a work, which is imported when it is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from workbench.errors import WorkbenchError
from workbench.mechanisms.work import Work

_ROOM = "workbench.mechanisms.works"

WORKS: Mapping[str, str] = {
    "self_knowledge": "self_knowledge",
    "accuracy_directions": "accuracy_directions",
    "gathered_confidence": "gathered_confidence",
    "commitment": "commitment",
    "inflation_circuit": "inflation_circuit",
}
"""By the name of the experiment, the module of the work."""


def work_named(name: str) -> Work:
    """Return the work whose experiment has this name.

    Raises:
        WorkbenchError: where there is none, listing those there are.
    """
    if name not in WORKS:
        raise WorkbenchError(f"There is no work {name!r}; choose from {', '.join(WORKS)}.")
    work: Work = import_module(f"{_ROOM}.{WORKS[name]}").WORK
    return work


def all_works() -> Iterator[Work]:
    """Yield every work."""
    for name in WORKS:
        yield work_named(name)
