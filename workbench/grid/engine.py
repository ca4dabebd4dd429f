"""Define what the driver asks of an engine: start an attempt at a cell, and say when it has ended.

An engine knows nothing of runs. It says of an ended attempt how its process ended in its own words,
which count only where the attempt's worker could not say what became of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

Perform = Callable[[str, str], None]
"""A function of a module that does a cell: of the path of its task file and the name of the
attempt.
"""


@dataclass(frozen=True)
class Resources:
    """What one run needs.

    Attributes:
        cpus: cores.
        gpus: whole accelerators.
        memory_bytes: None where the engine need not know.
    """

    cpus: int = 1
    gpus: int = 0
    memory_bytes: int | None = None


ONE_CORE = Resources()


class Job(Protocol):
    """An attempt that an engine has started."""

    def ending(self) -> str | None:
        """Return how its process ended, in words, "" where nothing is known; None as long as it
        goes on.
        """


class Engine(Protocol):
    """What starts attempts, inside a ``with`` block.

    Attributes:
        slots: how many attempts may go on at once; None where the engine keeps a queue itself.
        wait: seconds between two looks at them.
    """

    @property
    def slots(self) -> int | None: ...

    @property
    def wait(self) -> float: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def start(self, task: Path, attempt: str, log: Path) -> Job:
        """Start an attempt at the cell of a task file. Its progress may go to ``log``."""
