"""Keep what became of every attempt at a cell: one file an attempt, written by its worker alone.

No two processes write one file, so nothing here depends on a file system that appends in order. An
attempt tells why a run failed and where it was worked on; whether a run is finished is told by its
own seals and never by these files. A process that was killed leaves its attempt as ``started``.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.files.json_files import read_json
from workbench.files.writing import write_json


class Outcome(StrEnum):
    """What became of an attempt.

    ``FOUND``: the run was finished already; ``IN_USE``: another worker was at it.
    """

    STARTED = "started"
    FINISHED = "finished"
    FOUND = "found"
    IN_USE = "in use"
    FAILED = "failed"


@dataclass(frozen=True)
class Attempt:
    """An attempt at a cell.

    Attributes:
        reason: why it failed; "" otherwise.
        trace: the traceback of an error that nobody expected; "" otherwise.
        host, pid: where it was worked on.
        time: when this was written, in seconds since 1970.
    """

    name: str
    outcome: Outcome
    reason: str = ""
    trace: str = ""
    host: str = ""
    pid: int = 0
    time: float = 0.0


def new_attempt() -> str:
    """Return a name for an attempt; names sort by their time to a second."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(4)}"


def note_attempt(
    folder: Path, name: str, outcome: Outcome, reason: str = "", trace: str = ""
) -> None:
    """Write what has become of the attempt ``name`` at the cell whose attempts are in
    ``folder``.
    """
    here = socket.gethostname(), os.getpid(), time.time()
    write_json(folder / f"{name}.json", asdict(Attempt(name, outcome, reason, trace, *here)))


def read_attempt(folder: Path, name: str) -> Attempt | None:
    """Return an attempt; None where its worker wrote nothing that can be read."""
    try:
        content = read_json(folder / f"{name}.json", "")
        return Attempt(**{**content, "outcome": Outcome(content["outcome"])}) if content else None
    except (WorkbenchError, KeyError, TypeError, ValueError):
        return None


def read_attempts(folder: Path) -> Iterator[Attempt]:
    """Yield all attempts at a cell, the latest last."""
    found = [read_attempt(folder, path.stem) for path in folder.glob("*.json")]
    yield from sorted((one for one in found if one is not None), key=lambda one: one.time)
